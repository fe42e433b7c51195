SELECT auto_increment >= 1005 FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 't'
