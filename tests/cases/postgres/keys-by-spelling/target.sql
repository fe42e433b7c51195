CREATE EXTENSION citext;
CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE num (k numeric PRIMARY KEY, v text);
CREATE TABLE num_child (k numeric REFERENCES num ON UPDATE CASCADE ON DELETE CASCADE, n int, PRIMARY KEY (k, n));
CREATE TABLE flt (k float8 PRIMARY KEY, v text);
CREATE TABLE padded (k char(5) PRIMARY KEY, v text);
CREATE TABLE ci_text (k text COLLATE ci PRIMARY KEY, v text);
CREATE TABLE ci_child (k text COLLATE ci REFERENCES ci_text ON UPDATE CASCADE ON DELETE CASCADE, n int, PRIMARY KEY (k, n));
CREATE TABLE cit (k citext PRIMARY KEY, v text);
CREATE TABLE span (k interval PRIMARY KEY, v text);
CREATE TABLE pair (a citext, b numeric, v text, PRIMARY KEY (a, b));
-- Indexes that compare otherwise than their column.
CREATE TABLE finer (k text COLLATE ci NOT NULL, v int);
CREATE UNIQUE INDEX ON finer (k COLLATE "C");
CREATE TABLE finer_cit (k citext NOT NULL, v int);
CREATE UNIQUE INDEX ON finer_cit (k text_ops);
CREATE TABLE coarser (k text NOT NULL, v int);
CREATE UNIQUE INDEX ON coarser (k COLLATE ci);
