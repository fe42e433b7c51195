INSERT INTO t (v) VALUES ('c'), ('d'), ('e');
DELETE FROM t WHERE id > 1001;
