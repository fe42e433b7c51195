        JOIN pg_catalog.pg_attribute AS {alias} ON {alias}.attrelid OPERATOR(pg_catalog.=) TG_RELID
            AND {alias}.attname OPERATOR(pg_catalog.=) {column}::pg_catalog.name
            AND {alias}.atttypid OPERATOR(pg_catalog.=) {type_id}::pg_catalog.oid
