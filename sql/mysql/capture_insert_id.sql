    IF @@insert_id <> 0 THEN
        INSERT IGNORE INTO {missed} (slot, log, missed_at) VALUES (0, '', UTC_TIMESTAMP(6));
    END IF;
