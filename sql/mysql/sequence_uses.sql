-- The columns that get a number by themselves: AUTO_INCREMENT, or the next value of one of MariaDB's sequences.
SELECT table_name, column_name, extra LIKE '%auto_increment%', column_default
FROM information_schema.columns
WHERE table_schema = DATABASE() AND (extra LIKE '%auto_increment%' OR column_default LIKE '%nextval(%')
ORDER BY table_name, ordinal_position
