SELECT count(*) = 2 FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'note%'
