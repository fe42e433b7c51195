
SELECT count(*),
    (SELECT e.xid FROM entry AS e ORDER BY e.xid DESC, e.id DESC LIMIT 1),
    (SELECT e.id FROM entry AS e ORDER BY e.xid DESC, e.id DESC LIMIT 1),
    (SELECT e.xid FROM entry AS e WHERE e.kind = 'T' ORDER BY e.xid, e.id LIMIT 1),
    (SELECT e.id FROM entry AS e WHERE e.kind = 'T' ORDER BY e.xid, e.id LIMIT 1)
FROM entry
