//! A storage that fails when told so.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{Storage, StorageFile};

/// Kinds of operations, counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Opening or making a file.
    Open,
    /// Appending to one.
    Write,
    /// Syncing one.
    Sync,
    /// Cutting one.
    Truncate,
    /// Renaming.
    Rename,
    /// Removing.
    Remove,
    /// Making a directory, or syncing one.
    Directory,
}

const OPERATIONS: [(&str, Operation); 7] = [
    ("open", Operation::Open),
    ("write", Operation::Write),
    ("sync", Operation::Sync),
    ("truncate", Operation::Truncate),
    ("rename", Operation::Rename),
    ("remove", Operation::Remove),
    ("directory", Operation::Directory),
];

impl Operation {
    /// The operation of this name.
    pub fn by_name(name: &str) -> Option<Self> {
        OPERATIONS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, operation)| *operation)
    }
}

/// Which operations of a kind a rule is about, counted from 1 since the rules were cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Only this one.
    Nth(u64),
    /// Each.
    Every,
}

/// What happens to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// They fail with this error number.
    Fail(i32),
    /// A write takes no more than so many bytes, and the next one fails for want of space.
    Short(usize),
    /// They take so much longer.
    Delay(Duration),
}

/// A fault to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Of which operations.
    pub operation: Operation,
    /// Of which of them.
    pub when: When,
    /// What happens.
    pub action: Action,
}

#[derive(Debug, Default)]
struct State {
    rules: Vec<Rule>,
    counts: [u64; OPERATIONS.len()],
    /// The next write fails: the one before was cut short.
    is_full: bool,
}

/// The rules, shared by a storage and its files.
#[derive(Debug, Default)]
pub struct Faults {
    is_on: AtomicBool,
    state: Mutex<State>,
}

impl Faults {
    /// Adds a rule.
    pub fn add(&self, rule: Rule) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).rules.push(rule);
        self.is_on.store(true, Relaxed);
    }

    /// Forgets all rules and counts.
    pub fn clear(&self) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State::default();
        self.is_on.store(false, Relaxed);
    }

    /// How many operations of a kind there were since the rules were cleared; counted while there are rules.
    pub fn count(&self, operation: Operation) -> u64 {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).counts[operation as usize]
    }

    /// Counts an operation; what a write may take at most, `usize::MAX` without a rule.
    fn meet(&self, operation: Operation) -> io::Result<usize> {
        if !self.is_on.load(Relaxed) {
            return Ok(usize::MAX);
        }
        let (mut limit, mut delay) = (usize::MAX, Duration::ZERO);
        {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.counts[operation as usize] += 1;
            let number = state.counts[operation as usize];
            if operation == Operation::Write && std::mem::take(&mut state.is_full) {
                return Err(io::Error::from_raw_os_error(libc::ENOSPC));
            }
            for index in 0..state.rules.len() {
                let rule = state.rules[index];
                if rule.operation != operation || rule.when != When::Every && rule.when != When::Nth(number) {
                    continue;
                }
                match rule.action {
                    Action::Fail(errno) => return Err(io::Error::from_raw_os_error(errno)),
                    Action::Short(bytes) => {
                        limit = bytes;
                        state.is_full = operation == Operation::Write;
                    }
                    Action::Delay(time) => delay = time,
                }
            }
        }
        if !delay.is_zero() {
            std::thread::sleep(delay);
        }
        Ok(limit)
    }
}

/// Another storage, with faults.
pub struct Faulty {
    inner: Box<dyn Storage>,
    faults: Arc<Faults>,
}

impl Faulty {
    /// Passes everything on to `inner`, as far as `faults` let it.
    pub fn new(inner: Box<dyn Storage>, faults: Arc<Faults>) -> Self {
        Self { inner, faults }
    }

    /// Its faults.
    pub fn faults(&self) -> &Arc<Faults> {
        &self.faults
    }

    fn wrap(&self, file: Arc<dyn StorageFile>) -> Arc<dyn StorageFile> {
        Arc::new(FaultyFile { inner: file, faults: self.faults.clone() })
    }
}

struct FaultyFile {
    inner: Arc<dyn StorageFile>,
    faults: Arc<Faults>,
}

impl StorageFile for FaultyFile {
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let limit = self.faults.meet(Operation::Write)?;
        if limit == 0 && !bytes.is_empty() {
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        self.inner.write(&bytes[..bytes.len().min(limit)])
    }

    fn sync(&self) -> io::Result<()> {
        self.faults.meet(Operation::Sync)?;
        self.inner.sync()
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.faults.meet(Operation::Truncate)?;
        self.inner.truncate(length)
    }

    fn length(&self) -> io::Result<u64> {
        self.inner.length()
    }
}

impl Storage for Faulty {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn StorageFile>> {
        self.faults.meet(Operation::Open)?;
        Ok(self.wrap(self.inner.create(path)?))
    }

    fn append(&self, path: &Path) -> io::Result<Arc<dyn StorageFile>> {
        self.faults.meet(Operation::Open)?;
        Ok(self.wrap(self.inner.append(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.faults.meet(Operation::Rename)?;
        self.inner.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.faults.meet(Operation::Remove)?;
        self.inner.remove(path)
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.faults.meet(Operation::Directory)?;
        self.inner.create_directory(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.faults.meet(Operation::Directory)?;
        self.inner.sync_directory(path)
    }
}
