-- The fence of one attempt on a change log. Whatever goes wrong here refuses the write.
CREATE TRIGGER {trigger} BEFORE INSERT ON {table} FOR EACH ROW
BEGIN
    DECLARE highwater_stamp BIGINT;
    DECLARE EXIT HANDLER FOR SQLEXCEPTION, NOT FOUND
        SIGNAL SQLSTATE 'HW001' SET MESSAGE_TEXT = 'highwater fence: this database is being moved and takes no writes';
    SELECT {stamp} INTO highwater_stamp FROM {lowered} WHERE {only} LIMIT 18446744073709551615;
    IF (highwater_stamp > {attempt}) IS NOT TRUE THEN
        INSERT INTO {passed} (id, database_name, log) VALUES (1 + 2 * (CONNECTION_ID() MOD 500), {database}, {log});
        SIGNAL SQLSTATE 'HW001' SET MESSAGE_TEXT = 'highwater fence: this database is being moved and takes no writes';
    END IF;
END
