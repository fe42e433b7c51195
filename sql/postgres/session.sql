-- Run once on every new connection, on either side: values must read and write the same everywhere,
-- nothing may be hidden from us, and no timeout of the role or database may cut a copy short.
-- Everything is named with its schema, so that nobody's function or operator is picked by accident.
SET statement_timeout = 0;
SET search_path = pg_catalog;
SET client_encoding = 'UTF8';
SET client_min_messages = warning;
SET datestyle = 'ISO, YMD';
SET intervalstyle = 'postgres';
SET timezone = 'UTC';
SET extra_float_digits = 3;
SET bytea_output = 'hex';
SET array_nulls = on;
SET quote_all_identifiers = off;
SET transform_null_equals = off;
SET xmloption = 'content';
SET xmlbinary = 'base64';
SET lc_monetary = 'C';
SET standard_conforming_strings = on;
SET row_security = off;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET default_transaction_isolation = 'read committed';
SET default_transaction_deferrable = off;
SET tcp_keepalives_idle = 30;
SET tcp_keepalives_interval = 10;
SET tcp_keepalives_count = 3;
-- Those that not every version has; and commits that a crash must not take back.
SELECT pg_catalog.set_config(s.name, v.value, false)
  FROM (VALUES ('plan_cache_mode', 'force_custom_plan'),
               ('jit', 'off'),
               ('idle_session_timeout', '0'),
               ('transaction_timeout', '0'),
               ('client_connection_check_interval', '5s'),
               ('synchronous_commit', 'on')) AS v (name, value)
  JOIN pg_catalog.pg_settings s ON s.name = v.name
 WHERE s.name <> 'synchronous_commit' OR s.setting = 'off';
