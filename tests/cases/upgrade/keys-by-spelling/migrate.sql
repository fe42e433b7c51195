ALTER TABLE people ADD COLUMN kind VARCHAR(10) DEFAULT 'user' NOT NULL;
INSERT INTO people (name, note, kind) VALUES ('System', 'made', 'system');
