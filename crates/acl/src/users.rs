//! All users, by name.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use rustredis_commands::Registry;

use crate::error::RuleError;
use crate::user::User;

/// The name of the user that a connection has which has not said another.
pub const DEFAULT_USER: &[u8] = b"default";

/// All users, by name. There is always one of the name [`DEFAULT_USER`].
#[derive(Clone, Debug)]
pub struct Users {
    by_name: BTreeMap<Vec<u8>, Arc<User>>,
    hears_all: bool,
}

/// Why a line of users is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadError {
    /// It does not begin with `user` and a name.
    NoUser,
    /// The name has a space, or a zero byte.
    Name,
    /// There is a line of this user already.
    Twice(Vec<u8>),
    /// A rule is none.
    Rule(Vec<u8>, RuleError),
}

impl fmt::Display for LoadError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoUser => {
                formatter.write_str("line should start with user keyword followed by the username")
            }
            Self::Name => formatter.write_str("Usernames can't contain spaces or null characters"),
            Self::Twice(name) => {
                write!(formatter, "Duplicate user '{}' found", String::from_utf8_lossy(name))
            }
            // What names a command holds no secret.
            Self::Rule(rule, error @ RuleError::Unknown) => {
                write!(formatter, "Error in applying operation '{}': {error}", String::from_utf8_lossy(rule))
            }
            Self::Rule(_, error) => write!(formatter, "{error}"),
        }
    }
}

impl std::error::Error for LoadError {}

/// Whether this may be a user's name.
pub(crate) fn is_name(name: &[u8]) -> bool {
    !name.iter().any(|byte| byte.is_ascii_whitespace() || *byte == 0)
}

impl Users {
    /// The default user alone, who may everything without a password.
    pub fn new(hears_all: bool, registry: &Registry) -> Self {
        let mut users = Self { by_name: BTreeMap::new(), hears_all };
        users.put_default(registry);
        users
    }

    fn put_default(&mut self, registry: &Registry) {
        let mut default = User::new(DEFAULT_USER, self.hears_all);
        let rules: [&[u8]; 5] = [b"on", b"nopass", b"~*", b"&*", b"+@all"];
        let applied = default.apply_all(rules, registry);
        debug_assert!(applied.is_ok(), "these are rules");
        self.by_name.insert(DEFAULT_USER.to_vec(), Arc::new(default));
    }

    /// A user.
    pub fn get(&self, name: &[u8]) -> Option<&Arc<User>> {
        self.by_name.get(name)
    }

    /// The user of connections that have not said another.
    pub fn default_user(&self) -> &Arc<User> {
        &self.by_name[DEFAULT_USER]
    }

    /// All users, by name.
    pub fn all(&self) -> impl ExactSizeIterator<Item = &Arc<User>> {
        self.by_name.values()
    }

    /// A user as he is now, or a new one who may nothing, to be changed and [`Self::put`].
    pub fn draft(&self, name: &[u8]) -> User {
        let mut user =
            self.get(name).map_or_else(|| User::new(name, self.hears_all), |user| User::clone(user));
        user.set_hears_all(self.hears_all);
        user
    }

    /// Whether those who are new from now on, and new selectors, may use all channels.
    pub fn set_hears_all(&mut self, hears_all: bool) {
        self.hears_all = hears_all;
    }

    /// Gives the default user this password and no other; an empty one is none, and then any is right.
    pub fn set_default_password(&mut self, password: &[u8], registry: &Registry) {
        let mut default = self.draft(DEFAULT_USER);
        let password = [b">", password].concat();
        let rules: [&[u8]; 2] = [b"resetpass", if password.len() > 1 { &password } else { b"nopass" }];
        let applied = default.apply_all(rules, registry);
        debug_assert!(applied.is_ok(), "these are rules");
        self.put(default);
    }

    /// Puts a user in the place of the one of his name, if there is one.
    pub fn put(&mut self, user: User) -> Arc<User> {
        let user = Arc::new(user);
        self.by_name.insert(user.name.clone(), user.clone());
        user
    }

    /// Makes a user, or changes the one of this name; all rules, or none.
    ///
    /// # Errors
    /// A rule is none, or the name.
    pub fn set<'r>(
        &mut self,
        name: &[u8],
        rules: impl IntoIterator<Item = &'r [u8]>,
        registry: &Registry,
    ) -> Result<Arc<User>, LoadError> {
        if !is_name(name) {
            return Err(LoadError::Name);
        }
        let mut user = self.draft(name);
        user.apply_all(rules, registry).map_err(|(rule, error)| LoadError::Rule(rule, error))?;
        Ok(self.put(user))
    }

    /// Removes a user, but not the default one; whether he was there.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        name != DEFAULT_USER && self.by_name.remove(name).is_some()
    }

    /// The users of these lines, and nobody else: the default user is as new if there is no line of his.
    ///
    /// # Errors
    /// The number of the first line that is none, from 1, and why.
    pub fn of_lines<'l>(
        lines: impl IntoIterator<Item = &'l [u8]>,
        hears_all: bool,
        registry: &Registry,
    ) -> Result<Self, (usize, LoadError)> {
        let mut users = Self { by_name: BTreeMap::new(), hears_all };
        for (index, line) in lines.into_iter().enumerate() {
            users.add_line(line, registry).map_err(|error| (index + 1, error))?;
        }
        if users.get(DEFAULT_USER).is_none() {
            users.put_default(registry);
        }
        Ok(users)
    }

    /// A line `user <name> <rule> ...`; empty lines and comments say nothing.
    fn add_line(&mut self, line: &[u8], registry: &Registry) -> Result<(), LoadError> {
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        match words.next() {
            None => return Ok(()),
            Some(word) if word.starts_with(b"#") => return Ok(()),
            Some(b"user") => {}
            Some(_) => return Err(LoadError::NoUser),
        }
        let name = words.next().ok_or(LoadError::NoUser)?;
        self.add(name, words, registry)
    }

    fn add<'r>(
        &mut self,
        name: &[u8],
        rules: impl IntoIterator<Item = &'r [u8]>,
        registry: &Registry,
    ) -> Result<(), LoadError> {
        if self.get(name).is_some() {
            return Err(LoadError::Twice(name.to_vec()));
        }
        self.set(name, rules, registry).map(|_| ())
    }

    /// The users of these lines of a configuration file, each a name and rules, and nobody else; without a line of the default user
    /// he has this password, or none.
    ///
    /// # Errors
    /// The first user that is none, and why.
    pub fn of_directives(
        lines: &[Vec<Vec<u8>>],
        default_password: &[u8],
        hears_all: bool,
        registry: &Registry,
    ) -> Result<Self, (Vec<u8>, LoadError)> {
        let mut users = Self { by_name: BTreeMap::new(), hears_all };
        for line in lines {
            let Some((name, rules)) = line.split_first() else { continue };
            let added = users.add(name, rules.iter().map(Vec::as_slice), registry);
            added.map_err(|error| (name.clone(), error))?;
        }
        if users.get(DEFAULT_USER).is_none() {
            users.put_default(registry);
            users.set_default_password(default_password, registry);
        }
        Ok(users)
    }

    /// All users as lines of a configuration file, each a name and rules; without the default user if a server that is given this
    /// password for him has him like that anyway.
    pub fn to_directives(&self, default_password: &[u8], registry: &Registry) -> Vec<Vec<Vec<u8>>> {
        let mut usual = Self::new(self.hears_all, registry);
        usual.set_default_password(default_password, registry);
        let is_usual =
            |user: &User| user.name == DEFAULT_USER && user.describe() == usual.default_user().describe();
        let told = self.all().filter(|user| !is_usual(user)).map(|user| user.describe());
        told.map(|line| line.split(|byte| *byte == b' ').map(<[u8]>::to_vec).collect()).collect()
    }

    /// All users as lines.
    pub fn to_lines(&self) -> Vec<Vec<u8>> {
        self.all().map(|user| [b"user ", &user.describe()[..]].concat()).collect()
    }
}

#[cfg(test)]
mod tests {
    use rustredis_commands::{FAMILIES, OwnedArgs};

    use super::*;
    use crate::Denied;

    fn registry() -> Registry {
        Registry::new(FAMILIES, &[]).expect("no row is renamed")
    }

    fn user(registry: &Registry, rules: &str) -> Arc<User> {
        let mut users = Users::new(false, registry);
        users.set(b"u", rules.split_whitespace().map(str::as_bytes), registry).expect("these are rules")
    }

    fn check(registry: &Registry, user: &User, line: &str) -> Result<(), Denied> {
        let plain = OwnedArgs::from_parts(&line.split_whitespace().collect::<Vec<_>>());
        let row = registry.resolve(plain.args()).expect("there is such a command");
        let mut keys = Vec::new();
        row.hash_keys(plain.args(), &mut keys);
        user.check(row, plain.args().with_keys(&keys), 0)
    }

    #[test]
    fn rules_are_told_as_they_were_given() {
        let registry = registry();
        for (rules, told) in [
            ("", "off sanitize-payload resetchannels -@all"),
            ("on nopass ~* &* +@all", "on nopass sanitize-payload ~* &* +@all"),
            (
                "on skip-sanitize-payload +@all -set -@hash ~a* %R~b %W~b %w~c",
                "on skip-sanitize-payload ~a* ~b %W~c resetchannels +@all -set -@hash",
            ),
            (
                "+get +set -get +object|freq -object",
                "off sanitize-payload resetchannels -@all +set -get -object",
            ),
            (
                "(+get ~x) ( +set %W~y &c )",
                "off sanitize-payload resetchannels -@all (~x resetchannels -@all +get) (%W~y resetchannels &c -@all +set)",
            ),
            ("db=3,1 +get", "off sanitize-payload resetchannels db=1,3 -@all +get"),
            ("+@all ~* allchannels reset", "off sanitize-payload resetchannels -@all"),
        ] {
            let text = String::from_utf8(user(&registry, rules).describe()).expect("it is text");
            assert_eq!(text, format!("u {told}"), "{rules}");
            let again =
                Users::of_lines([format!("user {text}").as_bytes()], false, &registry).expect("a line");
            assert_eq!(String::from_utf8_lossy(&again.draft(b"u").describe()), text);
        }
    }

    #[test]
    fn what_is_no_rule_changes_nothing() {
        let registry = registry();
        let mut users = Users::new(false, &registry);
        for (rules, error) in [
            ("foo", RuleError::Syntax),
            ("+nope", RuleError::Unknown),
            ("+@nope", RuleError::Unknown),
            ("-get|x", RuleError::Unknown),
            ("+object|nope", RuleError::Unknown),
            ("+get|x|y", RuleError::Unknown),
            ("+object|freq|y", RuleError::FirstArgument),
            ("+get|", RuleError::Syntax),
            ("%X~a", RuleError::Syntax),
            ("~* ~a", RuleError::AllKeys),
            ("&* &a", RuleError::AllChannels),
            ("<zz", RuleError::NoPassword),
            ("#zz", RuleError::Hash),
            ("(+get", RuleError::Unmatched),
            ("db=x", RuleError::Syntax),
        ] {
            let rules = ["on +get", rules].join(" ");
            let found = users.set(b"u", rules.split_whitespace().map(str::as_bytes), &registry);
            assert!(
                matches!(&found, Err(LoadError::Rule(_, found)) if *found == error),
                "{rules}: {found:?}"
            );
            assert!(users.get(b"u").is_none());
        }
        assert_eq!(users.set(b"a b", [], &registry), Err(LoadError::Name));
        let lines: [&[u8]; 4] = [b"# users", b"", b"user a on", b"user a off"];
        assert_eq!(
            Users::of_lines(lines, false, &registry).map(|_| ()),
            Err((4, LoadError::Twice(b"a".to_vec())))
        );
        assert!(!users.remove(DEFAULT_USER));
    }

    #[test]
    fn one_selector_must_allow_all_of_it() {
        let registry = registry();
        let bob = user(&registry, "on ~a* %R~b* +get +set (+lpush ~l*) +object|freq +expire|ak");
        for (line, expected) in [
            ("GET a1", Ok(())),
            ("GET b1", Ok(())),
            ("GET c", Err(Denied::Key(1))),
            ("SET b1 x", Err(Denied::Key(1))),
            ("LPUSH l1 x", Ok(())),
            ("LPUSH a1 x", Err(Denied::Key(1))),
            ("DEL a1", Err(Denied::Command)),
            ("OBJECT FREQ a1", Ok(())),
            ("OBJECT ENCODING a1", Err(Denied::Command)),
            ("EXPIRE ak 1", Ok(())),
            ("EXPIRE a 1", Err(Denied::Command)),
        ] {
            assert_eq!(check(&registry, &bob, line), expected, "{line}");
        }
    }

    #[test]
    fn databases_are_checked_where_keys_are_reached() {
        let registry = registry();
        let bob = user(&registry, "on ~* +@all db=0,2");
        let elsewhere = user(&registry, "on ~* +@all db=1");
        for (line, may_here, may_elsewhere) in [
            ("GET a", true, false),
            ("KEYS *", true, false),
            ("DBSIZE", true, false),
            ("FLUSHALL", false, false),
            ("MOVE a 2", true, false),
            ("MOVE a 1", false, false),
            ("COPY a b DB 1", false, false),
            ("COPY a b DB 2 REPLACE", true, false),
            ("SWAPDB 0 2", true, false),
            ("SWAPDB 0 1", false, false),
        ] {
            assert_eq!(check(&registry, &bob, line).is_ok(), may_here, "{line}");
            assert_eq!(check(&registry, &elsewhere, line).is_ok(), may_elsewhere, "{line}");
        }
    }

    #[test]
    fn passwords_and_channels_are_checked() {
        let registry = registry();
        let bob = user(&registry, "on >one >two &news.* &exact");
        assert!(bob.admits(b"one") && bob.admits(b"two") && !bob.admits(b"three"));
        assert!(!user(&registry, ">one").admits(b"one"), "he is off");
        assert!(user(&registry, "on nopass").admits(b"anything"));
        assert!(bob.may_hear(b"news.x", false) && !bob.may_hear(b"other", false));
        assert!(bob.may_hear(b"news.*", true) && !bob.may_hear(b"news.x*", true));
        assert!(Users::new(false, &registry).default_user().may_everything() && !bob.may_everything());
    }
}
