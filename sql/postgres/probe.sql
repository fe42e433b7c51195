(SELECT {number} FROM (VALUES {ranges}) AS r(low, after, high) CROSS JOIN LATERAL (
    SELECT FROM {log} AS l WHERE (l.xid, l.id) > (r.low, r.after) AND l.xid <= r.high LIMIT 1) AS e LIMIT 1)
