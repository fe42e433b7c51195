WITH range(low, after, high) AS (VALUES {ranges}
), entry AS MATERIALIZED (
    SELECT e.*
    FROM range AS r
    CROSS JOIN LATERAL (
        SELECT l.xid, l.id, l.kind{keys} FROM {log} AS l
        WHERE (l.xid, l.id) > (r.low, r.after) AND l.xid <= r.high
        ORDER BY l.xid, l.id LIMIT {limit}
    ) AS e
    ORDER BY e.xid, e.id LIMIT {limit}
)
