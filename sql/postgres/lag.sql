(SELECT {number}, count(*), extract(epoch FROM clock_timestamp() - min(d.captured_at))
FROM (
    SELECT e.captured_at FROM (VALUES {ranges}) AS r(low, after, high) CROSS JOIN LATERAL (
        SELECT l.captured_at FROM {log} AS l WHERE (l.xid, l.id) > (r.low, r.after) AND l.xid <= r.high
        ORDER BY l.xid, l.id LIMIT {most}) AS e
    LIMIT {most}
) AS d)
