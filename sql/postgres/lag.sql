SELECT {number}, count(*), extract(epoch FROM clock_timestamp() - min(d.captured_at))
FROM (
    SELECT e.captured_at FROM (VALUES {left}) AS r(low, after, high)
    CROSS JOIN LATERAL (
        SELECT l.captured_at FROM {log} AS l WHERE (l.xid, l.id) > (r.low, r.after) AND l.xid <= r.high
        ORDER BY l.xid, l.id LIMIT {most}) AS e
    UNION ALL
    SELECT e.captured_at FROM seen
    CROSS JOIN unnest(string_to_array('{open}', ',')::xid8[]) AS o(xid)
    CROSS JOIN LATERAL (
        SELECT l.captured_at FROM {log} AS l WHERE l.xid = o.xid ORDER BY l.id LIMIT {most}) AS e
    WHERE pg_visible_in_snapshot(o.xid, seen.snapshot)
    UNION ALL
    SELECT e.captured_at FROM gap AS g
    CROSS JOIN LATERAL (
        SELECT l.captured_at FROM {log} AS l WHERE l.xid >= greatest(g.low, '{next}'::xid8) AND l.xid < g.high
        ORDER BY l.xid, l.id LIMIT {most}) AS e
    LIMIT {most}
) AS d
