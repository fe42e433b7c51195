-- The tables that have an AUTO_INCREMENT column.
SELECT table_name FROM information_schema.columns
WHERE table_schema = DATABASE() AND extra LIKE '%auto_increment%'
