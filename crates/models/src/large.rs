//! Models under `shuttle`: many steps of many threads, in random orders.

#[allow(
    dead_code,
    unused_imports,
    missing_docs,
    unreachable_pub,
    clippy::duplicate_mod,
    reason = "a model uses a part of a file"
)]
#[path = "protocols/mod.rs"]
pub mod protocols;

/// What the protocols are made of here.
pub mod sync {
    use std::sync::atomic::{AtomicIsize, Ordering::SeqCst};

    pub(crate) use shuttle::future::block_on;
    pub(crate) use shuttle::sync::atomic::{
        AtomicBool, AtomicI64, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
    };
    pub(crate) use shuttle::sync::{Arc, Mutex, MutexGuard};
    pub(crate) use shuttle::thread::yield_now;

    /// Threads beside the model's own, of each kind.
    pub(crate) const THREADS: u32 = 3;
    /// What each thread does over and over, so often.
    pub(crate) const ROUNDS: u32 = 6;
    /// Whether what costs steps in proportion to its size is left out.
    pub(crate) const IS_SMALL: bool = false;

    const FREED: isize = isize::MIN;

    /// A value that one writes or many read, and nobody once it was freed.
    #[derive(Debug)]
    pub struct Cell {
        value: std::sync::atomic::AtomicU32,
        /// How many read it; -1 while one writes.
        users: AtomicIsize,
    }

    impl Cell {
        pub(crate) fn new(value: u32) -> Self {
            Self { value: value.into(), users: AtomicIsize::new(0) }
        }

        pub(crate) fn get(&self) -> u32 {
            let users = self.users.fetch_add(1, SeqCst);
            assert!(users >= 0, "a value that was freed, or is being written, is read");
            yield_now();
            self.users.fetch_sub(1, SeqCst);
            self.value.load(SeqCst)
        }

        pub(crate) fn set(&self, value: u32) {
            self.alone();
            self.value.store(value, SeqCst);
            self.users.store(0, SeqCst);
        }

        pub(crate) fn free(&self) {
            self.alone();
            self.users.store(FREED, SeqCst);
        }

        fn alone(&self) {
            let users = self.users.swap(-1, SeqCst);
            assert_eq!(users, 0, "a value that another uses is written or freed");
            yield_now();
            assert_eq!(self.users.load(SeqCst), -1, "a value that is being written is used");
        }
    }

    /// Threads, as far as the protocols use them.
    pub(crate) mod thread {
        pub(crate) use shuttle::thread::{Builder, Thread, current, park, park_timeout, spawn};
        pub(crate) use std::thread::panicking;
    }

    /// Runs a model in some hundreds of random orders, half of them with few switches; for half a minute in the long form.
    pub(crate) fn check(model: impl Fn() + Sync + Send + 'static) {
        check_bounded(3, model);
    }

    /// The same, with one switch more than these in the second half.
    pub(crate) fn check_bounded(switches: usize, model: impl Fn() + Sync + Send + 'static) {
        use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
        let model = std::sync::Arc::new(model);
        let run = |scheduler: Box<dyn Scheduler + Send>| {
            let mut config = shuttle::Config::new();
            config.silence_warnings = true;
            config.max_time = crate::is_long().then_some(std::time::Duration::from_secs(30));
            let model = model.clone();
            shuttle::Runner::new(scheduler, config).run(move || model());
        };
        let orders = if crate::is_long() { usize::MAX } else { 400 };
        run(Box::new(RandomScheduler::new(orders)));
        run(Box::new(PctScheduler::new(switches + 1, orders)));
    }
}
