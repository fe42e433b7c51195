-- Run once on every new connection, on either side, before session_source.sql or session_target.sql: whatever
-- the server, init_connect or the user's defaults say, our statements do the same everywhere. Each value is a
-- literal: DEFAULT takes the server's own value. settings.tsv beside this file classes every variable; a test
-- compares it with this file and with real servers. A comment of the form /*!80000 .. */ is run by MySQL only,
-- from that version on, one of the form /*M!100600 .. */ by MariaDB only.
SET NAMES utf8mb4 /*!80000 COLLATE utf8mb4_0900_ai_ci */ /*M!100600 COLLATE utf8mb4_general_ci */;
-- A COMMIT neither begins the next transaction nor ends the connection.
SET SESSION autocommit = 1, completion_type = 0;
SET SESSION character_set_results = NULL, time_zone = '+00:00', lc_messages = 'en_US', lc_time_names = 'en_US',
    default_week_format = 0, div_precision_increment = 4, group_concat_max_len = 1073741824,
    max_sort_length = 4096, sort_buffer_size = 2097152,
    sql_select_limit = 18446744073709551615, max_join_size = 18446744073709551615, sql_big_selects = 1,
    sql_safe_updates = 0, sql_auto_is_null = 0, sql_buffer_result = 0, sql_notes = 1, sql_warnings = 0,
    sql_quote_show_create = 1, updatable_views_with_limit = 'YES',
    auto_increment_increment = 1, auto_increment_offset = 1, innodb_table_locks = 1, unique_checks = 1,
    default_storage_engine = 'InnoDB', default_tmp_storage_engine = 'InnoDB',
    net_read_timeout = 600, net_write_timeout = 600, wait_timeout = 86400
    /*!80000 , max_execution_time = 0, old_alter_table = 0, cte_max_recursion_depth = 1000, show_create_table_verbosity = 0,
    explicit_defaults_for_timestamp = 1 */
    /*!80013 , use_secondary_engine = 'OFF' */
    /*!80030 , show_gipk_in_create_table_and_information_schema = 1 */
    /*M!100600 , max_statement_time = 0, max_recursive_iterations = 1000, idle_transaction_timeout = 0,
    idle_readonly_transaction_timeout = 0, idle_write_transaction_timeout = 0, check_constraint_checks = 1,
    old_mode = 'UTF8_IS_UTF8MB3', sql_if_exists = 0, standard_compliant_cte = 1, default_regex_flags = '',
    query_cache_type = 0, system_versioning_asof = DEFAULT, max_session_mem_used = 9223372036854775807,
    tmp_disk_table_size = 18446744073709551615 */
    /*M!100802 , explicit_defaults_for_timestamp = 1 */;
