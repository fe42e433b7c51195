INSERT INTO {s}.members (log, relid, filenode, triggers)
SELECT {log_name}, c.oid, c.relfilenode, {digest}
FROM pg_catalog.pg_class AS c
WHERE c.oid IN ({members})
ON CONFLICT (log, relid) DO NOTHING
