-- The triggers in the captured database, and the canary's.
SELECT TRIGGER_SCHEMA, TRIGGER_NAME, EVENT_OBJECT_TABLE, ACTION_TIMING, EVENT_MANIPULATION, ACTION_STATEMENT,
       SQL_MODE, DEFINER
FROM information_schema.TRIGGERS
WHERE TRIGGER_SCHEMA IN ({database}, {capture})
