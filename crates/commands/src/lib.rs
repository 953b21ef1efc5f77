//! The commands over keys: a row and a function each, a file per family. Knows the keyspace and RESP, no engine.

pub mod args;
pub mod bitmap;
pub mod bits;
pub mod cardinality;
#[cfg(test)]
mod changed;
pub mod command;
pub mod deadline;
pub(crate) mod element;
pub mod error;
pub mod expire;
pub mod generic;
pub mod geo;
pub mod geohash;
pub mod hash;
pub mod hyperloglog;
pub mod lcs;
pub mod list;
pub mod plan;
pub mod registry;
mod rewrite;
mod run;
pub mod scan;
pub mod set;
pub mod sort;
pub mod stream;
pub mod string;
pub mod syntax;
#[cfg(test)]
mod testing;
pub mod zset;

pub use args::{Args, KeyRef, OwnedArgs};
pub use command::{
    Begin, Categories, Channels, Command, Databases, Find, Flags, Group, Handler, KeyFlags, KeySpec, Reach,
    Rules, Run,
};
pub use error::{CommandError, Outcome};
pub use plan::{Plan, PlanContext};
pub use registry::{Recent, Registry, Row, Version};

/// The rows of all families over keys.
pub const FAMILIES: &[&[Command]] = &[
    string::ROWS,
    string::bounded::ROWS,
    string::compare::ROWS,
    string::counter::ROWS,
    string::part::ROWS,
    string::subsequence::ROWS,
    bitmap::ROWS,
    bitmap::field::ROWS,
    cardinality::ROWS,
    generic::ROWS,
    generic::object::ROWS,
    generic::relocate::ROWS,
    expire::ROWS,
    sort::ROWS,
    list::ROWS,
    hash::ROWS,
    hash::counter::ROWS,
    hash::expiry::ROWS,
    hash::lifetime::ROWS,
    hash::random::ROWS,
    set::ROWS,
    zset::edit::ROWS,
    zset::inspect::ROWS,
    zset::range::ROWS,
    zset::combine::ROWS,
    zset::pop::ROWS,
    geo::ROWS,
    geo::search::ROWS,
    stream::ROWS,
];
