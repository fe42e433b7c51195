BEGIN
    DECLARE highwater_found, highwater_end TINYINT DEFAULT 0;
    {variables}
    DECLARE highwater_rows CURSOR FOR
        SELECT {key} FROM {rows} LIMIT 18446744073709551615 LOCK IN SHARE MODE;
    DECLARE CONTINUE HANDLER FOR NOT FOUND, 1326 SET highwater_end = 1;
    DECLARE CONTINUE HANDLER FOR 1049, 1054, 1146
    BEGIN
        DECLARE CONTINUE HANDLER FOR 1049, 1054, 1146 BEGIN END;
        SET highwater_end = 1;
        {missed}
    END;
    OPEN highwater_rows;
    highwater_each: LOOP
        FETCH highwater_rows INTO {names};
        IF highwater_end THEN LEAVE highwater_each; END IF;
        SET highwater_found = 1;
        INSERT INTO {log} (kind, captured_at, {k}) VALUES ('{kind}', UTC_TIMESTAMP(6), {names});
    END LOOP;
    CLOSE highwater_rows;
{further}END;
