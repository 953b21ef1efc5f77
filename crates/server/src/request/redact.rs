//! What others may see of a command: passwords and user names are left out of MONITOR and SLOWLOG.

use rustredis_commands::{Args, Flags, Row};

use crate::clients::client::Client;
use crate::start::server::Server;

/// Stands for what is not shown.
const REDACTED: &[u8] = b"(redacted)";

/// Shows a command to those who watch. Commands for administrators are not shown.
pub fn show(server: &Server, client: &Client, db: usize, row: &Row, args: Args<'_>) {
    if !row.command.flags.has_any(Flags::ADMIN.with(Flags::SKIP_MONITOR)) {
        server.monitors().show(client, db, &shown(row, args));
    }
}

/// Shows a command that a script calls to those who watch.
#[cold]
pub fn show_inner(server: &Server, db: usize, row: &Row, args: Args<'_>) {
    if !row.command.flags.has_any(Flags::ADMIN.with(Flags::SKIP_MONITOR)) {
        server.monitors().show_inner(db, &shown(row, args));
    }
}

/// The arguments of a command, its name first, as others may see them.
pub fn shown<'a>(row: &Row, args: Args<'a>) -> Vec<&'a [u8]> {
    let mut shown: Vec<&[u8]> = args.from(0).collect();
    for index in row.command.find_secrets.map_or_else(Vec::new, |find| find(args)) {
        if let Some(argument) = shown.get_mut(index) {
            *argument = REDACTED;
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustredis_commands::{OwnedArgs, Registry};

    fn check(line: &str, expected: &str) {
        let families: Vec<_> = crate::commands::FAMILIES.iter().map(|family| family.rows).collect();
        let registry = Registry::new(&families, &[]).unwrap();
        let words: Vec<&str> = line.split(' ').collect();
        let args = OwnedArgs::from_parts(&words);
        let row = registry.resolve(args.args()).unwrap();
        let shown: Vec<_> = shown(row, args.args()).into_iter().map(String::from_utf8_lossy).collect();
        assert_eq!(shown.join(" "), expected);
    }

    #[test]
    fn passwords_are_not_shown() {
        check("ECHO secret", "ECHO secret");
        check("AUTH secret", "AUTH (redacted)");
        check("AUTH user secret", "AUTH (redacted) (redacted)");
        check("HELLO 3 AUTH user secret SETNAME x", "HELLO 3 AUTH (redacted) (redacted) SETNAME x");
        check("HELLO 3 AUTH user", "HELLO 3 AUTH (redacted)");
        check("ACL SETUSER user >secret", "ACL SETUSER (redacted) (redacted)");
        check("ACL CAT string", "ACL CAT string");
    }
}
