CREATE TRIGGER "{p}_guard_{t}" BEFORE UPDATE ON {log}
BEGIN
    SELECT RAISE(ABORT, 'highwater: the entries of a change log are never changed');
END
