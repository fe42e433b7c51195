SELECT c.oid,
    has_table_privilege(c.oid, 'TRIGGER'),
    has_table_privilege(c.oid, 'SELECT'),
    has_schema_privilege(c.relnamespace, 'USAGE'),
    row_security_active(c.oid),
    c.relpersistence = 'u'
FROM pg_class AS c
WHERE c.oid = ANY (ARRAY[{oids}]::oid[])
