SELECT t::oid = 'here'::regclass::oid FROM here WHERE id = 1
