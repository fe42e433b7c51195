INSERT INTO people VALUES ('anna', 'a'), ('bert', 'b'), ('cid', 'c'), ('dora', 'd'), ('fred', 'f');
