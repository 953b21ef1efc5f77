//! The choices that RustRedis adds to redis.conf.

macro_rules! choice {
    ($(#[$doc:meta])* $type:ident, $default:ident { $($(#[$variant_doc:meta])* $variant:ident $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $type { $($(#[$variant_doc])* $variant,)* }

        impl $type {
            /// What the server does when nothing is configured.
            pub const DEFAULT: Self = Self::$default;
            /// All choices.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];
            /// The words for them in redis.conf, in the same order.
            pub const NAMES: &'static [&'static str] = &[$($name),*];

            /// The word in redis.conf.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The choice with this name.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|choice| choice.name() == name)
            }
        }
    };
}

choice! {
    /// How a command gets exclusive use of the keys it touches.
    Engine, Dashmap {
        /// One lock around one shard.
        Mutex "mutex",
        /// A lock per shard.
        Dashmap "dashmap",
        /// A thread per core owns its shards; others send it messages.
        Actor "actor",
        /// The locks of `dashmap`; strings are read without one.
        Lockfree "lockfree",
    }
}

choice! {
    /// How commands are counted.
    Metrics, ThreadLocal {
        /// Not at all.
        Off "off",
        /// Counters behind one lock.
        Mutex "mutex",
        /// Counters in shards, each behind a lock of its own.
        Sharded "sharded",
        /// Counters of each thread, merged when they are read.
        ThreadLocal "thread-local",
    }
}
