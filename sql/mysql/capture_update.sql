    IF {key changed} THEN
        INSERT INTO {log} (kind, captured_at, {k}) VALUES ('D', UTC_TIMESTAMP(6), {old key}), ('I', UTC_TIMESTAMP(6), {new key});
    ELSE
        INSERT INTO {log} (kind, captured_at, {k}) VALUES ('U', UTC_TIMESTAMP(6), {new key});
    END IF;
