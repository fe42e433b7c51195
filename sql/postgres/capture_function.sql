CREATE FUNCTION {function}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $highwater$
BEGIN
    -- What highwater itself writes is no change of production's.
    IF current_setting('highwater.applying', true) = {migration} THEN
        RETURN NULL;
    END IF;
{blocks}    RETURN NULL;
END
$highwater$
