-- Set on every connection to a file, on either side, whatever the library was built with: our statements do the
-- same everywhere. pragmas.tsv beside this file classes every pragma; a test compares it with this file and with the
-- library. connect.rs sets those that differ between readers and the writer.
PRAGMA automatic_index = ON;
PRAGMA count_changes = OFF;
PRAGMA defer_foreign_keys = OFF;
PRAGMA empty_result_callbacks = OFF;
PRAGMA foreign_keys = OFF;
PRAGMA full_column_names = OFF;
PRAGMA ignore_check_constraints = OFF;
PRAGMA legacy_alter_table = OFF;
PRAGMA read_uncommitted = OFF;
PRAGMA recursive_triggers = OFF;
PRAGMA reverse_unordered_selects = OFF;
PRAGMA short_column_names = ON;
PRAGMA trusted_schema = ON;
PRAGMA writable_schema = OFF;
