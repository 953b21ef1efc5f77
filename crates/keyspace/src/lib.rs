//! Keys, values, shards and the view of them that a command gets. No locks, no clock, no async in here.

pub mod access_clock;
pub mod crc16;
pub mod crc64;
pub mod digest;
pub mod effects;
pub mod entry;
mod expiry_index;
pub mod hashing;
mod interest;
pub mod key;
pub mod limits;
pub mod placement;
mod prefetch;
pub mod published;
pub mod random;
pub mod sampling;
mod slot;
pub mod snapshot;
pub mod store;
pub mod table;
pub mod types;
pub mod value;
pub mod view;

pub use effects::{BlockRequest, Effects, EventClass};
pub use entry::Entry;
pub use interest::fate::{Change, Fate};
pub use interest::queue::{Ready, Waiter, Wakes};
pub use interest::watchers::WatchFlag;
pub use key::Key;
pub use published::PublishedEntry;
pub use random::Random;
pub use sampling::Among;
pub use store::{Bank, PanicAt, Store};
pub use table::Table;
pub use value::{Collection, IsRaw, Kind, Value};
pub use view::{Access, Covered, Overdue, View, WrongType};
