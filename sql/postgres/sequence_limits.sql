-- Limits and step of the sequence $1 (quoted name).
SELECT s.seqmin, s.seqmax, s.seqincrement
  FROM pg_catalog.pg_sequence s
 WHERE s.seqrelid = $1::text::pg_catalog.regclass
