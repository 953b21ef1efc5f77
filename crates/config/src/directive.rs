//! What a row of the table of directives says, and the macro that turns rows into an enum and an array.
//!
//! A directive is one row; `CONFIG GET`, `SET` and `REWRITE`, the parser, `--help` and the reference page read it and
//! repeat nothing. The enum `Directive` has a variant per row, so that the server names a directive with a word that
//! the compiler checks and reads its value by index, without a lookup.

use crate::kind::ValueKind;
use crate::table::DIRECTIVES;
pub use crate::table::Directive;
use crate::unsupported;
use crate::value::Value;

/// One directive, as the table states it.
#[derive(Debug)]
pub struct Row {
    /// The directive.
    pub id: Directive,
    /// The name in redis.conf, in lower case.
    pub name: &'static str,
    /// An older name that means the same; `CONFIG GET *` shows both.
    pub alias: Option<&'static str>,
    /// What the directive accepts.
    pub kind: ValueKind,
    /// The default, as it would stand in redis.conf (several arguments are separated by spaces).
    pub default: &'static str,
    /// Who may change and see it.
    pub access: Rights,
    /// Whether this server does something with it.
    pub effect: Effect,
    /// Where it stands in `--help`.
    pub group: Group,
    /// One sentence.
    pub doc: &'static str,
}

impl Row {
    /// Why this value cannot be had, if it asks for something that this server does not do. O(bytes of the value).
    pub(crate) fn refusal(&self, value: &Value) -> Option<&'static str> {
        match self.effect {
            Effect::Refused(reason) if unsupported::asks(self, value) => Some(reason),
            _ => None,
        }
    }

    /// What takes the value; None if nothing does.
    pub fn target(&self) -> Option<Target> {
        match self.effect {
            Effect::Effective(target) => Some(target),
            Effect::NoEffectHere(_) | Effect::Refused(_) => None,
        }
    }

    /// Whether the value must not be shown to others: in logs, MONITOR, the slow log.
    pub(crate) fn is_secret(&self) -> bool {
        self.access.is_secret || self.id == Directive::User
    }

    /// The default as a value.
    pub(crate) fn default_value(&self) -> Value {
        let nothing = match self.kind {
            ValueKind::Lines { .. } => return Value::Lines(Vec::new()),
            ValueKind::Primary => return Value::Primary(None),
            _ => Value::Bool(false),
        };
        let whole = [self.default.as_bytes()];
        let parts: Vec<&[u8]> = self.default.as_bytes().split(|&byte| byte == b' ').collect();
        let arguments = if self.kind.takes_many() { &parts[..] } else { &whole[..] };
        self.kind.parse(arguments, &nothing).expect("each default of the table fits its kind (see its tests)")
    }
}

impl Directive {
    /// The directive's row.
    pub fn row(self) -> &'static Row {
        &DIRECTIVES[self as usize]
    }

    /// The directive's name in redis.conf.
    pub fn name(self) -> &'static str {
        self.row().name
    }
}

/// The row with this name or alias in any case, and the name that was found. O(rows).
pub fn find(name: &[u8]) -> Option<(&'static Row, &'static str)> {
    DIRECTIVES.iter().find_map(|row| {
        let names = [Some(row.name), row.alias];
        let found = names.into_iter().flatten().find(|known| name.eq_ignore_ascii_case(known.as_bytes()));
        found.map(|found| (row, found))
    })
}

/// Who may change a directive, and who sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights {
    /// Whether `CONFIG SET` may change it.
    pub change: Change,
    /// Patterns of `CONFIG GET` do not show it; its full name does.
    pub is_hidden: bool,
    /// The value is a secret: keep it out of logs, MONITOR and the slow log.
    pub is_secret: bool,
}

/// Whether `CONFIG SET` may change a directive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// At any time.
    Settable,
    /// Only at the start.
    Immutable,
    /// If `enable-protected-configs` allows it to the client.
    Protected,
    /// The directive stands in files only; `CONFIG` does not know it.
    FileOnly,
}

/// Whether a directive does something in this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// As documented: what takes the value when it has changed.
    Effective(Target),
    /// It is accepted, kept and shown, but changes nothing, for this reason; nobody relies on what is missing.
    NoEffectHere(&'static str),
    /// A value that asks for something is refused, for this reason: the server would do less than it was told. With
    /// `ignore-unsupported` it is as [`Effect::NoEffectHere`].
    Refused(&'static str),
}

macro_rules! targets {
    ($($(#[$doc:meta])* $target:ident,)*) => {
        /// What takes a directive's value, at the start and when it has changed: in this order, what can fail first.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Target { $($(#[$doc])* $target,)* }

        impl Target {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$target),*];
        }
    };
}

targets! {
    /// The process's limit of open files.
    Descriptors,
    /// The working directory.
    Directory,
    /// The listening sockets.
    Listening,
    /// What clients may use, and what they are told.
    Clients,
    /// How much of what clients read is remembered.
    Tracking,
    /// The default user's password.
    Password,
    /// The other users, and who is new.
    Users,
    /// What goes when memory is short.
    Eviction,
    /// How small collections are stored.
    Encodings,
    /// The slow log and the latency monitor.
    SlowCommands,
    /// What is measured.
    Metrics,
    /// How many replicas a write needs.
    Replicas,
    /// Delays for tests.
    Delays,
    /// What writes the append-only file.
    Journal,
    /// Which failures of the disk refuse writes.
    DiskErrors,
    /// The log.
    Log,
    /// Whether there is an append-only file.
    AppendOnly,
    /// Nothing keeps a copy: the value is read where it is needed, or once at the start.
    Readers,
}

macro_rules! groups {
    ($($(#[$doc:meta])* $group:ident $name:literal $title:literal;)*) => {
        /// A section of `--help` and of the reference page, in this order.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Group { $($(#[$doc])* $group,)* }

        impl Group {
            /// All groups, in the order in which they are shown.
            pub const ALL: &'static [Self] = &[$(Self::$group),*];

            /// The word for `--help <group>`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$group => $name,)* }
            }

            /// The heading.
            pub fn title(self) -> &'static str {
                match self { $(Self::$group => $title,)* }
            }
        }
    };
}

groups! {
    /// What RustRedis has and Redis has not.
    Engine "engine" "Concurrency engine and metrics (RustRedis only)";
    /// Where clients connect.
    Network "network" "Network";
    /// Encrypted connections.
    Tls "tls" "TLS";
    /// Who may do what.
    Security "security" "Security";
    /// What clients may use.
    Clients "clients" "Clients and limits";
    /// Keys that have to go.
    Memory "memory" "Memory, expiry and eviction";
    /// How small collections are stored.
    Encodings "encodings" "Encodings of small collections";
    /// RDB files.
    Snapshots "snapshots" "Snapshots (RDB)";
    /// The append-only file.
    AppendOnly "aof" "Append-only file (AOF)";
    /// Primary and replicas.
    Replication "replication" "Replication";
    /// Several servers, one keyspace.
    Cluster "cluster" "Cluster";
    /// What the server tells about itself.
    Observability "observability" "Logs, slow log, latency, events";
    /// The process and its environment.
    Process "process" "Process and files";
    /// For tests of the server.
    Debugging "debugging" "Debugging";
}

/// Declares `Directive` and `DIRECTIVES` from rows:
/// `Variant "name" [/ "old-name"] kind, "default", access, effect, "documentation";`
macro_rules! directives {
    ($($group:ident { $(
        $id:ident $name:literal $(/ $alias:literal)? $kind:expr, $default:expr, $access:expr, $effect:expr,
        $doc:literal;
    )* })*) => {
        /// A directive of redis.conf, by its name in camel case.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Directive { $($(#[doc = $doc] $id,)*)* }

        /// All directives, indexed by `Directive as usize`.
        pub static DIRECTIVES: &[Row] = &[$($(Row {
            id: Directive::$id,
            name: $name,
            alias: directives!(@alias $($alias)?),
            kind: $kind,
            default: $default,
            access: $access,
            effect: $effect,
            group: Group::$group,
            doc: $doc,
        },)*)*];
    };
    (@alias) => { None };
    (@alias $alias:literal) => { Some($alias) };
}
pub(crate) use directives;
