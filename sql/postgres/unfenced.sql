-- Sessions whose snapshot or transaction is not newer than the fence. Those of other databases can't
-- write here; autovacuum (no user) and walsenders don't; highwater's own only read.
WITH fence AS (SELECT age(f.xid::xid) AS age FROM {s}.fence AS f)
SELECT coalesce(v.virtualtransaction, a.pid::text),
    format('pid %s (%s%s%s)', a.pid, a.usename, coalesce(', ' || nullif(a.application_name, ''), ''),
        coalesce(', since ' || a.xact_start, ''))
FROM fence CROSS JOIN pg_stat_activity AS a
LEFT JOIN pg_locks AS v ON v.pid = a.pid AND v.locktype = 'virtualxid' AND v.mode = 'ExclusiveLock'
WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.usesysid IS NOT NULL
    AND a.backend_type IS DISTINCT FROM 'walsender'
    AND NOT (a.application_name = 'highwater' AND a.usename = current_user)
    AND greatest(age(a.backend_xid), age(a.backend_xmin)) >= fence.age
UNION ALL
SELECT p.gid, format('prepared transaction %L (%s, since %s)', p.gid, p.owner, p.prepared)
FROM fence CROSS JOIN pg_prepared_xacts AS p
WHERE p.database = current_database() AND age(p.transaction) >= fence.age
