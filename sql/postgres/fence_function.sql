CREATE FUNCTION {function}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $highwater$
BEGIN
    IF to_regclass({fence_name}) IS NOT NULL THEN
        IF (SELECT raised FROM {s}.fence) THEN
            RAISE EXCEPTION USING
                ERRCODE = 'HW001',
                MESSAGE = format('highwater has fenced this database: %I.%I takes no writes', TG_TABLE_SCHEMA, TG_TABLE_NAME),
                HINT = 'The database moves to another server. `highwater final-sync --lift` lowers the fence.';
        END IF;
    END IF;
    IF TG_LEVEL = 'ROW' THEN
        IF TG_OP = 'DELETE' THEN
            RETURN OLD;
        END IF;
        RETURN NEW;
    END IF;
    RETURN NULL;
END
$highwater$
