//! The row of a command: the one truth about it.
//!
//! Arity, keys, flags, ACL categories, docs: COMMAND, COMMAND DOCS, ACL, planning, cluster routing and the reference page
//! read the row and repeat nothing. A row is written as a `const` with a few builder calls, next to its function.

use rustredis_keyspace::{Access, View};
use rustredis_resp::Reply;

use crate::args::Args;
use crate::error::CommandError;
use crate::syntax::ArgumentKind;

/// How a data command runs: it acts through the view, answers through the reply, and on an error what it wrote is cut away.
pub type Handler = fn(&mut View<'_>, Args<'_>, &mut Reply<'_>) -> Result<(), CommandError>;

/// A set of bits of one kind; `|` unites.
macro_rules! bits {
    ($(#[$doc:meta])* $name:ident { $($(#[$bit_doc:meta])* $flag:ident = $bit:expr;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
        pub struct $name(u32);

        impl $name {
            /// No flag.
            pub const NONE: Self = Self(0);
            $($(#[$bit_doc])* pub const $flag: Self = Self(1 << $bit);)*

            /// Both.
            pub const fn with(self, other: Self) -> Self { Self(self.0 | other.0) }
            /// This without the other.
            pub const fn without(self, other: Self) -> Self { Self(self.0 & !other.0) }
            /// Whether all of `other` are set.
            #[inline]
            pub const fn has(self, other: Self) -> bool { self.0 & other.0 == other.0 }
            /// Whether one of `other` is set.
            #[inline]
            pub const fn has_any(self, other: Self) -> bool { self.0 & other.0 != 0 }
        }

        impl std::ops::BitOr for $name {
            type Output = Self;
            fn bitor(self, other: Self) -> Self { self.with(other) }
        }
    };
}

/// A set of bits that have names which clients see.
macro_rules! flags {
    ($(#[$doc:meta])* $name:ident { $($(#[$flag_doc:meta])* $flag:ident = $bit:expr, $text:expr;)* }) => {
        bits! { $(#[$doc])* $name { $($(#[$flag_doc])* $flag = $bit;)* } }

        impl $name {
            const NAMES: &[(Self, &'static str)] = &[$((Self::$flag, $text)),*];

            /// The names of those that are set, as Redis writes them.
            pub fn names(self) -> impl Iterator<Item = &'static str> {
                Self::NAMES.iter().filter(move |(flag, _)| self.has(*flag)).map(|(_, name)| *name)
            }
            /// All flags with their names.
            pub fn all() -> impl Iterator<Item = (Self, &'static str)> {
                Self::NAMES.iter().copied()
            }
            /// The flag of this name.
            pub fn by_name(name: &str) -> Option<Self> {
                Self::NAMES.iter().find(|(_, text)| text.eq_ignore_ascii_case(name)).map(|(flag, _)| *flag)
            }
        }
    };
}

flags! {
    /// What kind of command it is, as `COMMAND INFO` shows.
    Flags {
        /// Changes the data set.
        WRITE = 0, "write";
        /// Reads the data set.
        READONLY = 1, "readonly";
        /// Refused when memory is short.
        DENYOOM = 2, "denyoom";
        /// For administrators.
        ADMIN = 3, "admin";
        /// Publishes or subscribes.
        PUBSUB = 4, "pubsub";
        /// Not in scripts.
        NOSCRIPT = 5, "noscript";
        /// May wait.
        BLOCKING = 6, "blocking";
        /// Allowed while loading.
        LOADING = 7, "loading";
        /// Allowed on a replica that has lost its primary.
        STALE = 8, "stale";
        /// Not shown by MONITOR.
        SKIP_MONITOR = 9, "skip_monitor";
        /// Not in SLOWLOG.
        SKIP_SLOWLOG = 10, "skip_slowlog";
        /// Allowed in a cluster for a slot that is being imported.
        ASKING = 11, "asking";
        /// O(1) or O(log n).
        FAST = 12, "fast";
        /// Allowed before authentication.
        NO_AUTH = 13, "no_auth";
        /// May be replicated though it changes no data.
        MAY_REPLICATE = 14, "may_replicate";
        /// Not in MULTI.
        NO_MULTI = 15, "no_multi";
        /// Its keys depend on its arguments.
        MOVABLEKEYS = 16, "movablekeys";
        /// Allowed while a slow script runs.
        ALLOW_BUSY = 17, "allow_busy";
        /// A key specification may find no key.
        NO_MANDATORY_KEYS = 18, "no_mandatory_keys";
        /// Not sent asynchronously to a slow client by a background job.
        NO_ASYNC_LOADING = 19, "no_async_loading";
    }
}

bits! {
    /// How the server treats it beyond what Redis's flags say. No client sees these.
    Rules {
        /// A subscriber may send it over RESP2.
        IN_SUBSCRIBER_MODE = 0;
        /// MULTI does not queue it: it runs at once.
        UNQUEUED = 1;
        /// Opens a transaction.
        OPENS_TRANSACTION = 2;
        /// Ends a transaction, and so gives back what that takes.
        ENDS_TRANSACTION = 3;
        /// Runs what a transaction has queued: whatever is asked of it is asked of that too.
        RUNS_QUEUE = 4;
        /// Selects a database.
        SELECTS_DATABASE = 5;
        /// Answers with an element alone: a null where it would have to wait and must not. The others answer with an array.
        ANSWERS_ELEMENT = 6;
        /// Refused while the disk refuses what must be there, though it changes nothing: who asks for the server's health hears it.
        TELLS_DISK_ERROR = 7;
        /// For servers and their tests, not for clients, as `COMMAND DOCS` says.
        SYSTEM = 8;
        /// Reads strings, or asks about keys, and does nothing else: it may run without a lock where strings are published.
        LOCKLESS = 9;
        /// Runs a script: the text of its first argument, if none of the next two is set.
        RUNS_SCRIPT = 10;
        /// The script with the SHA-1 of its first argument.
        NAMES_SCRIPT = 11;
        /// The function with the name of its first argument.
        NAMES_FUNCTION = 12;
        /// What CLIENT CACHING was given for is still to come.
        KEEPS_CACHING = 13;
        /// A client that has become a replica may send it.
        FROM_REPLICA = 14;
    }
}

flags! {
    /// ACL categories.
    Categories {
        /// Keys of any type.
        KEYSPACE = 0, "keyspace";
        /// Reads.
        READ = 1, "read";
        /// Writes.
        WRITE = 2, "write";
        /// Sets.
        SET = 3, "set";
        /// Sorted sets.
        SORTEDSET = 4, "sortedset";
        /// Lists.
        LIST = 5, "list";
        /// Hashes.
        HASH = 6, "hash";
        /// Strings.
        STRING = 7, "string";
        /// Bitmaps.
        BITMAP = 8, "bitmap";
        /// HyperLogLogs.
        HYPERLOGLOG = 9, "hyperloglog";
        /// Geospatial indexes.
        GEO = 10, "geo";
        /// Streams.
        STREAM = 11, "stream";
        /// Publish and subscribe.
        PUBSUB = 12, "pubsub";
        /// Administration.
        ADMIN = 13, "admin";
        /// O(1) or O(log n).
        FAST = 14, "fast";
        /// The others.
        SLOW = 15, "slow";
        /// May wait.
        BLOCKING = 16, "blocking";
        /// May do harm.
        DANGEROUS = 17, "dangerous";
        /// Connections.
        CONNECTION = 18, "connection";
        /// Transactions.
        TRANSACTION = 19, "transaction";
        /// Scripts.
        SCRIPTING = 20, "scripting";
    }
}

flags! {
    /// What a command does with the keys that a specification finds.
    KeyFlags {
        /// Reads and changes the value.
        RW = 0, "RW";
        /// Reads the value.
        RO = 1, "RO";
        /// Overwrites the value.
        OW = 2, "OW";
        /// Removes the key.
        RM = 3, "RM";
        /// Returns or copies data of the value.
        ACCESS = 4, "access";
        /// Updates the value.
        UPDATE = 5, "update";
        /// Adds data.
        INSERT = 6, "insert";
        /// Deletes data.
        DELETE = 7, "delete";
        /// Not a key, but treated as one by a cluster.
        NOT_KEY = 8, "not_key";
        /// May find not all keys.
        INCOMPLETE = 9, "incomplete";
        /// The flags depend on the arguments.
        VARIABLE_FLAGS = 10, "variable_flags";
    }
}

/// Where a key specification begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// At this argument.
    Index(usize),
    /// Behind this word, searched from an argument on (from the end if negative).
    Keyword(&'static str, i32),
    /// Not said.
    Unknown,
}

/// How many keys a key specification finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Find {
    /// To the argument `last` after the first (from the end if negative), each `step`; `limit` > 1 stops at that part of
    /// the rest.
    Range {
        /// Relative to the first key; negative counts from the end of the arguments.
        last: i32,
        /// Distance from key to key.
        step: usize,
        /// If `last` is -1: the rest is divided by this.
        limit: usize,
    },
    /// As many as an argument says.
    KeyNum {
        /// The argument with the number, relative to the begin.
        number: usize,
        /// The first key, relative to the begin.
        first: usize,
        /// Distance from key to key.
        step: usize,
    },
    /// Not said.
    Unknown,
}

/// Where the keys of a command are, as `COMMAND INFO` tells clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySpec {
    /// Remarks for people.
    pub notes: &'static str,
    /// What is done with the keys.
    pub flags: KeyFlags,
    /// Where it begins.
    pub begin: Begin,
    /// How it goes on.
    pub find: Find,
}

impl KeySpec {
    /// `count` keys from argument `first` on, each `step`.
    pub const fn range(flags: KeyFlags, first: usize, last: i32, step: usize) -> Self {
        Self { notes: "", flags, begin: Begin::Index(first), find: Find::Range { last, step, limit: 0 } }
    }

    /// One key, argument `index`.
    pub const fn one(flags: KeyFlags, index: usize) -> Self {
        Self::range(flags, index, 0, 1)
    }

    /// As many keys as argument `number` says, behind it.
    pub const fn counted(flags: KeyFlags, number: usize) -> Self {
        Self {
            notes: "",
            flags,
            begin: Begin::Index(number),
            find: Find::KeyNum { number: 0, first: 1, step: 1 },
        }
    }

    /// The key behind a word.
    pub const fn keyword(flags: KeyFlags, word: &'static str, from: i32) -> Self {
        Self {
            notes: "",
            flags,
            begin: Begin::Keyword(word, from),
            find: Find::Range { last: 0, step: 1, limit: 0 },
        }
    }

    /// With a remark.
    pub const fn notes(self, notes: &'static str) -> Self {
        Self { notes, ..self }
    }
}

/// What a command must hold to run.
#[derive(Clone, Copy)]
pub enum Reach {
    /// The shards of its keys (none if it has no keys).
    Keys,
    /// Everything (KEYS, FLUSHALL).
    All,
    /// Nothing, for it reads counts that each shard keeps for whoever asks (DBSIZE): a sum of what each shard had at some
    /// moment while it ran, all that was answered before included. A transaction, which is one moment, holds everything for it.
    Counts,
    /// Everything if the function says so of the arguments (SORT with BY or GET), else the shards of its keys.
    AllIf(fn(Args<'_>) -> bool),
    /// The shards where a SCAN with this cursor and count goes on.
    Scan,
    /// A shard drawn in proportion to its keys (RANDOMKEY).
    Random,
}

/// Who runs it.
#[derive(Clone, Copy)]
pub enum Run {
    /// A function over the view.
    Keys(Handler),
    /// The server, which knows a function for the command's full name: it needs the session, the registry of clients or the
    /// configuration.
    Server,
    /// Nobody: a container whose subcommands are rows.
    Container,
}

/// The groups of commands, as `COMMAND DOCS` names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Group {
    Generic,
    String,
    List,
    Set,
    SortedSet,
    Hash,
    Bitmap,
    HyperLogLog,
    Geo,
    Stream,
    PubSub,
    Transactions,
    Connection,
    Server,
    Scripting,
    Cluster,
}

impl Group {
    /// Redis's name of the group.
    pub fn name(self) -> &'static str {
        match self {
            Self::Generic => "generic",
            Self::String => "string",
            Self::List => "list",
            Self::Set => "set",
            Self::SortedSet => "sorted-set",
            Self::Hash => "hash",
            Self::Bitmap => "bitmap",
            Self::HyperLogLog => "hyperloglog",
            Self::Geo => "geo",
            Self::Stream => "stream",
            Self::PubSub => "pubsub",
            Self::Transactions => "transactions",
            Self::Connection => "connection",
            Self::Server => "server",
            Self::Scripting => "scripting",
            Self::Cluster => "cluster",
        }
    }
}

/// Finds the keys of a command whose specifications cannot: pushes the arguments that are keys.
pub type FindKeys = fn(Args<'_>, &mut Vec<u32>) -> Result<(), CommandError>;

/// Which arguments of a command are channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channels {
    /// None that a right is needed for.
    None,
    /// The first behind the name.
    First,
    /// All behind the name.
    All,
    /// All behind the name, and they are patterns.
    Patterns,
}

/// Which databases a command reaches.
#[derive(Clone, Copy)]
pub enum Databases {
    /// The selected one, if it reaches keys at all.
    Selected,
    /// The selected one, and those at these arguments. Some may be beyond the last, or no numbers.
    Named(fn(Args<'_>) -> Vec<usize>),
    /// All that there are.
    All,
}

/// Names the option, if there is one in the arguments, by which a command reads keys that it finds by patterns.
pub type FindPatternOption = fn(Args<'_>) -> Option<&'static str>;

/// What a command does with a key that a specification with these flags finds, where that depends on the arguments.
pub type FindKeyFlags = fn(KeyFlags, Args<'_>) -> KeyFlags;

/// Finds the arguments that others may not see: passwords, and what goes with them. Some may be beyond the last.
pub type FindSecrets = fn(Args<'_>) -> Vec<usize>;

/// The row of a command or subcommand.
#[derive(Clone, Copy)]
pub struct Command {
    /// Its name, small letters; of a subcommand only the last word.
    pub name: &'static str,
    /// Arguments with the name (a subcommand: with both); negative: at least so many.
    pub arity: i32,
    /// What kind it is.
    pub flags: Flags,
    /// How the server treats it beyond that.
    pub rules: Rules,
    /// Where its keys are.
    pub keys: &'static [KeySpec],
    /// Finds the keys where `keys` cannot say it (SORT ... STORE).
    pub find_keys: Option<FindKeys>,
    /// Tells what it does with a key where the flags of `keys` are variable.
    pub find_key_flags: Option<FindKeyFlags>,
    /// Finds what MONITOR and SLOWLOG may not show.
    pub find_secrets: Option<FindSecrets>,
    /// Names the option by which it reads keys that patterns find.
    pub find_pattern_option: Option<FindPatternOption>,
    /// Which arguments are channels.
    pub channels: Channels,
    /// Which databases it reaches.
    pub databases: Databases,
    /// ACL categories besides those that follow from the flags.
    pub categories: Categories,
    /// What it must hold to run.
    pub reach: Reach,
    /// Who runs it.
    pub run: Run,
    /// Subcommands.
    pub subcommands: &'static [Command],
    /// Group of the documentation.
    pub group: Group,
    /// The version of Redis that had it first.
    pub since: &'static str,
    /// Complexity, for people.
    pub complexity: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// The arguments behind the name, in the notation of Redis's reference (`key value [NX | XX]`).
    pub syntax: &'static str,
    /// What the values in `syntax` are that are not what their names say.
    pub value_kinds: &'static [(&'static str, ArgumentKind)],
    /// Tips for clients (`nondeterministic_output`).
    pub tips: &'static [&'static str],
    /// Since when it is deprecated, and what replaces it.
    pub deprecated: Option<(&'static str, &'static str)>,
}

impl Command {
    /// A command over keys.
    pub const fn new(name: &'static str, arity: i32, flags: Flags, handler: Handler) -> Self {
        Self::row(name, arity, flags, Run::Keys(handler))
    }

    /// A command that the server runs.
    pub const fn server(name: &'static str, arity: i32, flags: Flags) -> Self {
        Self::row(name, arity, flags, Run::Server)
    }

    /// A container of subcommands.
    pub const fn container(name: &'static str, arity: i32, subcommands: &'static [Command]) -> Self {
        Self { subcommands, ..Self::row(name, arity, Flags::NONE, Run::Container) }
    }

    const fn row(name: &'static str, arity: i32, flags: Flags, run: Run) -> Self {
        Self {
            name,
            arity,
            flags,
            rules: Rules::NONE,
            keys: &[],
            find_keys: None,
            find_key_flags: None,
            find_secrets: None,
            find_pattern_option: None,
            channels: Channels::None,
            databases: Databases::Selected,
            categories: Categories::NONE,
            reach: Reach::Keys,
            run,
            subcommands: &[],
            group: Group::Generic,
            since: "1.0.0",
            complexity: "",
            summary: "",
            syntax: "",
            value_kinds: &[],
            tips: &[],
            deprecated: None,
        }
    }

    /// Says how the server treats it beyond what its flags say.
    pub const fn rules(self, rules: Rules) -> Self {
        Self { rules, ..self }
    }

    /// Says where the keys are.
    pub const fn keys(self, keys: &'static [KeySpec]) -> Self {
        Self { keys, ..self }
    }

    /// Says how the keys are found where specifications cannot tell.
    pub const fn find_keys(self, find_keys: FindKeys) -> Self {
        Self { find_keys: Some(find_keys), ..self }
    }

    /// Says what is done with the keys where that depends on the arguments.
    pub const fn find_key_flags(self, find_key_flags: FindKeyFlags) -> Self {
        Self { find_key_flags: Some(find_key_flags), ..self }
    }

    /// Says which arguments others may not see.
    pub const fn find_secrets(self, find_secrets: FindSecrets) -> Self {
        Self { find_secrets: Some(find_secrets), ..self }
    }

    /// Says by which option it reads keys that patterns find.
    pub const fn find_pattern_option(self, find_pattern_option: FindPatternOption) -> Self {
        Self { find_pattern_option: Some(find_pattern_option), ..self }
    }

    /// Says which arguments are channels.
    pub const fn channels(self, channels: Channels) -> Self {
        Self { channels, ..self }
    }

    /// Says which databases it reaches.
    pub const fn databases(self, databases: Databases) -> Self {
        Self { databases, ..self }
    }

    /// Says what it must hold.
    pub const fn reach(self, reach: Reach) -> Self {
        Self { reach, ..self }
    }

    /// Adds ACL categories to those that follow from the flags.
    pub const fn acl(self, categories: Categories) -> Self {
        Self { categories, ..self }
    }

    /// Documents it: group, first version of Redis, complexity, arguments, one sentence of our own.
    pub const fn docs(
        self,
        group: Group,
        since: &'static str,
        complexity: &'static str,
        syntax: &'static str,
        summary: &'static str,
    ) -> Self {
        Self { group, since, complexity, syntax, summary, ..self }
    }

    /// Says what those values in its syntax are that are not what their names say.
    pub const fn value_kinds(self, value_kinds: &'static [(&'static str, ArgumentKind)]) -> Self {
        Self { value_kinds, ..self }
    }

    /// Tips for clients.
    pub const fn tips(self, tips: &'static [&'static str]) -> Self {
        Self { tips, ..self }
    }

    /// Deprecated since a version, and what replaces it.
    pub const fn deprecated(self, since: &'static str, replaced_by: &'static str) -> Self {
        Self { deprecated: Some((since, replaced_by)), ..self }
    }

    /// All ACL categories: those of the row and those that follow from the flags, by Redis's rules.
    pub fn all_categories(&self) -> Categories {
        let mut all = self.categories;
        let rules = [
            (Flags::WRITE, Categories::WRITE),
            (Flags::READONLY, Categories::READ),
            (Flags::ADMIN, Categories::ADMIN.with(Categories::DANGEROUS)),
            (Flags::PUBSUB, Categories::PUBSUB),
            (Flags::FAST, Categories::FAST),
            (Flags::BLOCKING, Categories::BLOCKING),
        ];
        for (flag, category) in rules {
            let hides_read = flag == Flags::READONLY && self.categories.has(Categories::SCRIPTING);
            if self.flags.has(flag) && !hides_read {
                all = all | category;
            }
        }
        if self.flags.has(Flags::FAST) { all } else { all | Categories::SLOW }
    }

    /// How it needs its shards. A reader may share them, but not one whose keys are flagged as changed (PFCOUNT), nor one that may
    /// wait for them.
    pub fn access(&self) -> Access {
        let changes = KeyFlags::RW | KeyFlags::OW | KeyFlags::RM;
        let may_change = self.keys.iter().any(|spec| spec.flags.has_any(changes));
        let is_reader = self.flags.has(Flags::READONLY) && !self.flags.has(Flags::BLOCKING);
        if is_reader && !may_change { Access::Read } else { Access::Write }
    }

    /// Whether `count` arguments (with the name) are right.
    #[inline]
    pub fn arity_allows(&self, count: usize) -> bool {
        if self.arity >= 0 {
            count == self.arity as usize
        } else {
            count >= self.arity.unsigned_abs() as usize
        }
    }

    /// First key, last key and step, as the old fields of `COMMAND INFO` give them: from the first specification that is a
    /// range at a fixed place.
    pub fn key_range(&self) -> (i64, i64, i64) {
        match self.keys.first() {
            Some(KeySpec { begin: Begin::Index(first), find: Find::Range { last, step, .. }, .. }) => {
                let first = *first as i64;
                let mut last = if *last >= 0 { first + i64::from(*last) } else { i64::from(*last) };
                // Neighbouring specifications count as one range, as in RENAME.
                for spec in &self.keys[1..] {
                    if let (Begin::Index(index), Find::Range { last: end, .. }) = (spec.begin, spec.find)
                        && last >= 0
                        && index as i64 == last + 1
                    {
                        last = if end >= 0 { index as i64 + i64::from(end) } else { i64::from(end) };
                    }
                }
                (first, last, *step as i64)
            }
            _ => (0, 0, 0),
        }
    }

    /// Finds the arguments that are keys, ascending without repetition, and pushes them.
    ///
    /// # Errors
    /// `Other` with Redis's text if the arguments contradict themselves.
    pub fn push_keys(&self, args: Args<'_>, keys: &mut Vec<u32>) -> Result<(), CommandError> {
        if let Some(find_keys) = self.find_keys {
            return find_keys(args, keys);
        }
        for spec in self.keys {
            if !spec.flags.has(KeyFlags::NOT_KEY) {
                spec.push_keys(args, keys)?;
            }
        }
        if self.keys.len() > 1 {
            keys.sort_unstable();
            keys.dedup();
        }
        Ok(())
    }
}

impl Command {
    /// What it does with the key at argument `index`: what the specification says that finds it, or the last one, which stands for
    /// keys that no specification can find.
    pub fn flags_of_key(&self, args: Args<'_>, index: u32) -> KeyFlags {
        let finds = |spec: &&KeySpec| {
            let mut found = Vec::new();
            spec.push_keys(args, &mut found).is_ok() && found.contains(&index)
        };
        let spec = self.keys.iter().find(finds).or(self.keys.last());
        let flags = spec.map_or(KeyFlags::NONE, |spec| spec.flags);
        if !flags.has(KeyFlags::VARIABLE_FLAGS) {
            return flags;
        }
        let flags = self.find_key_flags.map_or(flags, |find| find(flags, args));
        flags.without(KeyFlags::VARIABLE_FLAGS)
    }

    /// What it does with each of its keys, where that is the same for all and whatever the arguments are.
    pub fn flags_of_every_key(&self) -> Option<KeyFlags> {
        match self.keys {
            [only] if !only.flags.has(KeyFlags::VARIABLE_FLAGS) => Some(only.flags),
            _ => None,
        }
    }
}

impl KeySpec {
    /// Finds the arguments that this specification names.
    ///
    /// # Errors
    /// `Other` with Redis's text if a count is no number or more than there are.
    pub fn push_keys(&self, args: Args<'_>, keys: &mut impl Extend<u32>) -> Result<(), CommandError> {
        let invalid = || CommandError::text("ERR Invalid arguments specified for command");
        let first = match self.begin {
            Begin::Index(index) => index,
            Begin::Keyword(word, from) => {
                let start = if from >= 0 {
                    from as usize
                } else {
                    args.len().saturating_sub(from.unsigned_abs() as usize)
                };
                let mut order: Box<dyn Iterator<Item = usize>> =
                    if from >= 0 { Box::new(start..args.len()) } else { Box::new((1..=start).rev()) };
                match order.find(|index| args.is(*index, word)) {
                    Some(index) if index + 1 < args.len() => index + 1,
                    _ => return Ok(()),
                }
            }
            Begin::Unknown => return Ok(()),
        };
        match self.find {
            Find::Range { last, step, limit } => {
                let end = if last >= 0 {
                    first + last as usize
                } else if limit <= 1 {
                    args.len().saturating_sub(last.unsigned_abs() as usize)
                } else {
                    first + (args.len().saturating_sub(first)) / limit - 1
                };
                keys.extend(
                    (first..=end.min(args.len().saturating_sub(1))).step_by(step).map(|index| index as u32),
                );
            }
            Find::KeyNum { number, first: offset, step } => {
                let count = args
                    .try_get(first + number)
                    .and_then(rustredis_resp::number::parse_i64)
                    .ok_or_else(invalid)?;
                let begin = first + offset;
                let count = usize::try_from(count).ok().filter(|n| *n > 0).ok_or_else(invalid)?;
                if count > args.len().saturating_sub(begin).div_ceil(step.max(1)) {
                    return Err(invalid());
                }
                keys.extend((0..count).map(|n| (begin + n * step) as u32));
            }
            Find::Unknown => {}
        }
        Ok(())
    }
}
