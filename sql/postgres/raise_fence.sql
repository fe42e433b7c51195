-- One log. Writers pass the first lock; it waits longer than deadlock_timeout, as autovacuum yields only
-- then. The trigger waits for those who have written the log, and new writers queue behind it.
BEGIN;
SET LOCAL idle_in_transaction_session_timeout = '2s';
SET LOCAL synchronous_commit = 'on';
SELECT set_config('lock_timeout', least(d.setting::bigint + 1000, {left})::text, true) FROM pg_settings AS d WHERE d.name = 'deadlock_timeout';
LOCK TABLE {log} IN SHARE UPDATE EXCLUSIVE MODE;
SET LOCAL lock_timeout = '{lock_timeout}ms';
SELECT {s}.raise_fence({log_name}, {attempt});
COMMIT
