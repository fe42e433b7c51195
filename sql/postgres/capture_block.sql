    -- Whatever became of the log, the write passes.
    IF {intact} THEN
{statement};
    ELSIF to_regclass({broken_name}) IS NOT NULL THEN
        INSERT INTO {s}.broken (log, reason)
        SELECT {log_name}, format('%s on %s could not be logged', TG_OP, TG_RELID::regclass)
        WHERE NOT EXISTS (SELECT FROM {s}.broken AS b WHERE b.log = {log_name});
    END IF;
