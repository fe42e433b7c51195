IF {note} IS NULL THEN
    INSERT INTO {log} (kind, captured_at) VALUES ('N', UTC_TIMESTAMP(6));
    SET {note} = LAST_INSERT_ID();
END IF;
