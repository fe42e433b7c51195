-- Rows of a table with a key: each change leaves the row's key; a change of the key leaves both. Two triggers
-- for UPDATE, as plain VALUES cost less than a SELECT with a condition. (Not UPDATE OF the key: it does not
-- fire for `SET rowid = ..`.)
CREATE TRIGGER "{p}_insert_{t}" AFTER INSERT ON {table}
BEGIN
    INSERT INTO {log} (kind, {k}) VALUES ('I', {new key});
END

CREATE TRIGGER "{p}_update_{t}" AFTER UPDATE ON {table}
WHEN NOT ({key changed})
BEGIN
    INSERT INTO {log} (kind, {k}) VALUES ('U', {new key});
END

CREATE TRIGGER "{p}_rekey_{t}" AFTER UPDATE ON {table}
WHEN {key changed}
BEGIN
    INSERT INTO {log} (kind, {k}) VALUES ('D', {old key});
    INSERT INTO {log} (kind, {k}) VALUES ('I', {new key});
END

CREATE TRIGGER "{p}_delete_{t}" AFTER DELETE ON {table}
BEGIN
    INSERT INTO {log} (kind, {k}) VALUES ('D', {old key});
END
