-- The tables and sequences of the database, with what an AUTO_INCREMENT column gets next.
SELECT table_name, table_type = 'SEQUENCE', auto_increment
FROM information_schema.tables
WHERE table_schema = DATABASE()
