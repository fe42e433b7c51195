-- The fence of a table that is not captured: it has no change log, so its triggers read the fence's row.
CREATE TRIGGER "{p}_fence_insert_{t}" BEFORE INSERT ON {table}
WHEN EXISTS (SELECT 1 FROM "{p}_fence" WHERE raised >= stamp)
BEGIN
    SELECT RAISE(ABORT, 'highwater fence: this database is being moved and takes no writes');
END

CREATE TRIGGER "{p}_fence_update_{t}" BEFORE UPDATE ON {table}
WHEN EXISTS (SELECT 1 FROM "{p}_fence" WHERE raised >= stamp)
BEGIN
    SELECT RAISE(ABORT, 'highwater fence: this database is being moved and takes no writes');
END

CREATE TRIGGER "{p}_fence_delete_{t}" BEFORE DELETE ON {table}
WHEN EXISTS (SELECT 1 FROM "{p}_fence" WHERE raised >= stamp)
BEGIN
    SELECT RAISE(ABORT, 'highwater fence: this database is being moved and takes no writes');
END
