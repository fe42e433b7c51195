SELECT count(*) = 1 FROM people WHERE kind = 'system'
