(SELECT md5(coalesce(string_agg(concat_ws(' ', g.tgname, g.tgenabled, g.tgtype, g.tgoldtable, g.tgnewtable,
        g.tgattr, g.tgqual IS NULL, g.xmin, p.oid, p.prosrc, p.prosecdef, p.proconfig), ',' ORDER BY g.tgname), ''))
    FROM pg_catalog.pg_trigger AS g
    JOIN pg_catalog.pg_proc AS p ON p.oid = g.tgfoid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace AND n.nspname = {schema_name}
    WHERE g.tgrelid = c.oid)
