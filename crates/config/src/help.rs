//! The text of `--help` and the reference page of all directives, both made from the table.

use std::fmt::Write;

use crate::command_line::version_line;
use crate::directive::{Change, Directive, Effect, Group, Rights, Row, find};
use crate::table::DIRECTIVES;
use crate::{REDIS_VERSION, VERSION};

/// What `--help` shows first, as far as it has an effect.
const FIRST: [Directive; 14] = [
    Directive::Engine,
    Directive::Metrics,
    Directive::Contention,
    Directive::Threads,
    Directive::Shards,
    Directive::Port,
    Directive::Bind,
    Directive::Requirepass,
    Directive::Maxmemory,
    Directive::MaxmemoryPolicy,
    Directive::Dir,
    Directive::Save,
    Directive::Appendonly,
    Directive::Appendfsync,
];

const COLUMNS: usize = 80;

const USAGE: &str = "\
Usage: rustredis [/path/to/redis.conf] [--directive value ...] [-]
       rustredis check-aof | check-rdb ...   look at files; see their --help

Every directive of redis.conf is an option too. Without a file the defaults
apply; `-` reads directives from standard input. A later setting wins: file,
standard input, options.

  -h, --help [TOPIC]   this text, or `all`, a group, or a directive
  -v, --version        print the version
";

const EXAMPLES: &str = "\
Examples:
  rustredis                                  defaults, port 6379
  rustredis /etc/redis/redis.conf            an existing configuration file
  rustredis --port 7000 --engine actor       choose the concurrency engine
  rustredis --metrics off --threads 4        four threads, nothing counted
  rustredis redis.conf --save \"\"             a file, but no snapshots
  echo 'maxmemory 1gb' | rustredis --port 7000 -
";

/// The answer to `--help [topic]`.
pub(crate) fn help(topic: Option<&str>) -> String {
    let mut out = String::new();
    match topic {
        None => overview(&mut out),
        Some("all") => {
            out.push_str(&format!("{}\n\n{USAGE}", version_line()));
            Group::ALL.iter().for_each(|&group| section(&mut out, group));
        }
        Some(topic) => {
            let name = topic.trim_start_matches('-');
            let group = Group::ALL.iter().find(|group| group.name().eq_ignore_ascii_case(name));
            match (group, find(name.as_bytes())) {
                // `cluster` or `engine`: the section shows the directive of that name as well.
                (Some(&group), _) => section(&mut out, group),
                (None, Some((row, _))) => option(&mut out, row),
                (None, None) => {
                    out.push_str(&format!("There is no directive or group called {topic}.\n\n"));
                    groups(&mut out);
                }
            }
        }
    }
    out
}

fn overview(out: &mut String) {
    out.push_str(&format!(
        "RustRedis {VERSION}: a server for Redis clients (compatible with Redis {REDIS_VERSION})\n\n{USAGE}\n"
    ));
    out.push_str("Options that matter first:\n\n");
    let rows = FIRST.into_iter().map(Directive::row).filter(|row| row.target().is_some());
    rows.for_each(|row| option(out, row));
    out.push('\n');
    out.push_str(EXAMPLES);
    out.push('\n');
    groups(out);
}

fn groups(out: &mut String) {
    let names: Vec<&str> = Group::ALL.iter().map(|group| group.name()).collect();
    wrap(out, "", &format!("More: `--help all`, or `--help` with one of: {}.", names.join(", ")));
}

fn section(out: &mut String, group: Group) {
    out.push_str(&format!("\n{}:\n\n", group.title()));
    DIRECTIVES.iter().filter(|row| row.group == group).for_each(|row| option(out, row));
}

fn option(out: &mut String, row: &Row) {
    let mut text = row.doc.to_owned();
    let accepted = row.kind.describe();
    let head = format!("  --{} <{accepted}>", row.name);
    if head.len() <= COLUMNS {
        out.push_str(&head);
    } else {
        out.push_str(&format!("  --{} <...>", row.name));
        text.push_str(&format!(" One of: {}.", accepted.replace('|', ", ")));
    }
    out.push('\n');
    if !row.default.is_empty() {
        text.push_str(&format!(" Default: {}.", row.default));
    }
    if let Some(alias) = row.alias {
        text.push_str(&format!(" Also: {alias}."));
    }
    if let Effect::NoEffectHere(reason) = row.effect {
        text.push_str(&format!(" No effect here: {reason}."));
    }
    if let Effect::Refused(reason) = row.effect {
        text.push_str(&format!(" Refused: {reason}."));
    }
    wrap(out, "      ", &text);
}

/// Appends the words of the text in lines of at most `COLUMNS`, each behind the indent.
fn wrap(out: &mut String, indent: &str, text: &str) {
    let mut line = String::new();
    for word in text.split(' ') {
        if !line.is_empty() && indent.len() + line.len() + 1 + word.len() > COLUMNS {
            out.push_str(&format!("{indent}{line}\n"));
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    out.push_str(&format!("{indent}{line}\n"));
}

/// The reference page of all directives, in Markdown.
pub fn reference_page() -> String {
    let mut page = format!(
        "# Directives\n\nMade from the table in `crates/config`; do not edit. Each is an option of the command line \
         too (`--port 7000`).\nNames, ranges and defaults are those of Redis {REDIS_VERSION}.\n"
    );
    for &group in Group::ALL {
        // Writing to a String cannot fail.
        let _ = write!(page, "\n## {}\n\n", group.title());
        page.push_str("| directive | accepts | default | change | what it does |\n|---|---|---|---|---|\n");
        for row in DIRECTIVES.iter().filter(|row| row.group == group) {
            let alias = row.alias.map(|alias| format!(", `{alias}`")).unwrap_or_default();
            let default = if row.default.is_empty() { String::new() } else { format!("`{}`", row.default) };
            let effect = match row.effect {
                Effect::Effective(_) => String::new(),
                Effect::NoEffectHere(reason) => format!(" *No effect here: {reason}.*"),
                Effect::Refused(reason) => format!(" *Refused if it asks for something: {reason}.*"),
            };
            let _ = writeln!(
                page,
                "| `{}`{alias} | {} | {default} | {} | {}{effect} |",
                row.name,
                row.kind.describe().replace('|', "\\|"),
                change(row.access),
                row.doc
            );
        }
    }
    page
}

fn change(access: Rights) -> &'static str {
    match access.change {
        Change::Settable => "CONFIG SET",
        Change::Immutable => "at the start",
        Change::Protected => "protected",
        Change::FileOnly => "file only",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overview_fits_a_terminal_and_leads_with_our_own() {
        let text = help(None);
        assert!(text.lines().all(|line| line.len() <= COLUMNS), "{text}");
        let engine = text.find("--engine <mutex|dashmap|actor|lockfree>").unwrap();
        assert!(engine < text.find("--port <0..65535>").unwrap());
        assert!(text.contains("Default: thread-local."));
    }

    #[test]
    fn topics() {
        let all = help(Some("all"));
        for row in DIRECTIVES {
            assert!(all.contains(&format!("  --{} <", row.name)), "{}", row.name);
            assert!(help(Some(row.name)).contains(row.name));
        }
        assert!(all.lines().all(|line| line.len() <= COLUMNS || line.starts_with("RustRedis v=")));
        assert!(help(Some("tls")).contains("--tls-port"));
        assert!(!help(Some("tls")).contains("--hz"));
        assert!(help(Some("--slaveof")).starts_with("  --replicaof <host port>"));
        assert!(help(Some("nope")).starts_with("There is no directive or group called nope."));
    }

    #[test]
    fn the_page_has_a_line_per_directive() {
        let page = reference_page();
        for row in DIRECTIVES {
            assert_eq!(page.lines().filter(|line| line.starts_with(&format!("| `{}`", row.name))).count(), 1);
        }
    }
}
