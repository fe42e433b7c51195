-- The trigger on a change log while the fence of an attempt (its argument) stands. It refuses unless the
-- attempt is known to be lowered. It runs under the writer's search_path.
CREATE FUNCTION {s}.refuse() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
AS $highwater$
BEGIN
    IF pg_catalog.to_regclass({fence_name}) IS NOT NULL THEN
        IF EXISTS (SELECT FROM {s}.fence AS f WHERE f.stamp OPERATOR(pg_catalog.>) TG_ARGV[0]::pg_catalog.int8) THEN
            RETURN NULL;
        END IF;
    END IF;
    RAISE EXCEPTION USING
        ERRCODE = 'HW001',
        MESSAGE = pg_catalog.format('highwater has fenced this database: %s takes no writes', TG_TABLE_NAME),
        HINT = 'The database moves to another server. `highwater final-sync --lower` lowers the fence.';
END
$highwater$;

-- Whether the session's writes are highwater's own: any role can set the marker, so it counts for one role
-- only. Such writes meet no log; so they ask the fence themselves.
CREATE FUNCTION {s}.own_write() RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $highwater$
BEGIN
    IF NOT EXISTS (SELECT FROM {s}.meta AS m WHERE m.role = session_user) THEN
        RETURN false;
    END IF;
    IF EXISTS (SELECT FROM {s}.fence AS f WHERE f.raised < f.stamp) THEN
        RETURN true;
    END IF;
    RAISE EXCEPTION USING
        ERRCODE = 'HW001',
        MESSAGE = 'highwater has fenced this database: it takes no writes of its own either',
        HINT = '`highwater final-sync --lower` lowers the fence.';
END
$highwater$;

-- Puts the fence of an attempt on a log. SECURITY DEFINER, as only a log's owner may do that; without effect
-- where the trigger is there.
CREATE FUNCTION {s}.raise_fence(log name, attempt bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $highwater$
DECLARE
    log_sql text := format('%I.%I', {schema_name}, log);
    trigger_name text := format('fence %s', attempt);
BEGIN
    IF NOT EXISTS (SELECT FROM pg_trigger AS g
                   WHERE g.tgrelid = log_sql::regclass AND g.tgname = trigger_name::name) THEN
        EXECUTE format('CREATE TRIGGER %I BEFORE INSERT ON %s FOR EACH STATEMENT EXECUTE FUNCTION %I.refuse(%L)',
            trigger_name, log_sql, {schema_name}, attempt);
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', log_sql, trigger_name);
    END IF;
END
$highwater$;

-- Takes the fence of a lowered attempt off a log; that of another attempt stays.
CREATE FUNCTION {s}.drop_fence(log name, attempt bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $highwater$
BEGIN
    IF EXISTS (SELECT FROM {s}.fence AS f WHERE f.stamp > attempt) THEN
        EXECUTE format('DROP TRIGGER IF EXISTS %I ON %I.%I', format('fence %s', attempt), {schema_name}, log);
    END IF;
END
$highwater$;

-- A log that is made while a fence stands is made with it. The row is held to the end of the transaction:
-- an attempt that begins meanwhile waits, and finds the log.
CREATE FUNCTION {s}.fence_new_log(log name) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $highwater$
DECLARE
    f record;
BEGIN
    SELECT stamp, raised INTO STRICT f FROM {s}.fence FOR SHARE;
    IF f.raised >= f.stamp THEN
        PERFORM {s}.raise_fence(log, f.raised);
    END IF;
END
$highwater$;
REVOKE ALL ON FUNCTION {s}.raise_fence(name, bigint), {s}.drop_fence(name, bigint), {s}.fence_new_log(name) FROM PUBLIC;
SELECT {s}.fence_new_log('broken')
