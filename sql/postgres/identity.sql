-- Which database this is, and which life of it. The control file learns of a new timeline only at a
-- checkpoint, the position in the log at once.
SELECT s.system_identifier::text || '/' || d.oid::text AS database,
       CASE WHEN pg_catalog.pg_is_in_recovery()
            THEN (SELECT c.timeline_id::text FROM pg_catalog.pg_control_checkpoint() c)
            ELSE ('x' || substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8))::bit(32)::int::text
       END AS life,
       current_setting('server_version') AS version
  FROM pg_catalog.pg_control_system() s, pg_catalog.pg_database d
 WHERE d.datname = current_database()
