//! Functions and their libraries.
//!
//! All libraries are one value that never changes: a change makes another, so whoever runs a function has the libraries of one moment.
//! Functions are found without regard to case, libraries with, as in Redis.

use std::collections::{BTreeMap, HashMap};
use std::ops::{BitOr, BitOrAssign};
use std::sync::Arc;

use smallvec::SmallVec;

use crate::script::split;

/// What is said of a name that is none: of a library's, and in the same words of a function's.
pub(crate) const BAD_NAME: &str = "Library names can only contain letters, numbers, or underscores(_) and must be \
                                   at least one character long";

/// How a library's text begins.
const SHEBANG: &[u8] = b"#!";

/// The only engine, in any case.
const ENGINE: &[u8] = b"lua";

/// What a script or a function says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FunctionFlags(u8);

impl FunctionFlags {
    /// It calls no command that writes, so it runs where none may.
    pub const NO_WRITES: Self = Self(1);
    /// It runs although there is no memory left.
    pub const ALLOW_OOM: Self = Self(2);
    /// It runs on a replica that has lost its master.
    pub const ALLOW_STALE: Self = Self(4);
    /// It does not run in a cluster.
    pub const NO_CLUSTER: Self = Self(8);
    /// It may touch keys of several slots.
    pub const ALLOW_CROSS_SLOT_KEYS: Self = Self(16);

    const NAMES: [(&'static str, Self); 5] = [
        ("no-writes", Self::NO_WRITES),
        ("allow-oom", Self::ALLOW_OOM),
        ("allow-stale", Self::ALLOW_STALE),
        ("no-cluster", Self::NO_CLUSTER),
        ("allow-cross-slot-keys", Self::ALLOW_CROSS_SLOT_KEYS),
    ];

    /// Whether all of these are set.
    pub fn contains(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// The names of those that are set, in Redis's order.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.into_iter().filter(move |(_, flag)| self.contains(*flag)).map(|(name, _)| name)
    }

    /// The flag of this name.
    pub fn by_name(name: &[u8]) -> Option<Self> {
        Self::NAMES.into_iter().find(|(known, _)| known.as_bytes() == name).map(|(_, flag)| flag)
    }
}

impl BitOr for FunctionFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for FunctionFlags {
    fn bitor_assign(&mut self, other: Self) {
        *self = *self | other;
    }
}

/// A function of a library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: Box<[u8]>,
    /// What its library says that it does.
    pub description: Option<Box<[u8]>>,
    /// What its library says of it.
    pub flags: FunctionFlags,
}

/// A library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Library {
    /// Its name.
    pub name: Box<[u8]>,
    /// Its text, as it was loaded.
    pub code: Box<[u8]>,
    /// What it registers, in that order.
    pub functions: Vec<Function>,
}

impl Library {
    /// The engine of each library, as FUNCTION LIST names it.
    pub const ENGINE: &'static str = "LUA";
}

/// All libraries at a moment.
#[derive(Clone, Debug, Default)]
pub struct Libraries {
    libraries: BTreeMap<Box<[u8]>, Arc<Library>>,
    /// By the function's name in lower case: its library, and its number there.
    functions: HashMap<Box<[u8]>, (Arc<Library>, usize)>,
}

impl Libraries {
    /// These libraries and one more, which takes the place of another of its name if it may.
    ///
    /// # Errors
    /// There is one of its name, or a function of that name in another: Redis's error, with its code.
    pub fn with(&self, library: Library, replace: bool) -> Result<Self, Vec<u8>> {
        self.check_name(&library.name, replace)?;
        for function in &library.functions {
            if let Some((other, _)) = self.functions.get(&*lower(&function.name))
                && other.name != library.name
            {
                return Err([b"ERR Function ", &*function.name, b" already exists"].concat());
            }
        }
        let mut libraries = self.libraries.clone();
        libraries.insert(library.name.clone(), Arc::new(library));
        Ok(Self::of(libraries))
    }

    /// Says whether a library of this name may be loaded.
    ///
    /// # Errors
    /// There is one, and it may not be replaced: Redis's error, with its code.
    pub fn check_name(&self, name: &[u8], replace: bool) -> Result<(), Vec<u8>> {
        if !replace && self.libraries.contains_key(name) {
            return Err([b"ERR Library '", name, b"' already exists"].concat());
        }
        Ok(())
    }

    /// These libraries without that of this name; `None` if there is none.
    pub fn without(&self, name: &[u8]) -> Option<Self> {
        let mut libraries = self.libraries.clone();
        libraries.remove(name)?;
        Some(Self::of(libraries))
    }

    fn of(libraries: BTreeMap<Box<[u8]>, Arc<Library>>) -> Self {
        let mut functions = HashMap::new();
        for library in libraries.values() {
            for (index, function) in library.functions.iter().enumerate() {
                functions.insert(Box::from(&*lower(&function.name)), (Arc::clone(library), index));
            }
        }
        Self { libraries, functions }
    }

    /// The libraries, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Library>> {
        self.libraries.values()
    }

    /// How many libraries there are.
    pub fn len(&self) -> usize {
        self.libraries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.libraries.is_empty()
    }

    /// How many functions there are.
    pub fn functions_count(&self) -> usize {
        self.libraries.values().map(|library| library.functions.len()).sum()
    }

    /// The function of this name, in any case.
    pub fn find(&self, name: &[u8]) -> Option<(&Arc<Library>, &Function)> {
        let (library, index) = self.find_index(name)?;
        Some((library, &library.functions[index]))
    }

    /// The library that has the function of this name, and its number there.
    pub(crate) fn find_index(&self, name: &[u8]) -> Option<(&Arc<Library>, usize)> {
        self.functions.get(&*lower(name)).map(|(library, index)| (library, *index))
    }

    /// The library of this name.
    pub fn get(&self, name: &[u8]) -> Option<&Arc<Library>> {
        self.libraries.get(name)
    }
}

fn lower(name: &[u8]) -> SmallVec<[u8; 64]> {
    name.iter().map(u8::to_ascii_lowercase).collect()
}

/// Whether a library or a function may have this name.
pub(crate) fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

/// The name of a library by the first line of its text.
///
/// # Errors
/// The line is not understood: Redis's error, with its code.
pub fn library_name(code: &[u8]) -> Result<Box<[u8]>, Vec<u8>> {
    read_first_line(code).map(|(name, _)| name)
}

/// The name of a library, and where its text for Lua begins: at the end of the first line, so that lines keep their numbers.
pub(crate) fn read_first_line(code: &[u8]) -> Result<(Box<[u8]>, usize), Vec<u8>> {
    if !code.starts_with(SHEBANG) {
        return Err(b"ERR Missing library metadata".to_vec());
    }
    let invalid = || b"ERR Invalid library metadata".to_vec();
    let body = code.iter().position(|byte| *byte == b'\n').ok_or_else(invalid)?;
    let words = split(&code[..body]).ok_or_else(invalid)?;
    let (engine, options) = words.split_first().ok_or_else(invalid)?;
    let mut name: Option<&[u8]> = None;
    for option in options {
        let named = option.split_at_checked(5).filter(|(key, _)| key.eq_ignore_ascii_case(b"name="));
        let Some((_, value)) = named else {
            return Err([b"ERR Invalid metadata value given: ", &option[..]].concat());
        };
        if name.replace(value).is_some() {
            return Err(b"ERR Invalid metadata value, name argument was given multiple times".to_vec());
        }
    }
    let name = name.ok_or_else(|| b"ERR Library name was not given".to_vec())?;
    if !is_name(name) {
        return Err([b"ERR ", BAD_NAME.as_bytes()].concat());
    }
    let engine = &engine[SHEBANG.len()..];
    if !engine.eq_ignore_ascii_case(ENGINE) {
        return Err([b"ERR Engine '", engine, b"' not found"].concat());
    }
    Ok((name.into(), body))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn library(name: &str, functions: &[&str]) -> Library {
        let function = |name: &&str| Function {
            name: name.as_bytes().into(),
            description: None,
            flags: FunctionFlags::default(),
        };
        Library {
            name: name.as_bytes().into(),
            code: Box::default(),
            functions: functions.iter().map(function).collect(),
        }
    }

    #[test]
    fn names_are_read_from_the_first_line() {
        for (code, expected) in [
            ("#!lua name=x\n", Ok("x")),
            ("#!LUA NAME=x_1  \r\nx", Ok("x_1")),
            ("#!lua \"name=x\"\n", Ok("x")),
            ("return 1", Err("ERR Missing library metadata")),
            (" #!lua name=x\n", Err("ERR Missing library metadata")),
            ("#!", Err("ERR Invalid library metadata")),
            ("#!lua name=x", Err("ERR Invalid library metadata")),
            ("#!lua name=\"x\n", Err("ERR Invalid library metadata")),
            ("#!\n", Err("ERR Library name was not given")),
            ("#!lua\n", Err("ERR Library name was not given")),
            ("#!lua name\n", Err("ERR Invalid metadata value given: name")),
            ("#!lua name=x y\n", Err("ERR Invalid metadata value given: y")),
            (
                "#!lua name=x name=y\n",
                Err("ERR Invalid metadata value, name argument was given multiple times"),
            ),
            ("#!python name=x\n", Err("ERR Engine 'python' not found")),
            ("#! name=x\n", Err("ERR Engine '' not found")),
        ] {
            let found = library_name(code.as_bytes());
            let found = found.as_ref().map(|name| String::from_utf8_lossy(name));
            let found = found.as_deref().map_err(|error| String::from_utf8_lossy(error));
            assert_eq!(found.as_ref().copied().map_err(|error| &**error), expected, "{code}");
        }
        for code in ["#!lua name=\n", "#!lua name=x-y\n", "#!lua 'name=x y'\n"] {
            assert_eq!(library_name(code.as_bytes()), Err(format!("ERR {BAD_NAME}").into_bytes()), "{code}");
        }
    }

    #[test]
    fn functions_are_found_in_any_case_and_libraries_in_theirs() {
        let libraries = Libraries::default().with(library("x", &["f", "g"]), false).expect("a library");
        let libraries = libraries.with(library("X", &["h"]), false).expect("another");
        assert_eq!(
            libraries.find(b"F").map(|(library, function)| (&*library.name, &*function.name)),
            Some((&b"x"[..], &b"f"[..]))
        );
        assert!(libraries.find(b"k").is_none());
        assert_eq!((libraries.len(), libraries.functions_count()), (2, 3));
        let clash = libraries.with(library("y", &["F"]), false).map(|_| ());
        assert_eq!(clash, Err(b"ERR Function F already exists".to_vec()));
        let clash = libraries.with(library("x", &["f"]), false).map(|_| ());
        assert_eq!(clash, Err(b"ERR Library 'x' already exists".to_vec()));
        let replaced = libraries.with(library("x", &["f", "k"]), true).expect("it may be replaced");
        assert!(replaced.find(b"g").is_none() && replaced.find(b"K").is_some());
        assert!(libraries.without(b"nope").is_none());
        assert!(libraries.without(b"x").expect("it is there").find(b"f").is_none());
    }
}
