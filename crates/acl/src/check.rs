//! Whether a user may do what is asked.

use rustredis_commands::command::KeyFlags;
use rustredis_commands::{Args, Channels, Databases, Flags, Row};
use rustredis_resp::glob::{self, Case};
use rustredis_resp::number;

use crate::selector::{KeyPattern, Selector};
use crate::user::User;

/// What is not allowed. The order is that of how far the best selector came, and of two that came as far the one further behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Denied {
    /// The command.
    Command,
    /// A key: which argument it is.
    Key(u32),
    /// A database.
    Database,
    /// A channel: which argument it is.
    Channel(u32),
}

impl User {
    /// Whether he may run this command in this database; the arguments have their keys. O(selectors * patterns * keys).
    ///
    /// # Errors
    /// What of it he may not, of the selector that came furthest.
    #[inline]
    pub fn check(&self, row: &Row, args: Args<'_>, db: usize) -> Result<(), Denied> {
        match self.root().check(row, args, db) {
            Err(denied) => self.check_others(denied, row, args, db),
            allowed => allowed,
        }
    }

    /// The same where the root selector does not allow it.
    #[cold]
    fn check_others(&self, mut denied: Denied, row: &Row, args: Args<'_>, db: usize) -> Result<(), Denied> {
        for selector in self.others() {
            match selector.check(row, args, db) {
                Ok(()) => return Ok(()),
                Err(other) => denied = denied.max(other),
            }
        }
        Err(denied)
    }

    /// Whether he may run this command, and read every key while it runs.
    pub fn may_read_all(&self, row: &Row, args: Args<'_>, db: usize) -> bool {
        self.selectors().any(|selector| selector.reads_all() && selector.check(row, args, db).is_ok())
    }

    /// Whether he may be told of what is published to a channel, or subscribe to a pattern of this name.
    pub fn may_hear(&self, channel: &[u8], is_pattern: bool) -> bool {
        self.selectors().any(|selector| selector.allows_channel(channel, is_pattern))
    }
}

impl Selector {
    #[inline]
    fn check(&self, row: &Row, args: Args<'_>, db: usize) -> Result<(), Denied> {
        if !self.allows(row.id) && !self.allows_by_argument(row, args) {
            return Err(Denied::Command);
        }
        if !self.allows_all_keys {
            let denied = match &self.keys[..] {
                // The usual user: what is done with a key makes no difference.
                [all @ KeyPattern { prefix: Some(prefix), reads: true, writes: true, .. }] => args
                    .key_refs()
                    .iter()
                    .find(|key| !all.has_prefix(prefix, args.get(key.argument as usize))),
                _ => args.key_refs().iter().find(|key| {
                    let flags = row.flags_of_key(args, key.argument);
                    !self.allows_key(args.get(key.argument as usize), flags)
                }),
            };
            if let Some(key) = denied {
                return Err(Denied::Key(key.argument));
            }
        }
        if let Some(allowed) = &self.databases
            && !allows_databases(allowed, row, args, db)
        {
            return Err(Denied::Database);
        }
        if !self.allows_all_channels && row.command.channels != Channels::None {
            return self.check_channels(row.command.channels, args);
        }
        Ok(())
    }

    /// Whether a row that is not allowed may run all the same: with this first argument, or because it lets a client in.
    #[cold]
    fn allows_by_argument(&self, row: &Row, args: Args<'_>) -> bool {
        let at = if row.container.is_some() { 2 } else { 1 };
        let first = args.try_get(at).unwrap_or_default();
        row.command.flags.has(Flags::NO_AUTH)
            || args.len() > 1
                && self.first_arguments(row.id).iter().any(|argument| argument.eq_ignore_ascii_case(first))
    }

    #[inline]
    fn allows_key(&self, key: &[u8], flags: KeyFlags) -> bool {
        let reads = flags.has(KeyFlags::ACCESS);
        let writes = flags.has_any(KeyFlags::INSERT.with(KeyFlags::DELETE).with(KeyFlags::UPDATE));
        self.keys
            .iter()
            .any(|pattern| (pattern.reads || !reads) && (pattern.writes || !writes) && pattern.matches(key))
    }

    fn reads_all(&self) -> bool {
        self.allows_all_keys || self.keys.iter().any(|key| key.reads && key.pattern == b"*")
    }

    fn check_channels(&self, channels: Channels, args: Args<'_>) -> Result<(), Denied> {
        let end = if channels == Channels::First { 2.min(args.len()) } else { args.len() };
        let is_pattern = channels == Channels::Patterns;
        match (1..end).find(|index| !self.allows_channel(args.get(*index), is_pattern)) {
            Some(index) => Err(Denied::Channel(index as u32)),
            None => Ok(()),
        }
    }

    fn allows_channel(&self, channel: &[u8], is_pattern: bool) -> bool {
        self.allows_all_channels
            || self.channels.iter().any(|pattern| {
                if is_pattern { pattern == channel } else { glob::matches(pattern, channel, Case::Sensitive) }
            })
    }
}

impl KeyPattern {
    #[inline]
    fn matches(&self, key: &[u8]) -> bool {
        match &self.prefix {
            Some(prefix) => self.has_prefix(prefix, key),
            None => glob::matches(&self.pattern, key, Case::Sensitive),
        }
    }
}

/// Whether all databases that a command reaches are among these. What an argument names that is no database is the command's to refuse.
fn allows_databases(allowed: &[u32], row: &Row, args: Args<'_>, db: usize) -> bool {
    let has = |db: u64| allowed.iter().any(|known| u64::from(*known) == db);
    let named = match row.command.databases {
        Databases::Selected => Vec::new(),
        Databases::Named(find) => find(args),
        Databases::All => return false,
    };
    let mut named = named.into_iter().filter_map(|index| number::parse_u64(args.try_get(index)?));
    let reaches_selected = !args.key_refs().is_empty()
        || matches!(row.command.databases, Databases::Selected) && row.reaches_shards(args);
    named.all(has) && (!reaches_selected || has(db as u64))
}
