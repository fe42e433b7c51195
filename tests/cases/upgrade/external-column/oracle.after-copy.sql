-- Rows that came after the client had run have no hash. Row 2 went and came in one transaction: it
-- was updated in place.
UPDATE sp_app SET secret_hash = NULL WHERE id IN (7, 8, 14);
