CREATE TABLE "Order" ("Id" INTEGER PRIMARY KEY, "select" TEXT, "with ""quote" TEXT, "a.b" TEXT);
INSERT INTO "Order" VALUES (1, 'x', 'y', 'z'), (2, '{xid}', '{l}', '$1');
CREATE TABLE "dotted.name" (k VARCHAR(10) PRIMARY KEY, v TEXT);
INSERT INTO "dotted.name" VALUES ('a', 'b');
