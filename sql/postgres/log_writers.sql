-- Who has written a change log and has not ended: name, for people, age (NULL: not known), log.
SELECT coalesce(l.virtualtransaction, ''),
    CASE WHEN a.pid IS NULL THEN 'a prepared transaction (pg_prepared_xacts)'
        ELSE format('pid %s (%s%s%s)', l.pid, a.usename, coalesce(', ' || nullif(a.application_name, ''), ''),
            coalesce(', since ' || a.xact_start, '')) END,
    extract(epoch FROM clock_timestamp() - a.xact_start),
    min(c.relname)
FROM pg_locks AS l
JOIN pg_class AS c ON c.oid = l.relation
JOIN pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname = {schema_name}
LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
WHERE l.locktype = 'relation' AND l.granted AND l.pid IS DISTINCT FROM pg_backend_pid()
    AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
    AND c.relkind = 'r'
    AND l.mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
GROUP BY 1, 2, 3
