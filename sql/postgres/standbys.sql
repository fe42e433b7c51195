-- Whether a commit waits for synchronous standbys, and whether one is attached (NULL: that can't be seen).
SELECT current_setting('synchronous_standby_names') <> '',
    (SELECT CASE WHEN bool_or(r.sync_state IN ('sync', 'quorum')) THEN true
        WHEN bool_or(r.sync_state IS NULL) THEN NULL ELSE false END FROM pg_stat_replication AS r)
