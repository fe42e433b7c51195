-- The fences on change logs: log, attempt, whether it is one that every session meets.
SELECT c.relname, split_part(encode(g.tgargs, 'escape'), '\000', 1)::bigint, g.tgenabled = 'A'
FROM pg_trigger AS g
JOIN pg_class AS c ON c.oid = g.tgrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname = {schema_name}
JOIN pg_proc AS p ON p.oid = g.tgfoid AND p.proname = 'refuse' AND p.pronamespace = n.oid
ORDER BY c.relname, 2
