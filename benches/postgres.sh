# shellcheck shell=bash disable=SC2154,SC2034 # what benches/run has set, and what it uses
# PostgreSQL for benches/run, which sources this.

peers=(dump subscription highwater)

bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
[[ -x $bin/postgres ]] || stop "no PostgreSQL server under /usr/lib/postgresql: apt-get install postgresql"

version() { "$bin/postgres" --version; }
port() { [[ $1 == source ]] && echo 25431 || echo 25432; }
url() { echo "postgres://postgres@127.0.0.1:$(port "$1")/bench"; }
sql() { "$bin/psql" -qAtX -v ON_ERROR_STOP=1 "$(url "$1")" -c "$2"; }

start_servers() {
    own_folder postgres
    for side in source target; do
        "${as_server[@]}" "$bin/initdb" -D "$folder/$side" -U postgres -A trust -N >/dev/null
        "${as_server[@]}" "$bin/pg_ctl" -D "$folder/$side" -l "$folder/$side.log" -w start >/dev/null -o \
            "-p $(port "$side") -k $folder -c listen_addresses=127.0.0.1 -c wal_level=logical -c shared_buffers=512MB -c max_wal_size=4GB"
    done
}
stop_servers() {
    for side in source target; do
        "${as_server[@]}" "$bin/pg_ctl" -D "$folder/$side" -m immediate stop >/dev/null 2>&1 || true
    done
}

fresh() {
    for side in source target; do
        "$bin/psql" -qX "postgres://postgres@127.0.0.1:$(port "$side")/postgres" \
            -c 'DROP DATABASE IF EXISTS bench WITH (FORCE)' -c 'CREATE DATABASE bench' 2>/dev/null
    done
    sql source "CREATE TABLE token (id bigint PRIMARY KEY, value text NOT NULL UNIQUE, state varchar(25), created timestamptz, scope text);
        INSERT INTO token SELECT n, md5(n::text) || md5((n * 7)::text), 'ACTIVE', '2026-01-01'::timestamptz + n * interval '1 second', 'openid profile ' || n % 100
        FROM generate_series(1, $rows) n;"
    sql source 'VACUUM ANALYZE token'
    sql source 'CHECKPOINT'
}
change() { sql source "UPDATE token SET state = 'EXPIRED' WHERE id % ($rows / $changes) = 0"; }
same() {
    local sum="SELECT count(*), sum(hashtext(token::text)::bigint) FROM token"
    [[ $(sql source "$sum") == "$(sql target "$sum")" ]] || stop "$1: source and target differ"
}

by_dump() {
    fresh
    local begun; begun=$(now)
    "$bin/pg_dump" "$(url source)" | "$bin/psql" -qX "$(url target)" >/dev/null
    measured copy "$begun"
    same "pg_dump | psql"
    begun=$(now)
    change
    measured write "$begun"
}
by_subscription() {
    fresh
    "$bin/pg_dump" --schema-only "$(url source)" | "$bin/psql" -qX "$(url target)" >/dev/null
    sql source 'CREATE PUBLICATION bench FOR ALL TABLES' 2>/dev/null
    local begun; begun=$(now)
    sql target "CREATE SUBSCRIPTION bench CONNECTION '$(url source)' PUBLICATION bench" 2>/dev/null
    until [[ $(sql target "SELECT bool_and(srsubstate = 'r') FROM pg_subscription_rel") == t ]]; do sleep 0.05; done
    measured copy "$begun"
    sql target 'ALTER SUBSCRIPTION bench DISABLE'
    change
    local end; end=$(sql source 'SELECT pg_current_wal_insert_lsn()')
    begun=$(now)
    sql target 'ALTER SUBSCRIPTION bench ENABLE'
    until [[ $(sql source "SELECT coalesce(bool_and(confirmed_flush_lsn >= '$end'), false) FROM pg_replication_slots") == t ]]; do sleep 0.05; done
    measured drain "$begun"
    same subscription
    sql target 'DROP SUBSCRIPTION bench' 2>/dev/null
}
