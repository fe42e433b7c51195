-- REPLACE removes the rows that stand in a new row's way without firing their DELETE triggers. Their
-- keys are found here first, by each unique index; by the key's own one it shows that the key
-- is no new one, whether or not a row comes of it.
CREATE TRIGGER "{p}_before_insert_{t}" BEFORE INSERT ON {table}
BEGIN
{replaced by insert}
END

CREATE TRIGGER "{p}_before_update_{t}" BEFORE UPDATE ON {table}{when}
BEGIN
{replaced by update}
END
