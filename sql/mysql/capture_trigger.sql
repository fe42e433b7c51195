-- What all triggers have in common. Each writer locks the row of the fence until its transaction ends,
-- so raising the fence waits for those who passed it before. A write passes without its key when the
-- change log is gone: that is noticed, and the table is copied anew.
CREATE TRIGGER {trigger} {when} ON {table} FOR EACH ROW
BEGIN
    DECLARE highwater_fence TINYINT;
    DECLARE CONTINUE HANDLER FOR 1146, 1054 BEGIN END;
    SELECT f.raised INTO highwater_fence FROM {fence} AS f WHERE f.database_name = {database} LOCK IN SHARE MODE;
    IF highwater_fence THEN
        SIGNAL SQLSTATE 'HW001' SET MESSAGE_TEXT = 'highwater fence: this database is being moved and takes no writes';
    END IF;
{body}END
