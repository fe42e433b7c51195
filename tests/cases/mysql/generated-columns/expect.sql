SELECT twice = 20 AND thrice = 30 FROM t WHERE id = 1
SELECT hidden = 7 FROM t WHERE id = 2
