-- REPLACE removes the rows that stand in a new row's way without firing their DELETE triggers. Their
-- keys are found here first, by each unique index but the key's own (there the new row's key is theirs).
CREATE TRIGGER "{p}_before_insert_{t}" BEFORE INSERT ON {table}
BEGIN
{replaced by insert}
END

CREATE TRIGGER "{p}_before_update_{t}" BEFORE UPDATE ON {table}{when}
BEGIN
{replaced by update}
END
