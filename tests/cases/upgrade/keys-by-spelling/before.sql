UPDATE people SET name = 'Anna' WHERE name = 'anna';
