# shellcheck shell=bash disable=SC2154,SC2034 # what benches/run has set, and what it uses
# MariaDB for benches/run, which sources this.
#
# Both servers have the same settings, row events in the binary log among them, for whoever is measured;
# commits are flushed (innodb_flush_log_at_trx_commit = 1). mydumper, myloader and highwater work with two
# threads each, in pieces of 50,000 rows.

peers=(dump mydumper replication highwater)

[[ -x /usr/sbin/mariadbd && -x /usr/bin/mariadb-install-db ]] || install_packages mariadb-server
command -v mydumper >/dev/null && command -v myloader >/dev/null || install_packages mydumper

version() { echo "$(/usr/sbin/mariadbd --version), $(mydumper --version 2>&1 | head -n 1)"; }
port() { [[ $1 == source ]] && echo 25441 || echo 25442; }
url() { echo "mysql://root@127.0.0.1:$(port "$1")/bench"; }
client() {
    local program=$1 side=$2
    shift 2
    "$program" --no-defaults --host=127.0.0.1 --port="$(port "$side")" --user=root "$@"
}
sql() { client mariadb "$1" --batch --skip-column-names --execute="$2"; }

start_servers() {
    own_folder mysql
    local side number=0
    for side in source target; do
        number=$((number + 1))
        "${as_server[@]}" mariadb-install-db --no-defaults --auth-root-authentication-method=normal --skip-test-db \
            --datadir="$folder/$side" >/dev/null 2>"$folder/$side.log" || { cat "$folder/$side.log" >&2; exit 1; }
        "${as_server[@]}" /usr/sbin/mariadbd --no-defaults --datadir="$folder/$side" --port="$(port "$side")" \
            --socket="$folder/$side.sock" --pid-file="$folder/$side.pid" --bind-address=127.0.0.1 --skip-name-resolve \
            --server-id="$number" --log-bin=log --binlog-format=ROW --max-allowed-packet=128M \
            --innodb-buffer-pool-size=1G --innodb-log-file-size=1G --innodb-io-capacity=2000 >"$folder/$side.log" 2>&1 &
        echo $! >"$folder/$side.job"
    done
    for side in source target; do
        until client mariadb-admin "$side" ping >/dev/null 2>&1; do
            kill -0 "$(cat "$folder/$side.job")" 2>/dev/null || { cat "$folder/$side.log" >&2; exit 1; }
            sleep 0.1
        done
    done
}
stop_servers() {
    local job
    for job in "$folder"/*.job; do
        [[ -e $job ]] || continue
        kill -9 "$(cat "$job")" 2>/dev/null || true
        wait "$(cat "$job")" 2>/dev/null || true
    done
}

# What earlier steps have left to be written to disk is not to be paid by the next one.
calm() {
    sql "$1" 'SET GLOBAL innodb_max_dirty_pages_pct_lwm = 0, innodb_max_dirty_pages_pct = 0'
    until [[ $(sql "$1" "SHOW GLOBAL STATUS LIKE 'Innodb_buffer_pool_pages_dirty'" | cut -f 2) -lt 50 ]]; do sleep 0.1; done
    sql "$1" 'SET GLOBAL innodb_max_dirty_pages_pct = 90'
}
fresh() {
    local side
    for side in source target; do
        sql "$side" 'DROP DATABASE IF EXISTS highwater_capture; DROP DATABASE IF EXISTS bench; CREATE DATABASE bench; RESET MASTER'
    done
    sql source "USE bench;
        CREATE TABLE token (id BIGINT PRIMARY KEY, value VARCHAR(64) NOT NULL UNIQUE, state VARCHAR(25), created DATETIME(6), scope TEXT);
        INSERT INTO token SELECT seq, CONCAT(MD5(seq), MD5(seq * 7)), 'ACTIVE', '2026-01-01' + INTERVAL seq SECOND, CONCAT('openid profile ', seq % 100)
        FROM seq_1_to_$rows; ANALYZE TABLE token" >/dev/null
    calm source
    calm target
}
change() { sql source "UPDATE bench.token SET state = 'EXPIRED' WHERE id % ($rows DIV $changes) = 0"; }
same() {
    local sum="SELECT COUNT(*), SUM(CRC32(CONCAT_WS('|', id, value, state, created, scope))) FROM bench.token"
    [[ $(sql source "$sum") == "$(sql target "$sum")" ]] || stop "$1: source and target differ"
}
dump() { client mariadb-dump source --single-transaction "$@" bench | client mariadb target bench; }

by_dump() {
    fresh
    local begun; begun=$(now)
    dump
    measured copy "$begun"
    same "mariadb-dump | mariadb"
}
by_mydumper() {
    fresh
    local begun; begun=$(now)
    rm -rf "$folder/pieces"
    mydumper --host=127.0.0.1 --port="$(port source)" --user=root --database=bench --outputdir="$folder/pieces" \
        --threads=2 --rows=50000 >"$folder/log" 2>&1 || { cat "$folder/log" >&2; exit 1; }
    myloader --host=127.0.0.1 --port="$(port target)" --user=root --database=bench --directory="$folder/pieces" \
        --threads=2 --overwrite-tables >"$folder/log" 2>&1 || { cat "$folder/log" >&2; exit 1; }
    measured copy "$begun"
    same "mydumper | myloader"
}
# The replica begins with a dump, which by_dump has measured.
by_replication() {
    fresh
    dump
    sql target "SET GLOBAL gtid_slave_pos = '$(sql source 'SELECT @@gtid_binlog_pos')';
        CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = $(port source), MASTER_USER = 'root', MASTER_USE_GTID = slave_pos"
    calm target
    local begun; begun=$(now)
    change
    measured write "$begun"
    local end; end=$(sql source 'SELECT @@gtid_binlog_pos')
    begun=$(now)
    sql target 'START SLAVE'
    [[ $(sql target "SELECT MASTER_GTID_WAIT('$end', 600)") == 0 ]] || stop "replication did not arrive: $(sql target 'SHOW SLAVE STATUS')"
    measured drain "$begun"
    same replication
    sql target "STOP SLAVE; RESET SLAVE ALL; SET GLOBAL gtid_slave_pos = ''"
}
