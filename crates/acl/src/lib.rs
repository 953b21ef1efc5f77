//! Who may do what: users, their passwords, and what each of their selectors allows. Pure: no session, no file, no clock.
//!
//! ```text
//! User      on or off, passwords, a root selector and others
//! Selector  a bit for each row of the table of commands, patterns of keys and of channels, databases
//! ```
//!
//! A command may run if one of the user's selectors allows it with all that it names: the command, each of its keys, its channels, its
//! databases. Its keys are those that it was planned with: so what is checked is what is used.
//! A user is never changed once others have him: a change makes another one ([`Users::set`]), and who holds the old one sees that he is
//! not the current one any more.

mod check;
mod error;
mod password;
mod selector;
mod user;
mod users;

pub use check::Denied;
pub use error::RuleError;
pub use password::{Hash, hash_of};
pub use selector::{KeyPattern, Selector};
pub use user::User;
pub use users::{DEFAULT_USER, LoadError, Users};
