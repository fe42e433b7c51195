SELECT {number}, EXISTS (
    SELECT FROM seen, unnest(string_to_array('{open}', ',')::xid8[]) AS o(xid)
    WHERE pg_visible_in_snapshot(o.xid, seen.snapshot)
        AND EXISTS (SELECT FROM {log} AS l WHERE l.xid = o.xid)
) OR EXISTS (
    SELECT FROM gap AS g
    WHERE EXISTS (SELECT FROM {log} AS l WHERE l.xid >= greatest(g.low, '{next}'::xid8) AND l.xid < g.high)
)
