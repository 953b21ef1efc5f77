//! Logs of commands: the last ones that took longer than a threshold (SLOWLOG), and those whose request or reply was larger than
//! one (COMMANDLOG).
//!
//! A ring behind a mutex: only such commands get there, and the threshold is an atomic that the others are compared
//! with. The memory is bounded, as in Redis, by what is kept of a command: 32 arguments of 128 bytes. Time and
//! durations are passed in.
//!
//! The entry is built before the lock is taken, so that even with a threshold of 0 (everything is logged) only pushing
//! is exclusive.

use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering::Relaxed};

/// Arguments kept of a command; the last is a note when there are more.
pub const COMMAND_LOG_ARGUMENTS_MAX: usize = 32;
/// Bytes kept of an argument.
pub const COMMAND_LOG_ARGUMENT_BYTES_MAX: usize = 128;

/// A log and its two settings. Shared by all threads.
#[derive(Debug)]
pub struct CommandLog {
    /// Of what an entry tells; negative when the log is off.
    threshold: AtomicI64,
    len_max: AtomicUsize,
    next_id: AtomicU64,
    /// The newest entry is at the front.
    entries: Mutex<VecDeque<CommandLogEntry>>,
}

/// A command that was slow, or large.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLogEntry {
    /// Ascending, and never used again, not even after a reset.
    pub id: u64,
    /// When it was executed, seconds since 1970.
    pub unix_time_s: i64,
    /// How long it took, in microseconds, or how large it or its reply was, in bytes.
    pub amount: u64,
    /// The command and its arguments, shortened.
    pub args: Vec<Vec<u8>>,
    /// `ip:port`, or the socket's path.
    pub client_addr: String,
    /// As CLIENT SETNAME gave it; may be empty.
    pub client_name: Vec<u8>,
}

impl CommandLog {
    /// A log of at most `len_max` commands that take `threshold` microseconds, or bytes, or more; a negative threshold is off.
    pub fn new(threshold: i64, len_max: usize) -> Self {
        CommandLog {
            threshold: AtomicI64::new(threshold),
            len_max: AtomicUsize::new(len_max),
            next_id: AtomicU64::new(0),
            entries: Mutex::new(VecDeque::new()),
        }
    }

    /// `slowlog-log-slower-than`, microseconds, or `commandlog-request-larger-than` and its like, bytes.
    pub fn set_threshold(&self, threshold: i64) {
        self.threshold.store(threshold, Relaxed);
    }

    /// `slowlog-max-len` and its like. A log that is longer is cut when the next entry comes, as in Redis.
    pub fn set_len_max(&self, len_max: usize) {
        self.len_max.store(len_max, Relaxed);
    }

    /// Whether a command that took so long, or was so large, belongs in the log. One relaxed load.
    #[inline]
    pub fn takes(&self, amount: u64) -> bool {
        u64::try_from(self.threshold.load(Relaxed)).is_ok_and(|threshold| amount >= threshold)
    }

    /// Adds a command. O(1) in the length of the log; copies at most 4 KiB of the arguments.
    pub fn push<'args>(
        &self,
        unix_time_s: i64,
        amount: u64,
        args: impl ExactSizeIterator<Item = &'args [u8]>,
        client_addr: String,
        client_name: &[u8],
    ) {
        let mut entry = CommandLogEntry {
            id: 0,
            unix_time_s,
            amount,
            args: shorten(args),
            client_addr,
            client_name: client_name.to_vec(),
        };
        let len_max = self.len_max.load(Relaxed);
        let mut entries = self.entries.lock();
        entry.id = self.next_id.fetch_add(1, Relaxed);
        entries.push_front(entry);
        entries.truncate(len_max);
    }

    /// The newest `count` entries, newest first; all of them without a count.
    pub fn newest(&self, count: Option<usize>) -> Vec<CommandLogEntry> {
        let entries = self.entries.lock();
        entries.iter().take(count.unwrap_or(usize::MAX)).cloned().collect()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.lock().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets all entries.
    pub fn reset(&self) {
        self.entries.lock().clear();
    }
}

/// The arguments as the log keeps them.
fn shorten<'args>(args: impl ExactSizeIterator<Item = &'args [u8]>) -> Vec<Vec<u8>> {
    let args_len = args.len();
    if args_len <= COMMAND_LOG_ARGUMENTS_MAX {
        return args.map(shorten_one).collect();
    }
    let kept_len = COMMAND_LOG_ARGUMENTS_MAX - 1;
    let mut kept: Vec<Vec<u8>> = args.take(kept_len).map(shorten_one).collect();
    kept.push(format!("... ({} more arguments)", args_len - kept_len).into_bytes());
    kept
}

fn shorten_one(arg: &[u8]) -> Vec<u8> {
    match arg.split_at_checked(COMMAND_LOG_ARGUMENT_BYTES_MAX) {
        Some((kept, rest)) if !rest.is_empty() => {
            [kept, format!("... ({} more bytes)", rest.len()).as_bytes()].concat()
        }
        _ => arg.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(log: &CommandLog, args: &[&[u8]]) {
        log.push(1_700_000_000, 12_345, args.iter().copied(), "127.0.0.1:5".into(), b"bob");
    }

    fn ids(log: &CommandLog, count: Option<usize>) -> Vec<u64> {
        log.newest(count).iter().map(|entry| entry.id).collect()
    }

    #[test]
    fn the_newest_come_first_and_the_oldest_go() {
        let log = CommandLog::new(0, 3);
        (0..5).for_each(|_| push(&log, &[b"GET", b"k"]));
        assert_eq!(ids(&log, None), [4, 3, 2]);
        assert_eq!(ids(&log, Some(1)), [4]);
        assert_eq!(ids(&log, Some(0)), []);
        log.reset();
        assert!(log.is_empty());
        push(&log, &[b"GET", b"k"]);
        assert_eq!(ids(&log, None), [5]);
    }

    #[test]
    fn an_entry_says_what_was_pushed() {
        let log = CommandLog::new(0, 3);
        push(&log, &[b"get", b"k\xff"]);
        let expected = CommandLogEntry {
            id: 0,
            unix_time_s: 1_700_000_000,
            amount: 12_345,
            args: vec![b"get".to_vec(), b"k\xff".to_vec()],
            client_addr: "127.0.0.1:5".into(),
            client_name: b"bob".to_vec(),
        };
        assert_eq!(log.newest(None), [expected]);
    }

    #[test]
    fn a_smaller_maximum_cuts_at_the_next_entry() {
        let log = CommandLog::new(0, 5);
        (0..5).for_each(|_| push(&log, &[b"GET"]));
        log.set_len_max(2);
        assert_eq!(log.len(), 5);
        push(&log, &[b"GET"]);
        assert_eq!(ids(&log, None), [5, 4]);
        log.set_len_max(0);
        push(&log, &[b"GET"]);
        assert!(log.is_empty());
    }

    #[test]
    fn what_reaches_the_threshold_is_taken() {
        for (threshold, amount, expected) in
            [(0, 0, true), (10, 9, false), (10, 10, true), (-1, u64::MAX, false), (i64::MAX, u64::MAX, true)]
        {
            assert_eq!(CommandLog::new(threshold, 1).takes(amount), expected, "{threshold} {amount}");
        }
        let log = CommandLog::new(-1, 1);
        log.set_threshold(1);
        assert!(log.takes(1));
    }

    fn check_shortened(args_len: usize, arg: &[u8], expected_len: usize, expected_last: &[u8]) {
        let args: Vec<&[u8]> = vec![arg; args_len];
        let kept = shorten(args.into_iter());
        assert_eq!(kept.len(), expected_len);
        assert_eq!(
            kept[expected_len - 1].escape_ascii().to_string(),
            expected_last.escape_ascii().to_string()
        );
    }

    /// `redis-server` 7.0.15 keeps these of the same commands.
    #[test]
    fn long_commands_are_shortened_as_redis_does() {
        let fits = [b'x'; 128];
        check_shortened(32, b"a", 32, b"a");
        check_shortened(33, b"a", 32, b"... (2 more arguments)");
        check_shortened(41, b"a", 32, b"... (10 more arguments)");
        check_shortened(1, &fits, 1, &fits);
        check_shortened(1, &[b'x'; 130], 1, &[&fits[..], b"... (2 more bytes)"].concat());
        check_shortened(1, b"", 1, b"");
    }

    #[test]
    fn ids_are_in_order_whoever_pushes() {
        let log = CommandLog::new(0, 1_000);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..100).for_each(|_| push(&log, &[b"GET"])));
            }
        });
        assert!(ids(&log, None).into_iter().eq((0..400).rev()));
    }
}
