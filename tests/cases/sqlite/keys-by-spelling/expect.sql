SELECT count(*) = 0 FROM finer WHERE k = 'a' COLLATE BINARY
SELECT count(*) = 1 FROM coarser WHERE k = 'A' COLLATE BINARY
