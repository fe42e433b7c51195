-- The sessions of the time of the script are gone, unless production has written them while it ran, or
-- has inserted them again since.
INSERT INTO idn_session VALUES ('s2', 'two again'), ('s33', 'three'), ('s4', 'four again'), ('s5', 'five again'), ('s6', 'six');
