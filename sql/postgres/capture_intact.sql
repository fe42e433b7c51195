EXISTS (SELECT FROM pg_catalog.pg_namespace AS n
        JOIN pg_catalog.pg_class AS l ON l.relnamespace OPERATOR(pg_catalog.=) n.oid
            AND l.relname OPERATOR(pg_catalog.=) {log_name}::pg_catalog.name{key}
        WHERE n.nspname OPERATOR(pg_catalog.=) {schema_name}::pg_catalog.name
            AND pg_catalog.has_schema_privilege(n.oid, 'USAGE'){rights})
