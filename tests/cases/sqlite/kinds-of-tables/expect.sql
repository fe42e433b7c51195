SELECT seq = 4 FROM sqlite_sequence WHERE name = 'auto'
SELECT count(*) = 3 FROM nullable_key WHERE k IS NULL
SELECT b = 22 AND c = 12 FROM computed WHERE id = 1
