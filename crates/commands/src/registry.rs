//! The table of all commands, made once at the start from the families' rows.
//!
//! A command is found by its name in one probe of a small open-addressing table: one for names that fit in a word, which are
//! compared as words, and one for the others. A subcommand by the name of its container
//! and its own. Each row, and each subcommand's row, has an index: what counts commands uses it.

use std::collections::HashMap;

use rustredis_keyspace::{Access, hashing};

use crate::args::{Args, KeyRef};
use crate::command::{Begin, Command, Find, Flags, KeyFlags, Rules, Run};
use crate::error::CommandError;

/// A row in the table.
pub struct Row {
    /// Its index, for counters.
    pub id: u16,
    /// Its full name: `get`, `client|list`.
    pub full_name: &'static str,
    /// The row as it was written.
    pub command: &'static Command,
    /// The container, of a subcommand.
    pub container: Option<u16>,
    subcommands: Vec<(&'static str, u16)>,
    /// The only key's argument, where that is known without looking.
    only_key: Option<u32>,
    /// What is done with each of its keys, where that is known without looking.
    key_flags: Option<KeyFlags>,
    /// How it needs its shards: exclusively, unless it only reads.
    pub access: Access,
    /// Whether it may be run as part of a batch that holds one view: a plain function over its keys.
    pub is_plain: bool,
    /// Whether it may run without a lock where strings are published.
    pub is_lockless: bool,
    /// The number of arguments that is right without looking further, 0 if there is none; an exact arity of no container.
    exact_arity: usize,
}

impl Row {
    /// Indices of the subcommands.
    pub fn subcommands(&self) -> impl ExactSizeIterator<Item = u16> + '_ {
        self.subcommands.iter().map(|(_, id)| *id)
    }

    /// Whether it changes the data set.
    #[inline]
    pub fn is_write(&self) -> bool {
        self.command.flags.has(Flags::WRITE)
    }

    /// What is done with the key at argument `index`.
    #[inline]
    pub fn flags_of_key(&self, args: Args<'_>, index: u32) -> KeyFlags {
        match self.key_flags {
            Some(flags) => flags,
            None => self.command.flags_of_key(args, index),
        }
    }

    /// Finds and hashes the keys. Arguments that contradict themselves (a `numkeys` that is no number, or more than there are)
    /// name no keys: the handler finds the same mistake before it asks for a key, and knows the text of the error.
    #[inline]
    pub fn hash_keys(&self, args: Args<'_>, keys: &mut Vec<KeyRef>) {
        if let Some(argument) = self.only_key {
            keys.push(KeyRef { argument, hash: hashing::key_hash(args.get(argument as usize)) });
            return;
        }
        if self.command.keys.is_empty() && self.command.find_keys.is_none() {
            return;
        }
        if let ([only], None) = (self.command.keys, self.command.find_keys) {
            if !only.flags.has(KeyFlags::NOT_KEY) {
                // One that contradicts itself has no keys here, and pushes none.
                let _ = only.push_keys(args, &mut Hashed { args, keys });
            }
            return;
        }
        let mut arguments = Vec::new();
        if self.command.push_keys(args, &mut arguments).is_ok() {
            keys.extend(
                arguments.into_iter().map(|argument| KeyRef {
                    argument,
                    hash: hashing::key_hash(args.get(argument as usize)),
                }),
            );
        }
    }
}

/// Takes the places of keys, and keeps their hashes.
struct Hashed<'k> {
    args: Args<'k>,
    keys: &'k mut Vec<KeyRef>,
}

impl Extend<u32> for Hashed<'_> {
    #[inline]
    fn extend<I: IntoIterator<Item = u32>>(&mut self, arguments: I) {
        let Self { args, keys } = self;
        let hashed = |argument| KeyRef { argument, hash: hashing::key_hash(args.get(argument as usize)) };
        keys.extend(arguments.into_iter().map(hashed));
    }
}

/// The longest name that the table holds, in bytes; a longer word is no command.
const NAME_BYTES_MAX: usize = 32;

/// A name of up to eight bytes, in small case, and its row.
#[derive(Clone, Copy, Default)]
struct Word {
    name: u64,
    len: u8,
    id: u16,
}

impl Word {
    /// Where the search for it begins, in a table of `mask + 1` places.
    #[inline]
    fn place(name: u64, mask: usize) -> usize {
        (name.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize & mask
    }
}

/// All commands.
pub struct Registry {
    rows: Vec<Row>,
    /// Open addressing over the names of up to eight bytes; a length of 0 is free.
    words: Vec<Word>,
    /// Open addressing over the longer names; `u16::MAX` is free.
    slots: Vec<u16>,
    names: Vec<Box<[u8]>>,
    by_name: HashMap<String, u16>,
    /// As [`Self::by_name`], whatever was renamed or hidden.
    unrenamed: HashMap<&'static str, u16>,
    /// Commands and subcommands of later versions are hidden.
    newest: Option<Version>,
}

/// A version of Redis, as far as commands tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    major: u32,
    minor: u32,
}

impl Version {
    /// The version of a text such as `7.2` or `7.2.0`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split('.').map(|number| number.parse().ok());
        Some(Self { major: numbers.next()??, minor: numbers.next()?? })
    }
}

impl Registry {
    /// A table of the rows of all families. `renames` are the `rename-command` lines: an empty new name removes a command.
    ///
    /// # Errors
    /// The name of a renamed command that does not exist, or of a new name that is taken.
    pub fn new(families: &[&'static [Command]], renames: &[(String, String)]) -> Result<Self, String> {
        Self::until(None, families, renames)
    }

    /// As [`Registry::new`], without what came after `newest`: no client finds that, files do ([`Registry::resolve_recorded`]).
    ///
    /// # Errors
    /// As there.
    pub fn until(
        newest: Option<Version>,
        families: &[&'static [Command]],
        renames: &[(String, String)],
    ) -> Result<Self, String> {
        let mut registry = Self {
            rows: Vec::new(),
            words: Vec::new(),
            slots: Vec::new(),
            names: Vec::new(),
            by_name: HashMap::new(),
            unrenamed: HashMap::new(),
            newest,
        };
        for command in families.iter().copied().flatten() {
            let id = registry.add(command, command.name, None);
            let previous = registry.unrenamed.insert(command.name, id);
            assert!(previous.is_none(), "the command {} has two rows", command.name);
            if !registry.hides(command) {
                registry.by_name.insert(command.name.to_owned(), id);
            }
        }
        for (from, to) in renames {
            let (from, to) = (from.to_ascii_lowercase(), to.to_ascii_lowercase());
            let Some(id) = registry.by_name.remove(&from) else {
                // One that is hidden has no name that could change.
                if registry.find_unrenamed(&from).is_some_and(|row| registry.hides(row.command)) {
                    continue;
                }
                return Err("No such command in rename-command".to_owned());
            };
            if !to.is_empty() && registry.by_name.insert(to, id).is_some() {
                return Err("Target command name already exists".to_owned());
            }
        }
        registry.build_slots();
        Ok(registry)
    }

    fn add(&mut self, command: &'static Command, full_name: &'static str, container: Option<u16>) -> u16 {
        let id = self.rows.len() as u16;
        let only_key = match command.keys {
            [spec] if command.find_keys.is_none() && !spec.flags.has(KeyFlags::NOT_KEY) => {
                match (spec.begin, spec.find) {
                    (Begin::Index(index), Find::Range { last: 0, .. }) => Some(index as u32),
                    _ => None,
                }
            }
            _ => None,
        };
        let is_plain = matches!(command.run, Run::Keys(_))
            && command.always_reaches_keys_alone()
            && !command.flags.has_any(Flags::BLOCKING);
        self.rows.push(Row {
            id,
            full_name,
            command,
            container,
            subcommands: Vec::new(),
            only_key,
            key_flags: command.flags_of_every_key(),
            access: command.access(),
            is_plain,
            is_lockless: is_plain && command.rules.has(Rules::LOCKLESS),
            exact_arity: if command.subcommands.is_empty() && !matches!(command.run, Run::Container) {
                command.arity.max(0) as usize
            } else {
                0
            },
        });
        for sub in command.subcommands {
            let full_name: &'static str =
                Box::leak(format!("{}|{}", command.name, sub.name).into_boxed_str());
            let sub_id = self.add(sub, full_name, Some(id));
            if !self.hides(sub) {
                self.rows[id as usize].subcommands.push((sub.name, sub_id));
            }
        }
        id
    }

    /// Whether a command came after the newest version that is shown.
    fn hides(&self, command: &Command) -> bool {
        self.newest.is_some_and(|newest| Version::parse(command.since).is_some_and(|since| since > newest))
    }

    fn build_slots(&mut self) {
        let capacity = (self.by_name.len() * 4).next_power_of_two();
        self.slots = vec![u16::MAX; capacity];
        self.names = vec![Box::default(); capacity];
        self.words = vec![Word::default(); capacity];
        for (name, id) in &self.by_name {
            if let Some(word) = word_of(name.as_bytes()) {
                let mut place = Word::place(word, capacity - 1);
                while self.words[place].len != 0 {
                    place = (place + 1) & (capacity - 1);
                }
                self.words[place] = Word { name: word, len: name.len() as u8, id: *id };
                continue;
            }
            let mut slot = name_hash(name.as_bytes()) & (capacity - 1);
            while self.slots[slot] != u16::MAX {
                slot = (slot + 1) & (capacity - 1);
            }
            self.slots[slot] = *id;
            self.names[slot] = name.as_bytes().into();
        }
    }

    /// All rows, subcommands included; a row's id is its index.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The names under which commands can be called, with their rows; no subcommands.
    pub fn commands(&self) -> impl Iterator<Item = (&str, &Row)> {
        self.by_name.iter().map(|(name, id)| (name.as_str(), &self.rows[*id as usize]))
    }

    /// The row of this index.
    #[inline]
    pub fn row(&self, id: u16) -> &Row {
        &self.rows[id as usize]
    }

    /// The row of a command, in capitals or not.
    #[inline]
    pub fn find(&self, name: &[u8]) -> Option<&Row> {
        let Some(word) = word_of(name) else { return self.find_long(name) };
        let mask = self.words.len() - 1;
        let mut place = Word::place(word, mask);
        loop {
            let candidate = self.words[place];
            if candidate.name == word && usize::from(candidate.len) == name.len() {
                return Some(&self.rows[candidate.id as usize]);
            }
            if candidate.len == 0 {
                return None;
            }
            place = (place + 1) & mask;
        }
    }

    fn find_long(&self, name: &[u8]) -> Option<&Row> {
        if name.len() > NAME_BYTES_MAX {
            return None;
        }
        let mask = self.slots.len() - 1;
        let mut slot = name_hash(name) & mask;
        loop {
            let id = self.slots[slot];
            if id == u16::MAX {
                return None;
            }
            if self.names[slot].eq_ignore_ascii_case(name) {
                return Some(&self.rows[id as usize]);
            }
            slot = (slot + 1) & mask;
        }
    }

    /// The row of a command by the name that it has before `rename-command`, in small case; no subcommand.
    pub fn find_unrenamed(&self, name: &str) -> Option<&Row> {
        self.unrenamed.get(name).map(|id| &self.rows[usize::from(*id)])
    }

    /// The row of a full name such as `client|list`.
    pub fn find_full(&self, name: &str) -> Option<&Row> {
        match name.split_once('|') {
            None => self.find(name.as_bytes()),
            Some((container, sub)) => self.subcommand(self.find(container.as_bytes())?, sub.as_bytes()),
        }
    }

    /// The subcommand of a container.
    pub fn subcommand(&self, container: &Row, name: &[u8]) -> Option<&Row> {
        let (_, id) =
            container.subcommands.iter().find(|(sub, _)| name.eq_ignore_ascii_case(sub.as_bytes()))?;
        Some(&self.rows[*id as usize])
    }

    /// As [`Registry::subcommand`], for what a file says: it may be hidden from clients. O(rows).
    pub fn subcommand_recorded(&self, container: &Row, name: &[u8]) -> Option<&Row> {
        let is_it = |row: &&Row| {
            row.container == Some(container.id) && name.eq_ignore_ascii_case(row.command.name.as_bytes())
        };
        self.rows.iter().find(is_it)
    }

    /// As [`Registry::resolve`], sooner if it is the same command with as many arguments as the one before, as in most pipelines.
    ///
    /// # Errors
    /// As there.
    #[inline]
    pub fn resolve_next(&self, args: Args<'_>, recent: &mut Recent) -> Result<&Row, CommandError> {
        let name = args.get(0);
        let word = word_of(name).unwrap_or(0);
        if word == recent.name && name.len() == recent.name_len && args.len() == recent.args {
            return Ok(&self.rows[recent.row as usize]);
        }
        let row = self.resolve(args)?;
        if word != 0 && row.container.is_none() && row.subcommands.is_empty() {
            *recent = Recent { name: word, name_len: name.len(), args: args.len(), row: row.id };
        }
        Ok(row)
    }

    /// The row that runs these arguments: step one of a request, with the errors of an unknown command or subcommand, or a
    /// wrong number of arguments.
    ///
    /// # Errors
    /// `Other`, `UnknownSubcommand`, `Arity`.
    pub fn resolve(&self, args: Args<'_>) -> Result<&Row, CommandError> {
        let Some(row) = self.find(args.get(0)) else { return Err(unknown_command(args)) };
        if args.len() == row.exact_arity {
            return Ok(row);
        }
        if !row.subcommands.is_empty() && args.len() >= 2 {
            let Some(sub) = self.subcommand(row, args.get(1)) else {
                return Err(CommandError::UnknownSubcommand {
                    subcommand: args.quoted(1).to_vec(),
                    command: row.command.name.to_ascii_uppercase(),
                });
            };
            return check_arity(sub, args);
        }
        check_arity(row, args)
    }

    /// As [`Registry::resolve`], for what a file says: what is hidden from clients may be in there.
    ///
    /// # Errors
    /// As there.
    pub fn resolve_recorded(&self, args: Args<'_>) -> Result<&Row, CommandError> {
        if self.newest.is_some()
            && self.find(args.get(0)).is_none()
            && let Ok(name) = str::from_utf8(args.get(0))
            && let Some(row) = self.find_unrenamed(&name.to_ascii_lowercase())
            && self.hides(row.command)
        {
            return check_arity(row, args);
        }
        self.resolve(args)
    }
}

/// A command without subcommands that was resolved just now.
#[derive(Clone, Copy, Debug, Default)]
pub struct Recent {
    /// Its name as a word.
    name: u64,
    name_len: usize,
    args: usize,
    row: u16,
}

fn check_arity<'a>(row: &'a Row, args: Args<'_>) -> Result<&'a Row, CommandError> {
    if row.command.arity_allows(args.len()) && (!matches!(row.command.run, Run::Container) || args.len() > 1)
    {
        Ok(row)
    } else {
        Err(CommandError::Arity(row.full_name.to_owned()))
    }
}

#[cold]
fn unknown_command(args: Args<'_>) -> CommandError {
    let mut text = [b"ERR unknown command '", args.quoted(0), b"', with args beginning with: "].concat();
    let start = text.len();
    for index in 1..args.len() {
        let Some(room) = (start + 128).checked_sub(text.len()).filter(|room| *room > 0) else { break };
        let quoted = args.quoted(index);
        text.push(b'\'');
        text.extend_from_slice(&quoted[..quoted.len().min(room)]);
        text.extend_from_slice(b"' ");
    }
    CommandError::Other(text.into())
}

/// A name of one to eight bytes in small case, as a number; `None` for any other.
#[inline]
fn word_of(name: &[u8]) -> Option<u64> {
    let len = name.len();
    // Two loads that overlap cover all lengths of a class.
    let word = match len {
        4..=8 => {
            let low = u32::from_le_bytes(*name.first_chunk()?);
            let high = u32::from_le_bytes(*name.last_chunk()?);
            u64::from(low) | u64::from(high) << (8 * (len - 4))
        }
        2..=3 => {
            let low = u16::from_le_bytes(*name.first_chunk()?);
            let high = u16::from_le_bytes(*name.last_chunk()?);
            u64::from(low) | u64::from(high) << (8 * (len - 2))
        }
        1 => u64::from(name[0]),
        _ => return None,
    };
    Some(small(word))
}

/// The eight bytes with capitals of ASCII made small.
#[inline]
fn small(word: u64) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let low_bits = word & (0x7f * EACH);
    // The high bit of each byte says: at least `A`; more than `Z`; within ASCII.
    let from_a = low_bits + (0x80 - u64::from(b'A')) * EACH;
    let beyond_z = low_bits + (0x7f - u64::from(b'Z')) * EACH;
    let is_capital = from_a & !beyond_z & !word & (0x80 * EACH);
    word | is_capital >> 2
}

/// FNV-1a over the letters in small case.
#[inline]
fn name_hash(name: &[u8]) -> usize {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for byte in name {
        hash = (hash ^ u64::from(byte | 0x20)).wrapping_mul(0x0100_0000_01b3);
    }
    (hash ^ hash >> 29) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_names_in_small_case() {
        for byte in 0..=u8::MAX {
            for len in 1..=8 {
                let name = vec![byte; len];
                let mut expected = [0; 8];
                expected[..len].fill(byte.to_ascii_lowercase());
                assert_eq!(word_of(&name), Some(u64::from_le_bytes(expected)), "{name:?}");
            }
        }
        assert_eq!(word_of(b"PexPire"), Some(u64::from_le_bytes(*b"pexpire\0")));
        assert_eq!((word_of(b""), word_of(b"pexpireat")), (None, None));
    }

    #[test]
    fn the_next_command_is_resolved_as_any() {
        let registry = Registry::new(crate::FAMILIES, &[]).unwrap();
        let lines = [
            "GET a",
            "get b",
            "GET",
            "SET a b",
            "SET a b EX 1",
            "SET a",
            "GET a b",
            "GETX a",
            "OBJECT HELP",
            "OBJECT x",
            "\0 a",
        ];
        let mut recent = Recent::default();
        for line in lines.iter().chain(lines.iter().rev()) {
            let words: Vec<&str> = line.split(' ').collect();
            let mut spans = Vec::new();
            let mut start = 0;
            for word in words {
                spans.push(rustredis_resp::Span { start, len: word.len() as u32 });
                start += word.len() as u32 + 1;
            }
            let args = Args::new(line.as_bytes(), &spans, &[]);
            let (next, plain) = (registry.resolve_next(args, &mut recent), registry.resolve(args));
            assert_eq!(
                next.map(|row| row.id).map_err(|error| error.to_string()),
                plain.map(|row| row.id).map_err(|error| error.to_string()),
                "{line}"
            );
        }
    }

    #[test]
    fn what_is_newer_is_hidden_from_clients() {
        let versions = ["6.2", "7.0", "7.2.5", "8.0", "8.10"].map(|text| Version::parse(text).unwrap());
        assert!(versions.is_sorted());
        assert_eq!((Version::parse("7"), Version::parse("x.1")), (None, None));
        let registry = Registry::until(Version::parse("7.2"), crate::FAMILIES, &[]).unwrap();
        for (name, is_shown) in
            [("get", true), ("sintercard", true), ("hexpire", false), ("sunioncard", false)]
        {
            let words = words_of(name);
            assert_eq!(registry.find(name.as_bytes()).is_some(), is_shown, "{name}");
            assert_eq!(registry.commands().any(|(found, _)| found == name), is_shown, "{name}");
            assert!(registry.resolve_recorded(words.args()).is_ok(), "{name}");
            assert_eq!(registry.resolve(words.args()).is_ok(), is_shown, "{name}");
        }
        let renames = [("hexpire".to_owned(), String::new()), ("delex".to_owned(), "x".to_owned())];
        let renamed = Registry::until(Version::parse("7.2"), crate::FAMILIES, &renames).unwrap();
        assert!(renamed.find(b"x").is_none() && renamed.find(b"hexpire").is_none());
        let error = registry.resolve_recorded(crate::OwnedArgs::from_parts(&["nosuch"]).args());
        assert!(error.is_err());
    }

    /// A command of that name with as many arguments as each of those takes.
    fn words_of(name: &str) -> crate::OwnedArgs {
        let count = match name {
            "get" => 1,
            "hexpire" => 5,
            _ => 2,
        };
        let words: Vec<&str> = std::iter::once(name).chain(std::iter::repeat_n("1", count)).collect();
        crate::OwnedArgs::from_parts(&words)
    }

    #[test]
    fn every_name_is_found_and_nothing_else() {
        let registry = Registry::new(crate::FAMILIES, &[]).unwrap();
        for (name, row) in registry.commands() {
            for written in [name.to_owned(), name.to_ascii_uppercase()] {
                assert_eq!(registry.find(written.as_bytes()).map(|found| found.id), Some(row.id), "{name}");
            }
            for other in [format!("{name}\0"), format!("{name}x"), name[1..].to_owned()] {
                let found = registry.find(other.as_bytes()).map(|found| found.full_name);
                assert!(found.is_none_or(|found| found == other), "{other:?} finds {found:?}");
            }
        }
    }
}
