SELECT count(*) = 6 FROM um_principal WHERE kind = 'user'
SELECT count(*) = 1 FROM um_principal_role WHERE kind = 'group' AND principal = 'ann'
SELECT count(*) = 0 FROM um_principal_role WHERE kind = 'user' AND principal = 'ann'
