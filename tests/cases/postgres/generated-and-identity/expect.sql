SELECT last_value = -20 AND is_called FROM alone
SELECT last_value = 4 FROM a_id_seq
SELECT last_value = 120 FROM b_id_seq
SELECT last_value = 3 FROM c_id_seq
