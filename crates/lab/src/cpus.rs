//! Processors that threads are held on.
//!
//! A thread is held before it starts others, which inherit it; of a process that runs already, each thread is.

use std::fmt;
use std::str::FromStr;

use rustix::thread::{CpuSet, Pid, sched_getaffinity, sched_setaffinity};
use serde::{Deserialize, Serialize};

/// A set of processors, as `taskset --cpu-list` names them: `0,2-5`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cpus(Vec<usize>);

impl Cpus {
    /// Holds the calling thread, and what it starts from now on, on these processors.
    pub fn pin(&self) -> Result<(), String> {
        sched_setaffinity(None, &self.set())
            .map_err(|error| format!("cannot pin to processors {self}: {error}"))
    }

    fn set(&self) -> CpuSet {
        let mut set = CpuSet::new();
        self.0.iter().for_each(|cpu| set.set(*cpu));
        set
    }

    /// Does something that starts a process while the calling thread is held on these processors.
    pub fn while_pinned<T>(&self, start: impl FnOnce() -> T) -> Result<T, String> {
        let before =
            sched_getaffinity(None).map_err(|error| format!("no affinity to go back to: {error}"))?;
        self.pin()?;
        let started = start();
        sched_setaffinity(None, &before).map_err(|error| format!("cannot unpin: {error}"))?;
        Ok(started)
    }
}

/// A process that runs already, held on processors until this is dropped.
#[derive(Debug)]
pub struct Pinned {
    before: Vec<(Pid, CpuSet)>,
}

impl Pinned {
    /// Holds all its threads there. Those that it starts later inherit it.
    pub fn new(process: u32, cpus: &Cpus) -> Result<Self, String> {
        let error = |error: &dyn fmt::Display| format!("cannot pin process {process}: {error}");
        let tasks = std::fs::read_dir(format!("/proc/{process}/task")).map_err(|what| error(&what))?;
        let mut pinned = Self { before: Vec::new() };
        for task in tasks.flatten() {
            let id = task.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
            let Some(id) = id else { continue };
            // A thread that has ended meanwhile needs no place.
            let Ok(before) = sched_getaffinity(Some(id)) else { continue };
            sched_setaffinity(Some(id), &cpus.set()).map_err(|what| error(&what))?;
            pinned.before.push((id, before));
        }
        Ok(pinned)
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        for (id, before) in &self.before {
            // It may have ended.
            let _ = sched_setaffinity(Some(*id), before);
        }
    }
}

impl fmt::Display for Cpus {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.0.iter().map(usize::to_string).collect();
        out.write_str(&names.join(","))
    }
}

impl FromStr for Cpus {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| match text.parse::<usize>() {
            Ok(cpu) if cpu < CpuSet::MAX_CPU => Ok(cpu),
            _ => Err(format!("{text:?} is no processor: 0,2-5 names four")),
        };
        let mut cpus = Vec::new();
        for part in text.split(',') {
            match part.split_once('-') {
                Some((first, last)) => cpus.extend(number(first)?..=number(last)?),
                None => cpus.push(number(part)?),
            }
        }
        cpus.sort_unstable();
        cpus.dedup();
        if cpus.is_empty() { Err(format!("{text:?} names no processor")) } else { Ok(Self(cpus)) }
    }
}

impl TryFrom<String> for Cpus {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Cpus> for String {
    fn from(cpus: Cpus) -> Self {
        cpus.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_processors_are_read() {
        assert_eq!("3,0-1,1".parse::<Cpus>().unwrap().to_string(), "0,1,3");
        for wrong in ["", "x", "1-", "3-1", "9999999"] {
            assert!(wrong.parse::<Cpus>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn what_starts_while_pinned_is_pinned_and_we_are_not() {
        let before = sched_getaffinity(None).unwrap();
        let cpu = (0..CpuSet::MAX_CPU).find(|cpu| before.is_set(*cpu)).unwrap();
        let cpus: Cpus = cpu.to_string().parse().unwrap();
        let seen =
            cpus.while_pinned(|| std::thread::spawn(|| sched_getaffinity(None).unwrap()).join().unwrap());
        assert_eq!(seen.unwrap().count(), 1);
        let server = rustredis_testkit::Server::redis();
        let id = Pid::from_raw(server.pid() as i32);
        let pinned = Pinned::new(server.pid(), &cpus).unwrap();
        assert_eq!(sched_getaffinity(id).unwrap().count(), 1);
        drop(pinned);
        assert_eq!(sched_getaffinity(id).unwrap(), before);
        assert_eq!(sched_getaffinity(None).unwrap(), before);
    }
}
