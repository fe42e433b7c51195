WITH range(low, after, high) AS (VALUES {ranges}
), entry AS MATERIALIZED (
    SELECT e.*
    FROM range AS r
    CROSS JOIN LATERAL (
        SELECT {keys} FROM {log} AS l
        WHERE (l.xid, l.id) > (r.low, r.after) AND l.xid <= r.high AND l.kind IN ('I', 'D')
    ) AS e
), wanted(n, {keys}) AS (VALUES {values}
)
SELECT w.n FROM wanted AS w WHERE EXISTS (SELECT FROM entry AS e WHERE {same}) ORDER BY w.n
