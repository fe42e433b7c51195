-- The script came before any session.
INSERT INTO idn_session VALUES ('s1', 'away'), ('s2', 'two again'), ('s33', 'three'), ('s4', 'four again'), ('s5', 'five again'), ('s6', 'six');
