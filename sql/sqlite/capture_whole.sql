-- Rows of a table without a key: each change says that the table has changed.
CREATE TRIGGER "{p}_insert_{t}" AFTER INSERT ON {table}
BEGIN
    INSERT INTO {log} (kind) VALUES ('W');
END

CREATE TRIGGER "{p}_update_{t}" AFTER UPDATE ON {table}
BEGIN
    INSERT INTO {log} (kind) VALUES ('W');
END

CREATE TRIGGER "{p}_delete_{t}" AFTER DELETE ON {table}
BEGIN
    INSERT INTO {log} (kind) VALUES ('W');
END
