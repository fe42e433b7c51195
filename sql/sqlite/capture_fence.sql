-- The fence of one table, captured or not.
CREATE TRIGGER "{p}_fence_insert_{t}" BEFORE INSERT ON {table}
WHEN (SELECT raised FROM "{p}_fence")
BEGIN
    SELECT RAISE(ABORT, 'highwater fence: this database is being moved and takes no writes');
END

CREATE TRIGGER "{p}_fence_update_{t}" BEFORE UPDATE ON {table}
WHEN (SELECT raised FROM "{p}_fence")
BEGIN
    SELECT RAISE(ABORT, 'highwater fence: this database is being moved and takes no writes');
END

CREATE TRIGGER "{p}_fence_delete_{t}" BEFORE DELETE ON {table}
WHEN (SELECT raised FROM "{p}_fence")
BEGIN
    SELECT RAISE(ABORT, 'highwater fence: this database is being moved and takes no writes');
END
