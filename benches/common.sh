# shellcheck shell=bash disable=SC2034 # what the scripts that source it use
# What benches/run and benches/writers share: a folder for servers and settings, clock, medians.

folder=$(mktemp -d)
as_server=()
# Servers refuse to run as root: as the account that their package has made.
own_folder() {
    if ((EUID == 0)); then
        chmod 755 "$folder"
        as_server=(setpriv --reuid="$1" --regid="$1" --clear-groups)
        chown "$1" "$folder"
    fi
}
finish() {
    stop_servers
    rm -rf "$folder"
}
now() { date +%s.%N; }
took() { awk -v a="$1" -v b="$(now)" 'BEGIN { printf "%.2f\n", b - a }'; }
median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
settings() {
    cat >"$folder/highwater.toml" <<TOML
database.bench.source = "$(url source)"
database.bench.target = "$(url target)"
copy.schema = "create"
http.listen = ""
TOML
}
