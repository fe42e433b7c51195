CREATE TABLE animal (id integer PRIMARY KEY, name text);
CREATE TABLE dog (PRIMARY KEY (id), breed text) INHERITS (animal);
INSERT INTO animal VALUES (1, 'generic'), (2, 'other');
INSERT INTO dog VALUES (10, 'rex', 'poodle'), (11, 'fido', NULL);
