//! What a key holds.

use crate::types::{hash::Hash, list::List, set::Set, stream::Stream, zset::ZSet};

/// The type of a value, numbered as in RDB files and `OBJECT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A string.
    String = 0,
    /// A list.
    List = 1,
    /// A set.
    Set = 2,
    /// A sorted set.
    ZSet = 3,
    /// A hash.
    Hash = 4,
    /// A stream.
    Stream = 6,
}

impl Kind {
    /// The name that `TYPE` answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::List => "list",
            Self::Set => "set",
            Self::ZSet => "zset",
            Self::Hash => "hash",
            Self::Stream => "stream",
        }
    }

    pub(crate) fn from_bits(bits: u8) -> Self {
        match bits {
            0 => Self::String,
            1 => Self::List,
            2 => Self::Set,
            3 => Self::ZSet,
            4 => Self::Hash,
            _ => Self::Stream,
        }
    }
}

/// A value on its own, outside the keyspace: on its way in, out, or to another key.
#[derive(Clone)]
pub enum Value {
    /// A string, and whether it keeps the encoding `raw` although it is short.
    String(Vec<u8>, IsRaw),
    /// A list.
    List(List),
    /// A set.
    Set(Set),
    /// A sorted set.
    ZSet(ZSet),
    /// A hash.
    Hash(Hash),
    /// A stream.
    Stream(Stream),
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Value::{:?}", self.kind())
    }
}

/// Whether a string was edited in place, which `OBJECT ENCODING` shows as `raw`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IsRaw {
    /// `int` or `embstr`, if it is short enough.
    No,
    /// `raw`.
    Yes,
}

impl Value {
    /// A string as `SET` stores it.
    pub fn string(bytes: impl Into<Vec<u8>>) -> Self {
        Self::String(bytes.into(), IsRaw::No)
    }

    /// Its type.
    pub fn kind(&self) -> Kind {
        match self {
            Self::String(..) => Kind::String,
            Self::List(_) => Kind::List,
            Self::Set(_) => Kind::Set,
            Self::ZSet(_) => Kind::ZSet,
            Self::Hash(_) => Kind::Hash,
            Self::Stream(_) => Kind::Stream,
        }
    }

    /// Allocations that freeing it takes, so that big ones are freed elsewhere.
    pub fn effort(&self) -> usize {
        match self {
            Self::String(..) => 1,
            Self::List(list) => list.effort(),
            Self::Set(set) => set.effort(),
            Self::ZSet(zset) => zset.effort(),
            Self::Hash(hash) => hash.effort(),
            Self::Stream(stream) => stream.effort(),
        }
    }
}

/// A collection type: one of the values that are more than bytes. Implemented by the five types.
pub trait Collection: Sized + Send {
    /// Its type.
    const KIND: Kind;
    /// An empty one.
    fn empty() -> Self;
    /// Whether nothing is left in it, so that its key goes.
    fn is_empty(&self) -> bool;
    /// Wraps it.
    fn into_value(self) -> Value;
}

macro_rules! collection {
    ($type:ident) => {
        impl Collection for $type {
            const KIND: Kind = Kind::$type;
            fn empty() -> Self {
                Self::new()
            }
            fn is_empty(&self) -> bool {
                $type::is_empty(self)
            }
            fn into_value(self) -> Value {
                Value::$type(self)
            }
        }
    };
}

collection!(List);
collection!(Set);
collection!(ZSet);
collection!(Hash);
