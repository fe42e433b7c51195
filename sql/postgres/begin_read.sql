-- One snapshot for everything that follows; where the server's log stands is asked after it was taken.
{begin}
SET LOCAL lock_timeout = '30s';
SELECT concat(c.system_identifier, '/', d.oid),
    CASE WHEN r.standby THEN ''
        ELSE ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int::text END,
    current_setting('server_version'),
    pg_current_snapshot(),
    CASE WHEN r.standby THEN NULL ELSE pg_current_wal_insert_lsn() END,
    r.standby,
    t.generation,
    t.purged_to
FROM pg_control_system() AS c
CROSS JOIN pg_is_in_recovery() AS r(standby)
JOIN pg_database AS d ON d.datname = current_database()
LEFT JOIN {s}.tables AS t ON t.label = {label} AND t.captured
