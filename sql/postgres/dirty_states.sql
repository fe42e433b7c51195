{window}, net AS (
    SELECT DISTINCT ON ({keys}) xid, id, {keys} FROM entry WHERE kind <> 'T' ORDER BY {keys}, xid, id
), wanted AS NOT MATERIALIZED (
    SELECT xid AS hw_at, id AS hw_n, {keys} FROM net ORDER BY xid, id
)
{states}
