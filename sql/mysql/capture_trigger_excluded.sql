-- What all triggers of an excluded table have in common: it has no log, so they read whether the fence is up.
CREATE TRIGGER {trigger} {when} ON {table} FOR EACH ROW
BEGIN
    DECLARE highwater_up TINYINT;
    DECLARE CONTINUE HANDLER FOR 1049, 1054, 1146, NOT FOUND BEGIN END;
    SELECT f.raised >= {stamp} INTO highwater_up FROM {fence} AS f, {lowered}
    WHERE f.database_name = {database} AND {only} LIMIT 18446744073709551615;
    IF highwater_up THEN
        SIGNAL SQLSTATE 'HW001' SET MESSAGE_TEXT = 'highwater fence: this database is being moved and takes no writes';
    END IF;
{body}END
