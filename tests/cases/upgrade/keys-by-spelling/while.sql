UPDATE people SET name = 'BERT' WHERE name = 'bert';
