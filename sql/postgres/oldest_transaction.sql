-- Others' start times are hidden without pg_read_all_stats; that they have a transaction open is not.
WITH mine AS (
    SELECT a.xact_start,
        a.state IS NULL AND (a.backend_xid IS NOT NULL OR a.backend_xmin IS NOT NULL) AS hidden
    FROM pg_stat_activity AS a
    WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.usesysid IS NOT NULL
        AND NOT (a.application_name = 'highwater' AND a.usename = current_user)
        AND a.backend_type IS DISTINCT FROM 'walsender'
    UNION ALL
    SELECT p.prepared, false FROM pg_prepared_xacts AS p WHERE p.database = current_database()
)
SELECT extract(epoch FROM clock_timestamp()),
    CASE WHEN bool_or(hidden) THEN NULL
        ELSE greatest(0, coalesce(extract(epoch FROM clock_timestamp() - min(xact_start)), 0)) END
FROM mine
