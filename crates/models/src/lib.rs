//! Models of the protocols that are made of atomics, run under checkers that decide in which order threads take their steps.
//!
//! A protocol is not written a second time here. The files that hold it, of `keyspace`, `engine`, `persistence`, `metrics` and `server`,
//! are compiled again with a checker's atomics, locks and threads in place of the real ones: each of them takes those from a module
//! `sync` above it. What a protocol guards is a [`Cell`](small::sync::Cell) that knows when it is used by two at once or after it was freed.
//!
//! Two checkers, for neither does the work of the other:
//!
//! - [`small`]: `loom` goes through all orders of a few steps, and through what weak memory may show besides. It finds a fence too few.
//! - [`large`]: `shuttle` goes through many more steps of more threads, in random orders, each load and store in sequence. It finds what
//!   takes more turns than all orders of can be tried.
//!
//! In the crates' own tests was rejected: each would need both checkers, and the protocol of publishing belongs to two of them.

// The tests in those files are run where they stand, with the real atomics.
#![cfg(not(test))]

pub mod large;
pub mod small;

/// Whether the long form is asked for: `RUSTREDIS_MODELS=long`, as `cargo xtask models` sets it.
fn is_long() -> bool {
    std::env::var_os("RUSTREDIS_MODELS").is_some_and(|form| form == "long")
}

/// Makes a test of each model, under the checker of this name.
#[macro_export]
macro_rules! test_all {
    ($checker:ident) => {
        $crate::test_all!($checker: hold {
            who_has_everything_is_alone
            messages_come_out_in_the_order_of_their_sending
        } notices {
            who_waits_for_a_lock_gets_it
            both_owners_get_it_in_one_order
        } published {
            nobody_sees_half_of_a_write
            nobody_sees_an_older_value_again
            what_a_reader_has_is_not_freed
            not_both_miss_the_others_change
            who_has_everything_has_no_reader_beside
            a_new_key_is_found_whole
            an_index_grows_beside_readers
            what_was_displaced_moves_back_beside_readers
            a_writer_waits_for_readers
        } persistence {
            entries_come_out_once_and_in_order
            pumping_is_handed_over
            nobody_is_answered_before_the_sync
        } metrics {
            who_sees_a_flush_sees_its_batch
            a_reset_splits_no_batch
        } memory {
            no_byte_is_lost
        });
    };
    ($checker:ident: $($protocol:ident { $($model:ident)* })*) => {
        $($(
            #[test]
            fn $model() {
                $crate::$checker::protocols::$protocol::$model();
            }
        )*)*
    };
}
