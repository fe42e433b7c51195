IF {note} IS NOT NULL THEN
    BEGIN
        DECLARE highwater_from, highwater_to BIGINT UNSIGNED DEFAULT {note};
        DECLARE highwater_end TINYINT DEFAULT 0;
        {variables}
        DECLARE highwater_rows CURSOR FOR
            SELECT {key} FROM {log} AS l
            WHERE l.seq > highwater_from AND l.seq < highwater_to AND l.kind IN ('I', 'U')
            LIMIT 18446744073709551615 {share} SKIP LOCKED;
        DECLARE CONTINUE HANDLER FOR NOT FOUND, 1326 SET highwater_end = 1;
        DECLARE CONTINUE HANDLER FOR 1049, 1054, 1146
        BEGIN
            DECLARE CONTINUE HANDLER FOR 1049, 1054, 1146 BEGIN END;
            SET highwater_end = 1;
            {missed}
        END;
        INSERT INTO {log} (kind, captured_at) VALUES ('N', UTC_TIMESTAMP(6));
        SET highwater_to = LAST_INSERT_ID();
        OPEN highwater_rows;
        highwater_each: LOOP
            FETCH highwater_rows INTO {names};
            IF highwater_end THEN LEAVE highwater_each; END IF;
            INSERT INTO {log} (kind, captured_at, {k}) VALUES ('{kind}', UTC_TIMESTAMP(6), {names});
        END LOOP;
        CLOSE highwater_rows;
    END;
END IF;
