SELECT count(*) = 1 FROM num WHERE k::text = '1.00'
SELECT count(*) = 2 FROM num_child WHERE k = 1
SELECT count(*) = 1 FROM ci_text WHERE k::text COLLATE "C" = 'ANNA'
SELECT count(*) = 1 FROM span WHERE k::text = '24:00:00'
