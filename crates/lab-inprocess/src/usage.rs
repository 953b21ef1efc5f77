//! What each thread has used and suffered: processor time, time in which it wanted a core and had none, switches.
//!
//! A thread that is switched away while it holds a lock keeps the others waiting for milliseconds, which then looks like contention.
//! The two are told apart here: time in the run queue and involuntary switches are the machine's doing, voluntary ones the lock's.
//! The kernel's own counts were preferred to a sampler: they are exact, per thread, and cost nothing while the threads run.

use std::fs;

/// Of one thread, or the difference of two looks at it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Usage {
    /// On a core.
    pub(crate) cpu_seconds: f64,
    /// Ready to run, and without a core.
    pub(crate) queued_seconds: f64,
    /// It waited for something.
    pub(crate) voluntary: u64,
    /// Its core was taken from it.
    pub(crate) involuntary: u64,
}

impl Usage {
    /// Of a thread of this process by its number in the kernel. Zeroes where the kernel does not tell.
    pub(crate) fn of(thread: i32) -> Self {
        let read = |name: &str| fs::read_to_string(format!("/proc/self/task/{thread}/{name}"));
        parse(&read("schedstat").unwrap_or_default(), &read("status").unwrap_or_default())
    }

    /// What has come to it since then.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            cpu_seconds: self.cpu_seconds - before.cpu_seconds,
            queued_seconds: self.queued_seconds - before.queued_seconds,
            voluntary: self.voluntary - before.voluntary,
            involuntary: self.involuntary - before.involuntary,
        }
    }

    /// Both together.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            cpu_seconds: self.cpu_seconds + other.cpu_seconds,
            queued_seconds: self.queued_seconds + other.queued_seconds,
            voluntary: self.voluntary + other.voluntary,
            involuntary: self.involuntary + other.involuntary,
        }
    }
}

/// The calling thread's number in the kernel.
pub(crate) fn thread_number() -> i32 {
    // SAFETY: the call takes nothing and cannot fail.
    unsafe { libc::gettid() }
}

/// `schedstat` is nanoseconds on a core, nanoseconds in the run queue, turns.
fn parse(schedstat: &str, status: &str) -> Usage {
    let mut nanos = schedstat.split_whitespace().map(|field| field.parse::<f64>().unwrap_or(0.0) / 1e9);
    let count = |name: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
    };
    Usage {
        cpu_seconds: nanos.next().unwrap_or(0.0),
        queued_seconds: nanos.next().unwrap_or(0.0),
        voluntary: count("voluntary_ctxt_switches"),
        involuntary: count("nonvoluntary_ctxt_switches"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_files_are_read() {
        let status = "Name:\tx\nvoluntary_ctxt_switches:\t7\nnonvoluntary_ctxt_switches:\t2\n";
        let usage = parse("1500000000 250000000 9\n", status);
        let expected = Usage { cpu_seconds: 1.5, queued_seconds: 0.25, voluntary: 7, involuntary: 2 };
        assert_eq!(usage, expected);
        assert_eq!(parse("", ""), Usage::default());
        assert_eq!(expected.since(expected).plus(expected), expected);
    }

    #[test]
    fn a_thread_that_works_is_seen_working() {
        let number = thread_number();
        let before = Usage::of(number);
        let mut sum = 0_u64;
        while Usage::of(number).since(before).cpu_seconds < 0.01 {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(sum > 0);
    }
}
