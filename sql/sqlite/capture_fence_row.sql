-- The fence. Attempt n is up while raised = n and raised >= stamp. Raising sets `raised`, once for each
-- attempt; lowering attempt n sets stamp = n + 1, so that everything of attempt n is inert for ever.
CREATE TABLE IF NOT EXISTS "{p}_fence" (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    epoch    INTEGER NOT NULL,
    raised   INTEGER NOT NULL,
    stamp    INTEGER NOT NULL
)

INSERT OR IGNORE INTO "{p}_fence" (only_row, epoch, raised, stamp) VALUES (1, 0, 0, 1)
