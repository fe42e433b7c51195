-- The transactions that have ended by now, as ranges between those that are open.
WITH seen AS MATERIALIZED (SELECT pg_current_snapshot() AS snapshot
), cut AS (
    SELECT x, (x::text::bigint + 1)::text::xid8 AS next FROM seen, pg_snapshot_xip(seen.snapshot) AS x
    UNION ALL
    SELECT pg_snapshot_xmax(seen.snapshot), NULL FROM seen
), gap AS MATERIALIZED (
    SELECT coalesce(lag(next) OVER (ORDER BY x), '0'::xid8) AS low, x AS high FROM cut
)
