-- The fence of attempt {n} on one change log. It exists only while an attempt is up, and until its inert
-- triggers are dropped. A write that must leave an entry in the log fails with it. RAISE(ABORT) undoes the
-- statement under every conflict clause of the writer (OR IGNORE, OR REPLACE, OR FAIL, ON CONFLICT). Without
-- the fence's row it refuses; without the fence's table the write fails as well.
CREATE TRIGGER "{p}_fence_{n}_{t}" BEFORE INSERT ON {log}
BEGIN
    SELECT RAISE(ABORT, 'highwater fence: this database is being moved and takes no writes')
    WHERE NOT EXISTS (SELECT 1 FROM "{p}_fence" WHERE stamp > {n});
END
