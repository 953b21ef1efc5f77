//! Delays that a directive asks for: `key-load-delay` and `rdb-key-save-delay`, which keep a load or a save going for as long
//! as a test needs it, so that it can look at a server in that state without racing it.
//!
//! Whoever waits looks again as soon as the directive changes: a delay of hours is a state that `CONFIG SET` ends. A plain
//! sleep would make each such test as long as its longest delay.

use std::sync::atomic::{AtomicI32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// A delay for each key.
#[derive(Debug, Default)]
pub struct Delay {
    /// Microseconds a key. Below zero, one key of so many takes a microsecond.
    micros: AtomicI32,
    /// Guards nothing but the moment between a look and the wait.
    moment: Mutex<()>,
    changed: Condvar,
}

impl Delay {
    /// Changes the delay, of those who wait already too. In microseconds; below zero, of one key of so many.
    pub fn set(&self, micros: i32) {
        if self.micros.swap(micros, Relaxed) != micros {
            self.wake();
        }
    }

    /// Lets those who wait look again whether they still must.
    pub fn wake(&self) {
        let _moment = self.moment.lock();
        self.changed.notify_all();
    }

    /// Whether there is a delay.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.micros.load(Relaxed) != 0
    }

    /// Blocks the thread for the delay of `keys` keys, or until `is_over` says so after [`Self::wake`].
    pub fn wait(&self, keys: u64, is_over: impl Fn() -> bool) {
        if keys == 0 || !self.is_on() {
            return;
        }
        let started = Instant::now();
        let mut moment = self.moment.lock();
        while !is_over() {
            let whole = match self.micros.load(Relaxed) {
                0 => return,
                micros @ 1.. => Duration::from_micros(u64::from(micros.unsigned_abs()).saturating_mul(keys)),
                micros => Duration::from_nanos(1000 * keys / u64::from(micros.unsigned_abs())),
            };
            match whole.checked_sub(started.elapsed()) {
                None | Some(Duration::ZERO) => return,
                // Whatever ended the wait, it is looked at again.
                Some(left) => _ = self.changed.wait_for(&mut moment, left),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    #[test]
    fn a_change_ends_a_long_delay() {
        let delay = Delay::default();
        delay.wait(5, || false);
        delay.set(i32::MAX);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| delay.wait(u64::MAX, || false));
            assert!(!waiting.is_finished());
            delay.set(0);
        });
        delay.set(-1_000_000);
        delay.wait(1, || false);
    }

    #[test]
    fn who_need_not_wait_any_more_is_woken() {
        let (delay, is_over) = (Delay::default(), AtomicBool::new(false));
        delay.set(i32::MAX);
        std::thread::scope(|scope| {
            scope.spawn(|| delay.wait(1, || is_over.load(Relaxed)));
            is_over.store(true, Relaxed);
            delay.wake();
        });
    }
}
