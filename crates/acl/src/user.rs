//! A user: whether he may come in, and what he may do then.

use rustredis_commands::Registry;

use crate::error::RuleError;
use crate::password::{Hash, hash_of};
use crate::selector::Selector;

/// See the module's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// His name.
    pub name: Vec<u8>,
    /// Whether he may authenticate.
    pub is_on: bool,
    /// Whether any password is right.
    pub needs_no_password: bool,
    /// Whether what RESTORE is given from him need not be checked: told, and checked all the same.
    pub skips_sanitizing: bool,
    passwords: Vec<Hash>,
    root: Selector,
    others: Vec<Selector>,
    /// What a new selector says of channels.
    hears_all: bool,
}

impl User {
    /// A user who may nothing. `hears_all` is `acl-pubsub-default allchannels`.
    pub fn new(name: &[u8], hears_all: bool) -> Self {
        Self {
            name: name.to_vec(),
            is_on: false,
            needs_no_password: false,
            skips_sanitizing: false,
            passwords: Vec::new(),
            root: Selector::new(hears_all),
            others: Vec::new(),
            hears_all,
        }
    }

    /// His selectors, the root first.
    pub fn selectors(&self) -> impl Iterator<Item = &Selector> {
        std::iter::once(&self.root).chain(&self.others)
    }

    /// The one that rules outside parentheses are of.
    pub fn root(&self) -> &Selector {
        &self.root
    }

    /// Those in parentheses.
    pub fn others(&self) -> &[Selector] {
        &self.others
    }

    /// The hashes of his passwords.
    pub fn passwords(&self) -> &[Hash] {
        &self.passwords
    }

    /// Whether he may do everything: then nothing has to be asked.
    pub fn may_everything(&self) -> bool {
        self.root.allows_everything()
    }

    /// Takes this as what new selectors say of channels.
    pub(crate) fn set_hears_all(&mut self, hears_all: bool) {
        self.hears_all = hears_all;
    }

    /// Whether this password lets him in.
    pub fn admits(&self, password: &[u8]) -> bool {
        let hash = hash_of(password);
        // All are looked at, so that the time tells nothing.
        let is_known = self.passwords.iter().fold(false, |found, known| found | known.is(&hash));
        self.is_on && (self.needs_no_password || is_known)
    }

    /// Applies rules in order; those in parentheses may be spread over several words.
    ///
    /// # Errors
    /// The rule that is none, and why. The user may have changed by then: who wants all or nothing changes a copy.
    pub fn apply_all<'r>(
        &mut self,
        rules: impl IntoIterator<Item = &'r [u8]>,
        registry: &Registry,
    ) -> Result<(), (Vec<u8>, RuleError)> {
        // A selector that is not closed yet, and its first word.
        let mut open: Option<(Vec<u8>, &[u8])> = None;
        for rule in rules {
            let (whole, first) = match open.take() {
                Some((begun, first)) => ([&begun[..], b" ", rule].concat(), first),
                None => (rule.to_vec(), rule),
            };
            let is_selector = whole.first() == Some(&b'(');
            if is_selector && whole.last() != Some(&b')') {
                open = Some((whole, first));
                continue;
            }
            self.apply(&whole, registry).map_err(|error| (whole.clone(), error))?;
        }
        match open {
            Some((_, first)) => Err((first.to_vec(), RuleError::Unmatched)),
            None => Ok(()),
        }
    }

    fn apply(&mut self, rule: &[u8], registry: &Registry) -> Result<(), RuleError> {
        let is = |word: &str| rule.eq_ignore_ascii_case(word.as_bytes());
        match rule {
            [] => {}
            _ if is("on") => self.is_on = true,
            _ if is("off") => self.is_on = false,
            _ if is("nopass") => {
                self.needs_no_password = true;
                self.passwords.clear();
            }
            _ if is("resetpass") => {
                self.needs_no_password = false;
                self.passwords.clear();
            }
            _ if is("sanitize-payload") => self.skips_sanitizing = false,
            _ if is("skip-sanitize-payload") => self.skips_sanitizing = true,
            _ if is("reset") => *self = Self::new(&self.name, self.hears_all),
            _ if is("clearselectors") => self.others.clear(),
            [b'>', password @ ..] => self.add_password(hash_of(password)),
            [b'#', hash @ ..] => self.add_password(Hash::parse(hash)?),
            [b'<', password @ ..] => self.remove_password(hash_of(password))?,
            [b'!', hash @ ..] => self.remove_password(Hash::parse(hash)?)?,
            [b'(', rules @ .., b')'] => {
                let mut selector = Selector::new(self.hears_all);
                for rule in rules.split(u8::is_ascii_whitespace).filter(|rule| !rule.is_empty()) {
                    selector.apply(rule, registry)?;
                }
                self.others.push(selector);
            }
            _ => self.root.apply(rule, registry)?,
        }
        Ok(())
    }

    fn add_password(&mut self, hash: Hash) {
        if !self.passwords.contains(&hash) {
            self.passwords.push(hash);
        }
        self.needs_no_password = false;
    }

    fn remove_password(&mut self, hash: Hash) -> Result<(), RuleError> {
        let before = self.passwords.len();
        self.passwords.retain(|known| *known != hash);
        if self.passwords.len() == before { Err(RuleError::NoPassword) } else { Ok(()) }
    }

    /// The names of his flags, as ACL GETUSER has them.
    pub fn flags(&self) -> Vec<&'static str> {
        let mut flags = vec![if self.is_on { "on" } else { "off" }];
        if self.needs_no_password {
            flags.push("nopass");
        }
        flags.push(if self.skips_sanitizing { "skip-sanitize-payload" } else { "sanitize-payload" });
        flags
    }

    /// All that makes him what he is, as a line of a file without `user` in front.
    pub fn describe(&self) -> Vec<u8> {
        let mut parts: Vec<Vec<u8>> = vec![self.name.clone()];
        parts.extend(self.flags().into_iter().map(|flag| flag.as_bytes().to_vec()));
        parts.extend(self.passwords.iter().map(|hash| format!("#{}", hash.text()).into_bytes()));
        parts.push(self.root.describe());
        parts.extend(self.others.iter().map(|selector| [b"(", &selector.describe()[..], b")"].concat()));
        parts.join(&b' ')
    }
}
