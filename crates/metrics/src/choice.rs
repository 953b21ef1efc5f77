//! The words of counting: which command, how it ended, and which strategy counts it.

use std::fmt;
use std::str::FromStr;

/// A command's index in the command table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommandId(pub u16);

/// How an execution ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallEnd {
    /// With any reply but an error.
    Ok,
    /// With an error reply.
    Failed,
}

/// The value of `--metrics`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// Nothing is counted.
    Off,
    /// One lock for all.
    Mutex,
    /// A lock for each worker.
    Sharded,
    /// No lock; each worker counts by itself.
    ThreadLocal,
}

impl Strategy {
    /// Every strategy, in the order of `--help`.
    pub const ALL: [Strategy; 4] = [Strategy::Off, Strategy::Mutex, Strategy::Sharded, Strategy::ThreadLocal];

    /// As it is written on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Strategy::Off => "off",
            Strategy::Mutex => "mutex",
            Strategy::Sharded => "sharded",
            Strategy::ThreadLocal => "thread-local",
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// The name is none of the strategies'.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownStrategy;

impl fmt::Display for UnknownStrategy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the metrics strategies are off, mutex, sharded and thread-local")
    }
}

impl std::error::Error for UnknownStrategy {}

impl FromStr for Strategy {
    type Err = UnknownStrategy;

    fn from_str(name: &str) -> Result<Self, UnknownStrategy> {
        Strategy::ALL
            .into_iter()
            .find(|strategy| strategy.name().eq_ignore_ascii_case(name))
            .ok_or(UnknownStrategy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for strategy in Strategy::ALL {
            assert_eq!(strategy.to_string().parse(), Ok(strategy));
        }
        assert_eq!("Thread-Local".parse(), Ok(Strategy::ThreadLocal));
        assert_eq!("".parse::<Strategy>(), Err(UnknownStrategy));
    }
}
