-- Identifies what a table's own rows hold in some columns, whatever their order: how many rows there are, how many
-- of them have a hash, and the sums of both halves of the hashes.
SELECT pg_catalog.count(*), pg_catalog.count(r.hash),
       pg_catalog.sum(('x' || pg_catalog.substr(r.hash, 1, 16))::pg_catalog.bit(64)::bigint::numeric),
       pg_catalog.sum(('x' || pg_catalog.substr(r.hash, 17, 16))::pg_catalog.bit(64)::bigint::numeric)
  FROM (SELECT pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(ROW({columns})::text, 'UTF8')), 'hex') AS hash
          FROM {rows} AS t) AS r
