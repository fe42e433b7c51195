-- When the tables were made, where the numbers can't be read without PROCESS.
SELECT TABLE_SCHEMA, TABLE_NAME, CREATE_TIME FROM information_schema.TABLES
WHERE TABLE_SCHEMA IN ({database}, {capture})
