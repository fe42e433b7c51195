SELECT current_setting('server_version_num'),
    EXISTS (SELECT FROM pg_catalog.pg_subscription AS s WHERE s.subdbid = d.oid),
    8 = (SELECT count(*) FROM pg_catalog.pg_class AS c WHERE c.relnamespace = n.oid
        AND c.relname IN ('meta', 'tables', 'members', 'storage', 'broken', 'fence', 'heartbeat', 'canary')),
    EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.relnamespace = n.oid)
        OR EXISTS (SELECT FROM pg_catalog.pg_proc AS p WHERE p.pronamespace = n.oid),
    pg_catalog.pg_has_role(n.nspowner, 'USAGE'),
    pg_catalog.pg_get_userbyid(n.nspowner),
    c.system_identifier,
    d.oid,
    -- The triggers run as the owner of the functions. A log alone that another role owns is made anew.
    (SELECT string_agg(format('ALTER TABLE %s OWNER TO %s;', t.oid::regclass, p.proowner::regrole), ' ')
     FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_class AS t ON t.relnamespace = n.oid AND t.relkind = 'r'
     WHERE p.pronamespace = n.oid AND p.proname = 'refuse' AND t.relowner <> p.proowner
     HAVING bool_or(t.relname IN ('meta', 'tables', 'members', 'storage', 'broken', 'fence', 'heartbeat', 'canary'))),
    (SELECT md5(string_agg(concat_ws(' ', i.inhparent, i.inhrelid), ',' ORDER BY i.inhrelid, i.inhparent))
     FROM pg_catalog.pg_inherits AS i
     JOIN pg_catalog.pg_class AS h ON h.oid = i.inhrelid AND NOT h.relispartition AND h.relkind IN ('r', 'f'))
FROM pg_catalog.pg_database AS d
CROSS JOIN pg_catalog.pg_control_system() AS c
LEFT JOIN pg_catalog.pg_namespace AS n ON n.nspname = {schema_name}
WHERE d.datname = current_database()
