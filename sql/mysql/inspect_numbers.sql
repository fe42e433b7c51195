-- The numbers of the tables: another one after TRUNCATE, after a swap by rename, after a rebuild.
SELECT NAME, TABLE_ID, SPACE FROM information_schema.{view}
WHERE NAME LIKE {database} OR NAME LIKE {capture}
