BEGIN;
SET LOCAL lock_timeout = '5s';
LOCK TABLE {s}.canary IN SHARE UPDATE EXCLUSIVE MODE;
SELECT {s}.raise_fence('canary', 0);
SELECT {s}.drop_fence('canary', 0)
