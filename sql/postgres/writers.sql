-- Who holds a lock that a write of a captured table takes and keeps to its transaction's end.
SELECT DISTINCT coalesce(p.gid, l.virtualtransaction),
    CASE WHEN p.gid IS NOT NULL THEN format('prepared transaction %L (%s, since %s)', p.gid, p.owner, p.prepared)
        ELSE format('pid %s (%s%s%s)', l.pid, a.usename, coalesce(', ' || nullif(a.application_name, ''), ''),
            coalesce(', since ' || a.xact_start, '')) END
FROM pg_locks AS l
JOIN {s}.members AS m ON m.relid = l.relation
JOIN {s}.tables AS t ON t.log = m.log AND t.captured AND t.label IN ({labels})
LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
-- A prepared transaction has no session; it is known by the lock on its own number.
LEFT JOIN pg_locks AS x ON l.pid IS NULL AND x.pid IS NULL AND x.locktype = 'transactionid' AND x.granted
    AND x.virtualtransaction = l.virtualtransaction
LEFT JOIN pg_prepared_xacts AS p ON p.transaction = x.transactionid
WHERE l.locktype = 'relation' AND l.granted AND l.pid IS DISTINCT FROM pg_backend_pid()
    AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
    AND l.mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
    AND NOT coalesce(a.application_name = 'highwater' AND a.usename = current_user, false)
