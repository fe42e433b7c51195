    -- Whatever became of the log, the write passes. An exception block would cost a subtransaction.
    IF {intact} THEN
{statement};
    ELSIF {broken_intact} THEN
        INSERT INTO {s}.broken (log, reason)
        SELECT {log_name}, pg_catalog.format('%s on %s could not be logged', TG_OP, TG_RELID::pg_catalog.regclass)
        WHERE NOT EXISTS (SELECT FROM {s}.broken AS b WHERE b.log OPERATOR(pg_catalog.=) {log_name}::pg_catalog.name);
    END IF;
