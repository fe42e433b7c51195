CREATE TABLE n (id bigint PRIMARY KEY, s smallint, i integer, d numeric, d2 numeric(20,5), f real, g double precision, m money, b boolean, o oid);
INSERT INTO n VALUES
    (1, 32767, 2147483647, 'NaN', 99999.12345, 'NaN', 'NaN', 1.50, true, 1),
    (2, -32768, -2147483648, 12345678901234567890123456789.123456789, -0.00001, 'Infinity', '-Infinity', -2, false, 4294967295),
    (3, NULL, NULL, 1e-100, NULL, 1.17549435e-38, 4.94065645841246544e-324, NULL, NULL, NULL),
    (-9223372036854775808, 0, 0, -0.0, 0, '-0', '-0', 0, true, 0),
    (9223372036854775807, 1, 1, 1.000, 1, 3.4028235e38, 1.7976931348623157e308, 1, true, 0);
