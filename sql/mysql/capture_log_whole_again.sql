IF {note} IS NOT NULL THEN
    BEGIN
        DECLARE highwater_from, highwater_to BIGINT UNSIGNED DEFAULT {note};
        DECLARE CONTINUE HANDLER FOR 1049, 1054, 1146
        BEGIN
            DECLARE CONTINUE HANDLER FOR 1049, 1054, 1146 BEGIN END;
            {missed}
        END;
        INSERT INTO {log} (kind, captured_at) VALUES ('N', UTC_TIMESTAMP(6));
        SET highwater_to = LAST_INSERT_ID();
        IF EXISTS (SELECT 1 FROM {log} AS l
                   WHERE l.seq > highwater_from AND l.seq < highwater_to AND l.kind = 'W'
                   LIMIT 18446744073709551615 {share} SKIP LOCKED) THEN
            INSERT INTO {log} (kind, captured_at) VALUES ('W', UTC_TIMESTAMP(6));
        END IF;
    END;
END IF;
