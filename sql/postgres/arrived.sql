WITH range(low, after, high) AS (VALUES {ranges}
), entry AS MATERIALIZED (
    SELECT e.*
    FROM range AS r
    CROSS JOIN LATERAL (
        SELECT l.xid, l.id, l.kind, {keys} FROM {log} AS l
        WHERE (l.xid, l.id) > (r.low, r.after) AND l.xid <= r.high AND l.kind <> 'T'
    ) AS e
)
-- Numbers are in the order in which the transactions had a key: each holds it until it ends.
SELECT {keys} FROM entry AS e GROUP BY {keys}
HAVING bool_and(NOT pg_visible_in_snapshot(e.xid, {extent}::pg_snapshot))
    AND (array_agg(e.kind ORDER BY e.id))[1] = 'I'
