UPDATE "Order" SET "select" = 'changed', "with ""quote" = NULL WHERE "Id" = 1;
INSERT INTO "Order" VALUES (3, '', '', '');
DELETE FROM "dotted.name";
