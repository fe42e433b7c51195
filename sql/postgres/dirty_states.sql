{window}, net AS (
    SELECT DISTINCT ON ({keys}) xid, id, {keys} FROM entry WHERE kind <> 'T' ORDER BY {keys}, xid, id
)
SELECT w.xid::text::bigint AS hw_xid, w.id AS hw_n, t.tableoid IS NOT NULL AS hw_present, {net_keys}, {columns}
FROM (SELECT * FROM net ORDER BY xid, id) AS w
LEFT JOIN {table} AS t ON {same}
ORDER BY w.xid, w.id
