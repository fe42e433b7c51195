-- The source as a whole. Nothing here needs more than the right to connect.
SELECT pg_is_in_recovery(),
    current_setting('transaction_read_only') = 'on',
    has_database_privilege(current_database(), 'CREATE'),
    current_database(),
    current_user,
    EXISTS (SELECT FROM pg_largeobject_metadata),
    EXISTS (SELECT FROM pg_namespace WHERE nspname = {ledger}),
    (SELECT string_agg(format('%L (since %s)', p.gid, p.prepared), ', ') FROM pg_prepared_xacts AS p
     WHERE p.database = current_database()),
    (SELECT string_agg(e.evtname, ', ' ORDER BY e.evtname) FROM pg_event_trigger AS e
     WHERE e.evtenabled NOT IN ('D', 'R') AND e.evtevent IN ('ddl_command_start', 'ddl_command_end', 'sql_drop')),
    pg_has_role('pg_read_all_stats', 'USAGE'),
    -- Origins are the server's. Those of another database's subscription say by their name whose they are.
    (SELECT string_agg(o.roname, ', ') FROM pg_replication_origin AS o
     WHERE NOT EXISTS (
         SELECT FROM pg_subscription AS s JOIN pg_database AS d ON d.oid = s.subdbid
         WHERE d.datname <> current_database() AND o.roname ~ format('^pg_%s(_|$)', s.oid))),
    (SELECT string_agg(format('%I', p.pubname), ', ' ORDER BY p.pubname) FROM pg_publication AS p WHERE p.puballtables),
    current_setting('server_encoding') = 'SQL_ASCII'
