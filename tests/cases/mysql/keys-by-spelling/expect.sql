SELECT count(*) = 1 FROM folded WHERE BINARY k = 'ANNA'
SELECT count(*) = 2 FROM mood_child WHERE k + 0 = 2
SELECT count(*) = 1 FROM moods WHERE k + 0 = 2 AND v = 'changed'
SELECT count(*) = 1 FROM moments WHERE k + 0 = 0 AND v = 'zero'
