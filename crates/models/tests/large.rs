//! Each model under `shuttle`.

rustredis_models::test_all!(large);
