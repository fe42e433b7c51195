CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE people (name VARCHAR(30) COLLATE ci NOT NULL PRIMARY KEY, note VARCHAR(30));
