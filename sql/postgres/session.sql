-- Run once on every new connection, on either side: values must read and write the same everywhere,
-- nothing may be hidden from us, and no timeout of the role or database may cut a copy short.
-- Everything is named with its schema, so that nobody's function or operator is picked by accident.
-- settings.tsv beside this file classes every setting; a test compares it with this file and with a real server.
SET statement_timeout = 0;
SET quote_all_identifiers = off;
SET search_path = pg_catalog;
SET client_encoding = 'UTF8';
SET client_min_messages = warning;
SET datestyle = 'ISO, YMD';
SET intervalstyle = 'postgres';
SET timezone = 'UTC';
SET extra_float_digits = 3;
SET bytea_output = 'hex';
SET array_nulls = on;
SET transform_null_equals = off;
SET xmloption = 'content';
SET xmlbinary = 'base64';
SET lc_monetary = 'C';
SET lc_numeric = 'C';
SET lc_time = 'C';
SET timezone_abbreviations = 'Default';
SET gin_fuzzy_search_limit = 0;
SET standard_conforming_strings = on;
SET row_security = off;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET default_transaction_isolation = 'read committed';
SET default_transaction_deferrable = off;
SET default_tablespace = '';
SET temp_tablespaces = '';
SET default_table_access_method = 'heap';
SET check_function_bodies = on;
SET exit_on_error = off;
SET tcp_keepalives_idle = 30;
SET tcp_keepalives_interval = 10;
SET tcp_keepalives_count = 3;
-- Those that not every version has. Those with a third value are set only where that is what they
-- are: the last three are a superuser's to set, so that a role that can't is refused with the setting's name; and
-- commits that a crash must not take back.
SELECT pg_catalog.set_config(s.name, v.value, false)
  FROM (VALUES ('plan_cache_mode', 'force_custom_plan', NULL),
               ('jit', 'off', NULL),
               ('force_parallel_mode', 'off', NULL),
               ('debug_parallel_query', 'off', NULL),
               ('idle_session_timeout', '0', NULL),
               ('transaction_timeout', '0', NULL),
               ('client_connection_check_interval', '5s', NULL),
               ('restrict_nonsystem_relation_kind', '', NULL),
               ('synchronous_commit', 'on', 'off'),
               ('session_replication_role', 'origin', 'replica'),
               ('zero_damaged_pages', 'off', 'on'),
               ('ignore_checksum_failure', 'off', 'on')) AS v (name, value, hostile)
  JOIN pg_catalog.pg_settings s ON s.name = v.name
 WHERE v.hostile IS NULL OR s.setting = v.hostile;
