-- What the tables need besides themselves: types, functions, collations, sequences, extensions, schemas.
WITH RECURSIVE wanted(oid) AS (SELECT unnest(ARRAY[{oids}]::oid[])
), need(classid, objid) AS (
    SELECT 'pg_class'::regclass::oid, w.oid FROM wanted AS w
    UNION
    SELECT d.classid, d.objid FROM need AS n CROSS JOIN LATERAL (
        SELECT d.refclassid AS classid, d.refobjid AS objid FROM pg_depend AS d
        WHERE d.classid = n.classid AND d.objid = n.objid AND d.refobjid >= 16384
        UNION ALL
        SELECT d.classid, d.objid FROM pg_depend AS d
        WHERE d.refclassid = n.classid AND d.refobjid = n.objid AND d.deptype IN ('a', 'i')
            AND d.refobjid IN (SELECT w.oid FROM wanted AS w)
    ) AS d
    -- Another table is not made with what it needs.
    WHERE n.classid <> 'pg_class'::regclass OR n.objid IN (SELECT w.oid FROM wanted AS w)
        OR EXISTS (SELECT FROM pg_class AS c WHERE c.oid = n.objid AND c.relkind IN ('S', 'c', 'i', 'I'))
)
SELECT 'TYPE', s.nspname, t.typname FROM need AS n
JOIN pg_type AS t ON n.classid = 'pg_type'::regclass AND t.oid = n.objid JOIN pg_namespace AS s ON s.oid = t.typnamespace
UNION SELECT 'FUNCTION', s.nspname, p.proname FROM need AS n
JOIN pg_proc AS p ON n.classid = 'pg_proc'::regclass AND p.oid = n.objid JOIN pg_namespace AS s ON s.oid = p.pronamespace
UNION SELECT 'COLLATION', s.nspname, o.collname FROM need AS n
JOIN pg_collation AS o ON n.classid = 'pg_collation'::regclass AND o.oid = n.objid
JOIN pg_namespace AS s ON s.oid = o.collnamespace
UNION SELECT 'SEQUENCE', s.nspname, c.relname FROM need AS n
JOIN pg_class AS c ON n.classid = 'pg_class'::regclass AND c.oid = n.objid AND c.relkind = 'S'
JOIN pg_namespace AS s ON s.oid = c.relnamespace
UNION SELECT 'EXTENSION', '-', e.extname FROM need AS n
JOIN pg_extension AS e ON n.classid = 'pg_extension'::regclass AND e.oid = n.objid
UNION SELECT 'SCHEMA', '-', s.nspname FROM need AS n
JOIN pg_namespace AS s ON n.classid = 'pg_namespace'::regclass AND s.oid = n.objid
