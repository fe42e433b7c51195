-- Identifies what a table's rows hold in some columns, whatever their order: how many rows there are, how many of
-- them have a hash, and the sums of both halves of the hashes.
SELECT COUNT(*), COUNT(r.hash), SUM(CAST(CONV(SUBSTR(r.hash, 1, 16), 16, 10) AS UNSIGNED)),
       SUM(CAST(CONV(SUBSTR(r.hash, 17, 16), 16, 10) AS UNSIGNED))
  FROM (SELECT SHA2(CONCAT({columns}), 256) AS hash FROM {table} AS t) AS r
