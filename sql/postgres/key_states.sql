WITH wanted(n, {keys}) AS (VALUES {values})
SELECT 0::bigint AS hw_xid, w.n AS hw_n, t.tableoid IS NOT NULL AS hw_present, {wanted_keys}, {columns}
FROM (SELECT * FROM wanted ORDER BY n) AS w
LEFT JOIN {table} AS t ON {same}
ORDER BY w.n
