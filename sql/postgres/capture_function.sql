CREATE FUNCTION {function}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
AS $highwater$
-- Runs under the writer's search_path, as a SET clause costs each write 5 %. So every name, type and
-- operator has its schema, and nothing compares by IN, BETWEEN, NULLIF, CASE x WHEN or IS DISTINCT FROM,
-- which look their operator up by search_path.
BEGIN
    -- What highwater itself writes is not a change of production's.
    IF pg_catalog.current_setting('highwater.applying', true) OPERATOR(pg_catalog.=) {migration} THEN
        IF {s}.own_write() THEN
            RETURN NULL;
        END IF;
    END IF;
{blocks}    RETURN NULL;
END
$highwater$
