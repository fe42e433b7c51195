CREATE FUNCTION {function}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
AS $highwater$
-- Runs under the writer's search_path: every name and operator has its schema.
BEGIN
    IF pg_catalog.to_regclass({fence_name}) IS NOT NULL THEN
        IF EXISTS (SELECT FROM {s}.fence AS f WHERE f.raised OPERATOR(pg_catalog.>=) f.stamp) THEN
            RAISE EXCEPTION USING
                ERRCODE = 'HW001',
                MESSAGE = pg_catalog.format('highwater has fenced this database: %I.%I takes no writes', TG_TABLE_SCHEMA, TG_TABLE_NAME),
                HINT = 'The database moves to another server. `highwater final-sync --lower` lowers the fence.';
        END IF;
    END IF;
    IF TG_LEVEL OPERATOR(pg_catalog.=) 'ROW' THEN
        IF TG_OP OPERATOR(pg_catalog.=) 'DELETE' THEN
            RETURN OLD;
        END IF;
        RETURN NEW;
    END IF;
    RETURN NULL;
END
$highwater$
