-- An empty staging: highwater makes the tables (copy.schema = "create") and owns them.
CREATE ROLE highwater LOGIN PASSWORD 'trial';
GRANT CONNECT, CREATE, TEMPORARY ON DATABASE shop TO highwater;
GRANT USAGE, CREATE ON SCHEMA public TO highwater;
GRANT SET ON PARAMETER session_replication_role TO highwater;
