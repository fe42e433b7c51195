CREATE TABLE t (k timestamptz PRIMARY KEY, d date, ts timestamp, ts3 timestamp(3), tm time, tz timetz, i interval);
INSERT INTO t VALUES
    ('4713-01-01 00:00:00 BC', '4713-01-01 BC', '4713-01-01 00:00:00 BC', '2024-02-29 12:00:00.123456', '24:00', '23:59:59.999999-15:59', '-178000000 years'),
    ('infinity', 'infinity', 'infinity', NULL, '00:00', '00:00+15', '1 mon -1 day 00:00:00.000001'),
    ('-infinity', '-infinity', '-infinity', NULL, NULL, NULL, NULL),
    ('294276-12-31 23:59:59.999999', '5874897-12-31', '294276-12-31 23:59:59.999999', NULL, NULL, NULL, NULL);
