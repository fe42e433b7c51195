WITH given(n, {keys}) AS (VALUES {values}
), wanted AS NOT MATERIALIZED (
    SELECT n AS hw_at, n AS hw_n, {keys} FROM given ORDER BY n
)
{states}
