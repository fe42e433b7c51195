-- What the target allows us, as a whole. $1: the ledger's schema.
SELECT pg_catalog.pg_is_in_recovery() AS standby,
       current_setting('transaction_read_only')::boolean AS read_only,
       current_setting('server_version_num')::int AS version,
       current_setting('server_encoding') AS encoding,
       quote_ident(current_database()) AS database,
       has_database_privilege(current_database(), 'CREATE') AS may_create,
       has_database_privilege(current_database(), 'TEMPORARY') AS may_temporary,
       coalesce((SELECT has_schema_privilege(n.oid, 'CREATE') AND has_schema_privilege(n.oid, 'USAGE')
                   FROM pg_catalog.pg_namespace n WHERE n.nspname = $1), false) AS has_ledger_schema,
       -- Only known from version 15 on, where a column of pg_database holds it.
       (SELECT (pg_catalog.to_jsonb(d) ->> 'datcollversion')
               IS DISTINCT FROM (pg_catalog.to_jsonb(a) ->> 'version')
               AND (pg_catalog.to_jsonb(d) ->> 'datcollversion') IS NOT NULL
               AND (pg_catalog.to_jsonb(a) ->> 'version') IS NOT NULL
          FROM pg_catalog.pg_database d
          LEFT JOIN LATERAL (SELECT pg_catalog.pg_collation_actual_version(c.oid) AS version
                               FROM pg_catalog.pg_collation c WHERE c.collname = 'default') a ON true
         WHERE d.datname = current_database()) AS collation_changed,
       (SELECT string_agg(e.evtname, ', ' ORDER BY e.evtname) FROM pg_catalog.pg_event_trigger AS e
         WHERE e.evtenabled <> 'D' AND e.evtevent IN ('ddl_command_start', 'ddl_command_end')) AS event_triggers
