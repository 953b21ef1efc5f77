//! The file of users (`aclfile`): a line for each, `user <name> <rule> ...`.

use std::io;
use std::path::Path;

use rustredis_acl::Users;
use rustredis_commands::Registry;

use crate::files::replace::replace;

/// The users of a file, and nobody else.
///
/// # Errors
/// Why there are none, with the line; no password is named.
pub fn load(path: &Path, hears_all: bool, registry: &Registry) -> Result<Users, String> {
    let shown = path.display();
    let text = std::fs::read(path)
        .map_err(|error| format!("Error loading ACLs, opening file '{shown}': {error}"))?;
    Users::of_lines(text.split(|byte| *byte == b'\n'), hears_all, registry)
        .map_err(|(line, error)| format!("{shown}:{line}: {error}. "))
}

/// Writes the users to a file, so that a crash leaves the old one or the new one.
///
/// # Errors
/// It cannot be written.
pub fn save(path: &Path, users: &Users) -> io::Result<()> {
    let mut text = users.to_lines().join(&b'\n');
    text.push(b'\n');
    replace(path, &text)
}
