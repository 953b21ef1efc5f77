//! Models under `loom`: all orders of few steps, with what weak memory may show.

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
    use loom::cell::UnsafeCell;
    pub(crate) use loom::future::block_on;
    pub(crate) use loom::sync::atomic::{
        AtomicBool, AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
    };
    pub(crate) use loom::sync::{Mutex, MutexGuard};
    pub(crate) use loom::thread::yield_now;
    pub(crate) use std::sync::Arc;

    /// Threads beside the model's own, of each kind.
    pub(crate) const THREADS: u32 = 1;
    /// What each thread does over and over, so often.
    pub(crate) const ROUNDS: u32 = 1;
    /// Whether what costs steps in proportion to its size is left out.
    pub(crate) const IS_SMALL: bool = true;

    /// A value that one writes or many read, and nobody once it was freed. The checker sees to the order; the bit to the rest.
    #[derive(Debug)]
    pub struct Cell(UnsafeCell<Option<u32>>);

    impl Cell {
        pub(crate) fn new(value: u32) -> Self {
            Self(UnsafeCell::new(Some(value)))
        }

        pub(crate) fn get(&self) -> u32 {
            // SAFETY: the checker stops the model where another writes at the same time.
            self.0.with(|value| unsafe { *value }).expect("a value that was freed is read")
        }

        pub(crate) fn set(&self, value: u32) {
            // SAFETY: as above.
            self.0.with_mut(|cell| unsafe { *cell = Some(value) });
        }

        pub(crate) fn free(&self) {
            // SAFETY: as above.
            self.0.with_mut(|cell| unsafe { *cell = None });
        }
    }

    // SAFETY: the checker stops the model where two use it at once.
    unsafe impl Sync for Cell {}
    // SAFETY: it is a number.
    unsafe impl Send for Cell {}

    /// An atomic pointer whose end is a step too: whoever may still use it then is found.
    #[derive(Debug)]
    pub(crate) struct AtomicPtr<T>(loom::sync::atomic::AtomicPtr<T>);

    impl<T> AtomicPtr<T> {
        pub(crate) fn new(pointer: *mut T) -> Self {
            Self(loom::sync::atomic::AtomicPtr::new(pointer))
        }
    }

    impl<T> Default for AtomicPtr<T> {
        fn default() -> Self {
            Self::new(std::ptr::null_mut())
        }
    }

    impl<T> std::ops::Deref for AtomicPtr<T> {
        type Target = loom::sync::atomic::AtomicPtr<T>;

        fn deref(&self) -> &Self::Target {
            &self.0
        }
    }

    impl<T> Drop for AtomicPtr<T> {
        fn drop(&mut self) {
            self.0.with_mut(|_| ());
        }
    }

    /// Threads, as far as the protocols use them. The checker's own parking takes a thread that waits for a lock for one that is parked; so
    /// it is made of a lock and a condition here.
    pub(crate) mod thread {
        use std::sync::Arc;

        use loom::sync::{Condvar, Mutex};
        pub(crate) use loom::thread::{Builder, spawn};
        pub(crate) use std::thread::panicking;

        loom::thread_local! {
            static OWN: Thread = Thread(Arc::new(Parking { is_told: Mutex::new(false), told: Condvar::new() }));
        }

        struct Parking {
            is_told: Mutex<bool>,
            told: Condvar,
        }

        /// A thread that may be parked.
        #[derive(Clone)]
        pub(crate) struct Thread(Arc<Parking>);

        impl Thread {
            pub(crate) fn unpark(&self) {
                *self.0.is_told.lock().expect("no model panics with a lock") = true;
                self.0.told.notify_one();
            }
        }

        pub(crate) fn current() -> Thread {
            OWN.with(Clone::clone)
        }

        pub(crate) fn park() {
            let own = current();
            let mut is_told = own.0.is_told.lock().expect("no model panics with a lock");
            while !*is_told {
                is_told = own.0.told.wait(is_told).expect("no model panics with a lock");
            }
            *is_told = false;
        }

        /// A time that may be over at once.
        pub(crate) fn park_timeout(_: std::time::Duration) {
            loom::thread::yield_now();
        }
    }

    /// Runs a model in all orders with up to three switches that no wait asks for, four in the long form.
    pub(crate) fn check(model: impl Fn() + Sync + Send + 'static) {
        check_bounded(3, model);
    }

    /// The same, where so many switches are enough for the time that there is.
    pub(crate) fn check_bounded(switches: usize, model: impl Fn() + Sync + Send + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(switches + usize::from(crate::is_long()));
        builder.max_branches = 20_000;
        builder.check(model);
    }
}
