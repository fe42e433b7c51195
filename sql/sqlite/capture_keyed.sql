-- Rows of a table with a key: each change leaves the row's key; a change of the key leaves both.
CREATE TRIGGER "{p}_insert_{t}" AFTER INSERT ON {table}
BEGIN
    INSERT INTO {log} (kind, {k}) VALUES ('I', {new key});
END

CREATE TRIGGER "{p}_update_{t}" AFTER UPDATE ON {table}
BEGIN
    INSERT INTO {log} (kind, {k}) SELECT 'D', {old key} WHERE {key changed};
    INSERT INTO {log} (kind, {k}) SELECT CASE WHEN {key changed} THEN 'I' ELSE 'U' END, {new key};
END

CREATE TRIGGER "{p}_delete_{t}" AFTER DELETE ON {table}
BEGIN
    INSERT INTO {log} (kind, {k}) VALUES ('D', {old key});
END
