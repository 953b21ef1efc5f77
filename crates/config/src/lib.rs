//! The configuration of RustRedis: redis.conf and the command line, read as redis-server reads them.
//!
//! Everything comes from one table of directives (`DIRECTIVES`), a row each: the parser, `CONFIG GET`, `SET` and
//! `REWRITE`, `--help` and the reference page read it and repeat nothing. A directive of Redis that does nothing here
//! is a row too, so that an existing redis.conf works; the row says why.
//!
//! The crate reads configuration files and standard input and does no other I/O; it has no globals and no clock.
//! What a change means (open a port, resize a pool) is the server's business: `Config::set` says what changed.

mod command_line;
mod config;
mod directive;
mod error;
mod events;
mod file;
mod help;
mod kind;
mod own;
mod rewrite;
mod split;
mod table;
mod unsupported;
mod value;

pub use command_line::{Invocation, parse_command_line, version_line};
pub use config::{Changes, Config, Origin, is_secret};
pub use directive::{Change, Directive, Effect, Group, Rights, Row, Target, find};
pub use error::{ConfigError, SetError, Source, ValueError};
pub use events::EventClasses;
pub use help::reference_page;
pub use kind::{TextRule, ValueKind, parse_memory};
pub use own::{Engine, Metrics};
pub use table::DIRECTIVES;
pub use value::{BufferLimit, ClientClass, SavePoint, Value};

/// The version of RustRedis.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The version of Redis that RustRedis behaves as.
pub const REDIS_VERSION: &str = "7.2.4";
