//! What a selector allows: commands, keys, channels, databases.

use std::collections::HashMap;

use rustredis_commands::command::Categories;
use rustredis_commands::{Registry, Row};
use rustredis_resp::{glob, number};

use crate::error::RuleError;

/// A pattern of keys, and what may be done with the keys that match it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPattern {
    /// A glob.
    pub pattern: Vec<u8>,
    /// Data may be read.
    pub reads: bool,
    /// Data may be written.
    pub writes: bool,
    /// What stands before a `*` that ends it, if all of that stands for itself: the usual pattern, which is compared at once.
    pub(crate) prefix: Option<Prefix>,
}

/// What keys begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prefix {
    bytes: usize,
    /// Its first eight bytes, little-endian, and which bits of them it has.
    word: u64,
    mask: u64,
}

impl Prefix {
    fn new(prefix: &[u8]) -> Self {
        let count = prefix.len().min(8);
        let mut word = [0; 8];
        word[..count].copy_from_slice(&prefix[..count]);
        let mask = if count == 8 { u64::MAX } else { (1 << (8 * count)) - 1 };
        Self { bytes: prefix.len(), word: u64::from_le_bytes(word), mask }
    }
}

impl KeyPattern {
    fn new(pattern: &[u8], reads: bool, writes: bool) -> Self {
        let prefix =
            pattern.strip_suffix(b"*").filter(|prefix| glob::literal_prefix(pattern).len() == prefix.len());
        Self { pattern: pattern.to_vec(), reads, writes, prefix: prefix.map(Prefix::new) }
    }

    /// Whether a key begins with what this pattern's keys begin with. A key of at least eight bytes is compared as a number first:
    /// a call of memcmp for a few bytes costs more than all else that is asked.
    #[inline]
    pub(crate) fn has_prefix(&self, prefix: &Prefix, key: &[u8]) -> bool {
        match key.first_chunk::<8>() {
            Some(first) => {
                u64::from_le_bytes(*first) & prefix.mask == prefix.word
                    && (prefix.bytes <= 8 || key.starts_with(&self.pattern[..prefix.bytes]))
            }
            // No pattern but one that is all is of an empty key.
            None => !key.is_empty() && key.starts_with(&self.pattern[..prefix.bytes]),
        }
    }
}

/// See the module's text. Nothing is allowed by a new one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// A bit for each row of the table of commands.
    commands: Vec<u64>,
    /// Those that the table does not have yet are allowed too.
    allows_future: bool,
    /// Rows that are allowed with certain first arguments alone, in small case.
    first_arguments: HashMap<u16, Vec<Vec<u8>>>,
    /// The rules of commands as they are told, in order.
    rules: Vec<String>,
    pub(crate) keys: Vec<KeyPattern>,
    pub(crate) allows_all_keys: bool,
    pub(crate) channels: Vec<Vec<u8>>,
    pub(crate) allows_all_channels: bool,
    /// `None` for all.
    pub(crate) databases: Option<Vec<u32>>,
}

impl Selector {
    /// A selector that allows no command and no key; channels are as `acl-pubsub-default` says.
    pub fn new(allows_all_channels: bool) -> Self {
        Self { allows_all_channels, ..Self::default() }
    }

    /// Whether it allows everything.
    pub fn allows_everything(&self) -> bool {
        self.allows_future
            && self.rules.len() <= 1
            && self.allows_all_keys
            && self.allows_all_channels
            && self.databases.is_none()
    }

    /// Whether it allows all commands that there are.
    pub fn allows_all_commands(&self) -> bool {
        self.allows_future && self.rules.len() <= 1
    }

    /// The patterns of keys.
    pub fn keys(&self) -> &[KeyPattern] {
        &self.keys
    }

    /// Whether this row is allowed, whatever its arguments.
    #[inline]
    pub fn allows(&self, row: u16) -> bool {
        let (word, bit) = (usize::from(row) / 64, row % 64);
        match self.commands.get(word) {
            Some(bits) => bits >> bit & 1 != 0,
            None => self.allows_future,
        }
    }

    /// The first arguments with which a row is allowed that is not allowed otherwise.
    pub(crate) fn first_arguments(&self, row: u16) -> &[Vec<u8>] {
        self.first_arguments.get(&row).map_or(&[], Vec::as_slice)
    }

    fn set(&mut self, row: u16, allows: bool, rows: usize) {
        self.commands.resize(rows.div_ceil(64), if self.allows_future { u64::MAX } else { 0 });
        let (word, bit) = (usize::from(row) / 64, row % 64);
        if allows {
            self.commands[word] |= 1 << bit;
        } else {
            self.commands[word] &= !(1 << bit);
        }
    }

    /// A row and its subcommands; what was said of first arguments is forgotten.
    fn set_with_subcommands(&mut self, row: &Row, allows: bool, rows: usize) {
        for id in std::iter::once(row.id).chain(row.subcommands()) {
            self.set(id, allows, rows);
            self.first_arguments.remove(&id);
        }
    }

    fn set_all(&mut self, allows: bool) {
        self.commands.clear();
        self.first_arguments.clear();
        self.allows_future = allows;
        self.rules.clear();
        if allows {
            self.rules.push("+@all".to_owned());
        }
    }

    /// Tells a rule behind the others, and none that it makes void.
    fn tell(&mut self, name: &str, allows: bool) {
        self.rules.retain(|rule| {
            let rest = rule[1..].strip_prefix(name);
            !rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('|'))
        });
        self.rules.push(format!("{}{name}", if allows { '+' } else { '-' }));
    }

    /// Applies a rule that is one of selectors.
    ///
    /// # Errors
    /// It is none; nothing has changed then.
    pub fn apply(&mut self, rule: &[u8], registry: &Registry) -> Result<(), RuleError> {
        let is = |word: &str| rule.eq_ignore_ascii_case(word.as_bytes());
        match rule {
            _ if is("allkeys") || rule == b"~*" => {
                self.allows_all_keys = true;
                self.keys.clear();
            }
            _ if is("resetkeys") => {
                self.allows_all_keys = false;
                self.keys.clear();
            }
            _ if is("allchannels") || rule == b"&*" => {
                self.allows_all_channels = true;
                self.channels.clear();
            }
            _ if is("resetchannels") => {
                self.allows_all_channels = false;
                self.channels.clear();
            }
            _ if is("allcommands") || is("+@all") => self.set_all(true),
            _ if is("nocommands") || is("-@all") => self.set_all(false),
            _ if is("alldbs") => self.databases = None,
            _ if is("resetdbs") => self.databases = Some(Vec::new()),
            [b'd' | b'D', b'b' | b'B', b'=', list @ ..] => self.databases = Some(parse_databases(list)?),
            [b'~', pattern @ ..] => self.add_key(pattern, true, true)?,
            [b'%', rest @ ..] => self.add_key_with_uses(rest)?,
            [b'&', pattern @ ..] => self.add_channel(pattern)?,
            [b'+', b'@', category @ ..] => self.set_category(category, true, registry)?,
            [b'-', b'@', category @ ..] => self.set_category(category, false, registry)?,
            [b'+', command @ ..] => self.set_command(command, true, registry)?,
            [b'-', command @ ..] => self.set_command(command, false, registry)?,
            _ => return Err(RuleError::Syntax),
        }
        Ok(())
    }

    fn add_key_with_uses(&mut self, rest: &[u8]) -> Result<(), RuleError> {
        let tilde = rest.iter().position(|byte| *byte == b'~').ok_or(RuleError::Syntax)?;
        let (mut reads, mut writes) = (false, false);
        for use_of in &rest[..tilde] {
            match use_of.to_ascii_uppercase() {
                b'R' if !reads => reads = true,
                b'W' if !writes => writes = true,
                _ => return Err(RuleError::Syntax),
            }
        }
        if !reads && !writes {
            return Err(RuleError::Syntax);
        }
        self.add_key(&rest[tilde + 1..], reads, writes)
    }

    fn add_key(&mut self, pattern: &[u8], reads: bool, writes: bool) -> Result<(), RuleError> {
        check_pattern(pattern)?;
        if self.allows_all_keys {
            return Err(RuleError::AllKeys);
        }
        match self.keys.iter_mut().find(|known| known.pattern == pattern) {
            Some(known) => {
                known.reads |= reads;
                known.writes |= writes;
            }
            None => self.keys.push(KeyPattern::new(pattern, reads, writes)),
        }
        Ok(())
    }

    fn add_channel(&mut self, pattern: &[u8]) -> Result<(), RuleError> {
        check_pattern(pattern)?;
        if self.allows_all_channels {
            return Err(RuleError::AllChannels);
        }
        if !self.channels.iter().any(|known| known == pattern) {
            self.channels.push(pattern.to_vec());
        }
        Ok(())
    }

    fn set_category(&mut self, name: &[u8], allows: bool, registry: &Registry) -> Result<(), RuleError> {
        let name = str::from_utf8(name).map_err(|_| RuleError::Unknown)?.to_ascii_lowercase();
        let category = Categories::by_name(&name).ok_or(RuleError::Unknown)?;
        let rows = registry.rows();
        for row in rows.iter().filter(|row| row.command.all_categories().has(category)) {
            self.set_with_subcommands(row, allows, rows.len());
        }
        self.tell(&format!("@{name}"), allows);
        Ok(())
    }

    fn set_command(&mut self, name: &[u8], allows: bool, registry: &Registry) -> Result<(), RuleError> {
        let name = str::from_utf8(name).map_err(|_| RuleError::Unknown)?.to_ascii_lowercase();
        let rows = registry.rows().len();
        let row = match name.rsplit_once('|') {
            Some((command, argument)) if allows => named_with_argument(command, argument, registry)?,
            _ => named(&name, registry).ok_or(RuleError::Unknown)?,
        };
        if row.full_name == name {
            self.set_with_subcommands(row, allows, rows);
        } else if let Some((_, argument)) = name.rsplit_once('|')
            && !self.allows(row.id)
        {
            let known = self.first_arguments.entry(row.id).or_default();
            if !known.iter().any(|known| known == argument.as_bytes()) {
                known.push(argument.as_bytes().to_vec());
            }
        }
        self.tell(&name, allows);
        Ok(())
    }

    /// Its rules of commands: `-@all +get`.
    pub fn command_rules(&self) -> String {
        let mut rules: Vec<&str> = self.rules.iter().map(String::as_str).collect();
        if self.rules.first().is_none_or(|rule| rule != "+@all") {
            rules.insert(0, "-@all");
        }
        rules.join(" ")
    }

    /// Its rules of keys: `~a* %R~b*`.
    pub fn key_rules(&self) -> Vec<u8> {
        if self.allows_all_keys {
            return b"~*".to_vec();
        }
        let rules: Vec<Vec<u8>> = self
            .keys
            .iter()
            .map(|KeyPattern { pattern, reads, writes, .. }| {
                let uses: &[u8] = match (reads, writes) {
                    (true, true) => b"~",
                    (true, false) => b"%R~",
                    _ => b"%W~",
                };
                [uses, pattern].concat()
            })
            .collect();
        rules.join(&b' ')
    }

    /// Its rules of channels: `&a* &b`.
    pub fn channel_rules(&self) -> Vec<u8> {
        if self.allows_all_channels {
            return b"&*".to_vec();
        }
        let rules: Vec<Vec<u8>> = self.channels.iter().map(|pattern| [b"&", &pattern[..]].concat()).collect();
        rules.join(&b' ')
    }

    /// Its rules of databases: `db=0,1`; empty where all are allowed.
    pub fn database_rules(&self) -> String {
        match &self.databases {
            None => String::new(),
            Some(list) if list.is_empty() => "resetdbs".to_owned(),
            Some(list) => {
                let list: Vec<String> = list.iter().map(u32::to_string).collect();
                format!("db={}", list.join(","))
            }
        }
    }

    /// All its rules, as ACL LIST has them.
    pub(crate) fn describe(&self) -> Vec<u8> {
        let mut parts: Vec<Vec<u8>> = Vec::new();
        let keys = self.key_rules();
        if !keys.is_empty() {
            parts.push(keys);
        }
        if !self.allows_all_channels {
            parts.push(b"resetchannels".to_vec());
        }
        let channels = self.channel_rules();
        if !channels.is_empty() {
            parts.push(channels);
        }
        let databases = self.database_rules();
        if !databases.is_empty() {
            parts.push(databases.into_bytes());
        }
        parts.push(self.command_rules().into_bytes());
        parts.join(&b' ')
    }
}

/// The row of a command or subcommand, by the name that it has before `rename-command`.
fn named<'r>(name: &str, registry: &'r Registry) -> Option<&'r Row> {
    match name.split_once('|') {
        None => registry.find_unrenamed(name),
        Some((container, sub)) => {
            registry.subcommand_recorded(registry.find_unrenamed(container)?, sub.as_bytes())
        }
    }
}

/// The row that `+command|argument` is about: a subcommand, or a command that is allowed with this first argument.
fn named_with_argument<'r>(
    command: &str,
    argument: &str,
    registry: &'r Registry,
) -> Result<&'r Row, RuleError> {
    let row = named(command, registry).ok_or(RuleError::Unknown)?;
    match () {
        () if row.container.is_some() => Err(RuleError::FirstArgument),
        () if argument.is_empty() => Err(RuleError::Syntax),
        () if row.command.subcommands.is_empty() => Ok(row),
        () => registry.subcommand_recorded(row, argument.as_bytes()).ok_or(RuleError::Unknown),
    }
}

/// Spaces and zero bytes would not be read back from a file.
fn check_pattern(pattern: &[u8]) -> Result<(), RuleError> {
    if pattern.iter().any(|byte| byte.is_ascii_whitespace() || *byte == 0) {
        return Err(RuleError::Syntax);
    }
    Ok(())
}

fn parse_databases(list: &[u8]) -> Result<Vec<u32>, RuleError> {
    let mut databases = Vec::new();
    for part in list.split(|byte| *byte == b',') {
        let db = number::parse_u64(part).and_then(|db| u32::try_from(db).ok()).ok_or(RuleError::Syntax)?;
        if !databases.contains(&db) {
            databases.push(db);
        }
    }
    databases.sort_unstable();
    Ok(databases)
}

#[cfg(test)]
mod tests {
    use rustredis_resp::glob::Case;

    use super::*;

    #[test]
    fn a_prefix_is_compared_as_the_pattern_is() {
        let text = b"app:session:0123456789";
        for prefix_bytes in 0..text.len() {
            let pattern = KeyPattern::new(&[&text[..prefix_bytes], b"*"].concat(), true, true);
            let prefix = pattern.prefix.expect("it is literal");
            for length in 1..=text.len() {
                for changed in 0..length {
                    let mut key = text[..length].to_vec();
                    for byte in [key[changed], b'x'] {
                        key[changed] = byte;
                        let expected = glob::matches(&pattern.pattern, &key, Case::Sensitive);
                        assert_eq!(pattern.has_prefix(&prefix, &key), expected, "{prefix_bytes} {key:?}");
                    }
                }
            }
        }
        assert!(KeyPattern::new(b"a?b*", true, true).prefix.is_none());
    }
}
