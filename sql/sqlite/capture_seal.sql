-- Made last: a trigger that was dropped and made again stands behind it in the schema, which tells that
-- the log may have missed something meanwhile.
CREATE TRIGGER "{p}_seal_{t}" BEFORE UPDATE ON {log}
BEGIN
    SELECT RAISE(ABORT, 'highwater: the entries of a change log are never changed');
END
