-- What all triggers of a captured table have in common. A write passes without its key when the change log
-- is gone: that is noted, and the table is copied again. The fence refuses the insert into the log or the note.
CREATE TRIGGER {trigger} {when} ON {table} FOR EACH ROW
BEGIN
    DECLARE CONTINUE HANDLER FOR 1049, 1054, 1146
    BEGIN
        DECLARE CONTINUE HANDLER FOR 1049, 1054, 1146 BEGIN END;
        {missed}
    END;
{body}END
