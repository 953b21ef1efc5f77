//! Each model under `loom`.

rustredis_models::test_all!(small);
