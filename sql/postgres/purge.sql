WITH range(low, after, high) AS (VALUES {ranges}
), doomed AS MATERIALIZED (
    SELECT e.*
    FROM range AS r
    CROSS JOIN LATERAL (
        SELECT l.ctid AS place, l.xid, l.id FROM {log} AS l
        WHERE (l.xid, l.id) > (r.low, r.after) AND l.xid <= r.high
        ORDER BY l.xid, l.id LIMIT {limit}
    ) AS e
    ORDER BY e.xid, e.id LIMIT {limit}
), gone AS (
    DELETE FROM {log} AS l WHERE l.ctid = ANY (ARRAY(SELECT d.place FROM doomed AS d)) RETURNING 1
)
SELECT (SELECT count(*) FROM gone),
    (SELECT d.xid FROM doomed AS d ORDER BY d.xid DESC, d.id DESC LIMIT 1),
    (SELECT d.id FROM doomed AS d ORDER BY d.xid DESC, d.id DESC LIMIT 1)
