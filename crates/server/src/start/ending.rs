//! What is known of attempts to end the server, by those who ask and by the one who does it.

use parking_lot::Mutex;
use rustredis_commands::CommandError;
use tokio::sync::Notify;

/// How the server is to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Whether the RDB file is written; `None` if there are save points.
    pub saves: Option<bool>,
    /// Whether errors do not keep the server.
    pub is_forced: bool,
    /// Whether it does not wait for replicas that are behind.
    pub is_now: bool,
}

/// What is known of attempts to end the server.
#[derive(Debug, Default)]
pub struct Ending {
    state: Mutex<State>,
    wished: Notify,
    begun: Notify,
    /// Tells who waits for an attempt.
    pub progress: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Of the attempt that clients wait for.
    wish: Option<Wish>,
    /// Attempts that have failed.
    failures: u64,
    /// Whether the attempt under way may still be given up.
    can_abort: bool,
    is_aborted: bool,
}

impl Ending {
    /// Asks for the end; who asks while somebody has asked already waits for the same attempt. The number of the attempt.
    pub fn ask(&self, wish: Wish) -> u64 {
        let mut state = self.state.lock();
        if state.wish.is_none() {
            state.wish = Some(wish);
            state.can_abort = true;
            state.is_aborted = false;
            self.wished.notify_one();
            self.begun.notify_waiters();
        }
        state.failures
    }

    /// Returns once an attempt is under way: nobody keeps the server from it by what he holds for long.
    pub async fn asked(&self) {
        let mut begun = std::pin::pin!(self.begun.notified());
        // Registered before the look, so that an attempt that begins in between is not missed.
        begun.as_mut().enable();
        if self.state.lock().wish.is_none() {
            begun.await;
        }
    }

    /// Whether an attempt is under way.
    pub fn is_asked(&self) -> bool {
        self.state.lock().wish.is_some()
    }

    /// Whether the attempt may yet end the server; if not, it has failed.
    pub fn is_pending(&self, attempt: u64) -> bool {
        self.state.lock().failures == attempt
    }

    /// SHUTDOWN ABORT: gives the attempt under way up; false if there is none, or it is too late.
    pub fn abort(&self) -> bool {
        let mut state = self.state.lock();
        let aborts = state.wish.is_some() && state.can_abort;
        state.is_aborted |= aborts;
        aborts
    }

    /// Whether the attempt under way was given up.
    pub(super) fn is_aborted(&self) -> bool {
        self.state.lock().is_aborted
    }

    /// From here on there is no going back; false if the attempt was given up.
    pub(super) fn commit(&self) -> bool {
        let mut state = self.state.lock();
        state.can_abort = false;
        !state.is_aborted
    }

    pub(super) fn fail(&self) {
        let mut state = self.state.lock();
        state.wish = None;
        state.can_abort = false;
        state.failures += 1;
        drop(state);
        self.progress.notify_waiters();
    }

    /// What SHUTDOWN wishes, when it does.
    pub(super) async fn wished(&self) -> Wish {
        loop {
            self.wished.notified().await;
            if let Some(wish) = self.state.lock().wish {
                return wish;
            }
        }
    }
}

/// The answer to a SHUTDOWN that has failed.
pub fn failure() -> CommandError {
    CommandError::text("ERR Errors trying to SHUTDOWN. Check logs.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_twice_waits_for_one_attempt() {
        let ending = Ending::default();
        assert!(!ending.abort(), "nobody has asked");
        let attempt = ending.ask(Wish::default());
        assert_eq!(ending.ask(Wish { is_forced: true, ..Wish::default() }), attempt);
        assert!(ending.is_pending(attempt));
        ending.fail();
        assert!(!ending.is_pending(attempt));
        let next = ending.ask(Wish::default());
        assert!(ending.is_pending(next) && next != attempt);
    }

    #[test]
    fn an_attempt_is_given_up_until_it_is_too_late() {
        let ending = Ending::default();
        ending.ask(Wish::default());
        assert!(ending.abort() && !ending.commit());
        ending.fail();
        ending.ask(Wish::default());
        assert!(ending.commit() && !ending.abort());
    }
}
