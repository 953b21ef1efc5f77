//! Which keys `maxmemory` takes first: the policies of `maxmemory-policy`.

use rustredis_keyspace::access_clock::{frequency, idle_seconds};
use rustredis_keyspace::{Among, Entry};

/// Which keys go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// None: writes are refused.
    #[default]
    NoEviction,
    /// Any, the longest unused first.
    AllKeysLru,
    /// Any, the least used first.
    AllKeysLfu,
    /// Any, the longest unchanged first.
    AllKeysLrm,
    /// Any.
    AllKeysRandom,
    /// Those that expire, the longest unused first.
    VolatileLru,
    /// Those that expire, the least used first.
    VolatileLfu,
    /// Those that expire, the longest unchanged first.
    VolatileLrm,
    /// Those that expire.
    VolatileRandom,
    /// Those that expire, the next to expire first.
    VolatileTtl,
}

impl Policy {
    /// All policies, by discriminant.
    pub const ALL: [Self; 10] = [
        Self::NoEviction,
        Self::AllKeysLru,
        Self::AllKeysLfu,
        Self::AllKeysLrm,
        Self::AllKeysRandom,
        Self::VolatileLru,
        Self::VolatileLfu,
        Self::VolatileLrm,
        Self::VolatileRandom,
        Self::VolatileTtl,
    ];

    /// The name in redis.conf.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoEviction => "noeviction",
            Self::AllKeysLru => "allkeys-lru",
            Self::AllKeysLfu => "allkeys-lfu",
            Self::AllKeysLrm => "allkeys-lrm",
            Self::AllKeysRandom => "allkeys-random",
            Self::VolatileLru => "volatile-lru",
            Self::VolatileLfu => "volatile-lfu",
            Self::VolatileLrm => "volatile-lrm",
            Self::VolatileRandom => "volatile-random",
            Self::VolatileTtl => "volatile-ttl",
        }
    }

    /// The policy of this name; the configuration knows no others.
    pub fn by_name(name: &str) -> Self {
        Self::ALL.into_iter().find(|policy| policy.name() == name).unwrap_or_default()
    }

    /// Whether accesses are counted and not dated.
    pub fn is_lfu(self) -> bool {
        matches!(self, Self::AllKeysLfu | Self::VolatileLfu)
    }

    /// Whether changes are dated and accesses are not.
    pub fn is_lrm(self) -> bool {
        matches!(self, Self::AllKeysLrm | Self::VolatileLrm)
    }

    /// Whether accesses, or changes, decide who goes.
    pub fn looks_at_accesses(self) -> bool {
        self.is_lfu() || self.is_lrm() || matches!(self, Self::AllKeysLru | Self::VolatileLru)
    }

    /// The keys that may go.
    pub fn among(self) -> Among {
        match self {
            Self::NoEviction
            | Self::AllKeysLru
            | Self::AllKeysLfu
            | Self::AllKeysLrm
            | Self::AllKeysRandom => Among::All,
            Self::VolatileLru
            | Self::VolatileLfu
            | Self::VolatileLrm
            | Self::VolatileRandom
            | Self::VolatileTtl => Among::Expiring,
        }
    }

    /// How willingly this key is evicted.
    pub fn score(self, entry: &Entry, now_ms: u64) -> u64 {
        match self {
            Self::NoEviction | Self::AllKeysRandom | Self::VolatileRandom => 0,
            Self::AllKeysLru | Self::VolatileLru | Self::AllKeysLrm | Self::VolatileLrm => {
                u64::from(idle_seconds(entry.clock(), now_ms))
            }
            Self::AllKeysLfu | Self::VolatileLfu => {
                u64::from(255 - frequency(entry.clock(), now_ms).min(255))
            }
            Self::VolatileTtl => u64::MAX - entry.expire_at_ms().unwrap_or(u64::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_says_who_goes_first() {
        let key = |expire_at_ms: u64, clock: u32| {
            let entry = Entry::string(b"key", b"value", Some(expire_at_ms));
            entry.set_clock(clock);
            entry
        };
        let check = |policy: Policy, first: Entry, then: Entry| {
            let (first, then) = (policy.score(&first, 120_000), policy.score(&then, 120_000));
            assert!(first > then, "{policy:?}: {first} and {then}");
        };
        check(Policy::AllKeysLru, key(0, 60), key(0, 110));
        check(Policy::VolatileLrm, key(0, 60), key(0, 110));
        check(Policy::VolatileTtl, key(200_000, 0), key(300_000, 0));
        // Minute 2 in the upper bits, then the counter.
        check(Policy::VolatileLfu, key(0, 2 << 8 | 3), key(0, 2 << 8 | 9));
        for policy in Policy::ALL {
            assert_eq!(Policy::by_name(policy.name()), policy);
        }
    }
}
