# shellcheck shell=bash
# Gets a MySQL server for tests and benchmarks into a folder, without installing anything; to be
# sourced after packages.sh.
#
#   get_mysql FOLDER        afterwards FOLDER/bin has mysqld, mysql, mysqldump, mysqladmin
#
# Debian's stable releases have no MySQL, its unstable one has. The packages come from the machine's
# own Debian mirror, with all libraries down to libc, and are unpacked into FOLDER/root; the programs
# in FOLDER/bin run through the loader that came along. What is there stays there: a second call does
# nothing and needs no network, and one that was interrupted goes on.

# The packages that only installing needs, not running.
_mysql_unneeded='^(perl|libperl|perl-base|perl-modules|libgdbm|libdb5|gcc-)'

has_mysql() {
    [[ -x $1/bin/mysqld && -e $1/complete ]]
}

get_mysql() {
    local folder
    has_mysql "$1" && return
    mkdir -p "$1"
    folder=$(cd "$1" && pwd) || return
    echo "getting MySQL into $folder: 65 MB to download, a minute or two, only this once" >&2
    _mysql_download "$folder" || _mysql_stop "could not download MySQL from the Debian mirror"
    _mysql_unpack "$folder" || _mysql_stop "could not unpack MySQL into $folder"
    _mysql_programs "$folder"
    "$folder/bin/mysqld" --no-defaults --version >&2 || _mysql_stop "the MySQL in $folder does not run"
    rm -rf "$folder/apt"
    touch "$folder/complete"
}

_mysql_stop() {
    stop "$1; a folder with mysqld and mysql in it can be named by HIGHWATER_TEST_MYSQL_BIN instead"
}

# The machine's Debian mirror, as its own package sources name it.
_mysql_mirror() {
    cat /etc/apt/sources.list /etc/apt/sources.list.d/*.{list,sources} 2>/dev/null |
        grep -v '^ *#' | grep -oE '(https?://|mirror\+file:)[^] ]+' | grep -v security | grep -E 'debian(/|\.list)?$' | head -n 1
}

# apt-get with a state of its own, which knows of nothing installed: so it fetches every library.
_mysql_apt() {
    local apt=$1
    shift
    apt-get -q -o Dir::State="$apt" -o Dir::State::lists="$apt/lists" -o Dir::State::status="$apt/status" \
        -o Dir::State::extended_states="$apt/extended" -o Dir::Cache="$apt/cache" \
        -o Dir::Etc::sourcelist="$apt/sources.list" -o Dir::Etc::sourceparts="$apt/nothing" \
        -o Dir::Etc::preferences="$apt/nothing" -o Dir::Etc::preferencesparts="$apt/nothing" \
        -o APT::Sandbox::User="$(id -un)" -o Debug::NoLocking=1 -o Acquire::Languages=none \
        -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false -o Acquire::Retries=3 \
        -o APT::Default-Release= -o APT::Keep-Downloaded-Packages=true "$@" </dev/null >&2
}

_mysql_download() {
    local apt=$1/apt mirror
    [[ -e $apt/downloaded ]] && return
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || _mysql_stop "this is no Debian"
    mirror=$(_mysql_mirror)
    [[ -n $mirror ]] || _mysql_stop "the package sources of this machine name no Debian mirror"
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/nothing"
    : >"$apt/status"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror sid main" >"$apt/sources.list"
    _mysql_apt "$apt" update &&
        _mysql_apt "$apt" install -y --no-install-recommends --download-only mysql-server-core mysql-client-core &&
        touch "$apt/downloaded"
}

_mysql_unpack() {
    local package
    # Not merged by any installation: the links of a merged /usr are made first.
    mkdir -p "$1/root/usr/lib" "$1/root/usr/lib64"
    ln -sfn usr/lib "$1/root/lib"
    ln -sfn usr/lib64 "$1/root/lib64"
    for package in "$1"/apt/cache/archives/*.deb; do
        [[ ${package##*/} =~ $_mysql_unneeded ]] || dpkg-deb -x "$package" "$1/root" || return
    done
    rm -rf "$1"/root/usr/share/{doc,man,locale,bash-completion,gcc}
}

# The server is told where its messages are; the others need nothing.
_mysql_programs() {
    local program more
    mkdir -p "$1/bin"
    for program in mysqld mysql mysqldump mysqladmin mysqlbinlog; do
        more=
        # shellcheck disable=SC2016 # expanded when the program runs
        [[ $program == mysqld ]] && more=' --basedir="$root/usr" --plugin-dir="$root/usr/lib/mysql/plugin"'
        cat >"$1/bin/$program" <<PROGRAM
#!/bin/sh
root=\$(cd "\$(dirname "\$0")/../root" && pwd) || exit
libraries=\$root/usr/lib/\$(uname -m)-linux-gnu
for program in "\$root/usr/sbin/$program" "\$root/usr/bin/$program"; do
    [ -x "\$program" ] && break
done
loader=\$(echo "\$root"/usr/lib64/ld-linux-*.so.* "\$root"/usr/lib/ld-linux-*.so.*)
for loader in \$loader; do
    [ -e "\$loader" ] && break
done
exec "\$loader" --library-path "\$libraries:\$root/usr/lib/mysql/private" "\$program" "\$@"$more
PROGRAM
        chmod 755 "$1/bin/$program"
    done
}
