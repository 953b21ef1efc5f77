//! What a server says of itself, and how two of them differ.

use std::collections::{BTreeMap, BTreeSet};

use rustredis_testkit::{Client, Reply, Server};

/// What is compared of a command, in the order of the page.
const COLUMNS: [&str; 5] = ["arity", "flags", "range", "categories", "keys"];

/// What a server says of itself.
pub(super) struct Facts {
    /// By full name (`config|get`), a value for each of [`COLUMNS`].
    commands: BTreeMap<String, [String; 5]>,
    /// Since which version, and what it does.
    docs: BTreeMap<String, (String, String)>,
    /// Names of fields; of families the prefix.
    info: BTreeSet<String>,
    directives: BTreeMap<String, String>,
}

/// Something that is not the same in both.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Difference {
    /// `command`, `info` or `directive`.
    pub(super) kind: &'static str,
    pub(super) name: String,
    /// `missing`, `newer`, a column or `default`.
    pub(super) what: &'static str,
    pub(super) ours: String,
    pub(super) theirs: String,
}

impl Facts {
    pub(super) fn of(server: &Server) -> Result<Self, String> {
        let mut client = server.client();
        let mut commands = BTreeMap::new();
        for row in client.line("COMMAND").elements() {
            read_command(&row, &mut commands);
        }
        let mut docs = BTreeMap::new();
        read_docs("", &client.line("COMMAND DOCS"), &mut docs);
        let directives = client.line("CONFIG GET *").elements();
        let directives = directives.chunks_exact(2).map(|pair| (pair[0].text(), pair[1].text())).collect();
        Ok(Self { commands, docs, info: read_info(&mut client), directives })
    }

    /// Since which version a command is there, and what it does.
    pub(super) fn docs(&self, name: &str) -> (&str, &str) {
        self.docs.get(name).map_or(("", ""), |(since, summary)| (since, summary))
    }
}

fn read_command(row: &Reply, commands: &mut BTreeMap<String, [String; 5]>) {
    let cells = row.elements();
    let set = |index: usize| {
        let names: BTreeSet<String> = cells[index].elements().iter().map(Reply::text).collect();
        names.into_iter().collect::<Vec<_>>().join(" ")
    };
    let range = [3, 4, 5].map(|index| cells[index].integer().to_string()).join(" ");
    let keys = cells[8].elements().iter().map(key_specification).collect::<Vec<_>>().join("; ");
    let facts = [cells[1].integer().to_string(), set(2), range, set(6), keys];
    commands.insert(cells[0].text().to_lowercase(), facts);
    cells[9].elements().iter().for_each(|row| read_command(row, commands));
}

/// A specification as one text, without the notes for readers.
fn key_specification(specification: &Reply) -> String {
    let cells = specification.elements();
    let mut parts: Vec<String> =
        cells.chunks_exact(2).filter(|pair| pair[0].text() != "notes").map(|pair| flat(&pair[1])).collect();
    parts.retain(|part| !part.is_empty());
    parts.join(" / ")
}

fn flat(reply: &Reply) -> String {
    match reply {
        Reply::Array(elements) | Reply::Set(elements) => {
            elements.iter().map(flat).filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ")
        }
        Reply::Integer(number) => number.to_string(),
        other => other.text(),
    }
}

fn read_docs(container: &str, reply: &Reply, docs: &mut BTreeMap<String, (String, String)>) {
    for pair in reply.elements().chunks_exact(2) {
        let name = pair[0].text().to_lowercase();
        let name =
            if container.is_empty() || name.contains('|') { name } else { format!("{container}|{name}") };
        let fields = pair[1].elements();
        let field = |wanted: &str| {
            fields.chunks_exact(2).find(|field| field[0].text() == wanted).map(|field| field[1].clone())
        };
        let text = |wanted: &str| field(wanted).map_or_else(String::new, |value| value.text());
        docs.insert(name.clone(), (text("since"), text("summary")));
        if let Some(subcommands) = field("subcommands") {
            read_docs(&name, &subcommands, docs);
        }
    }
}

/// The names of all fields that are there in any case; of families of things there is nothing in a fresh server.
fn read_info(client: &mut Client) -> BTreeSet<String> {
    const FAMILIES: [&str; 4] = ["cmdstat_", "latency_percentiles_usec_", "errorstat_", "db"];
    client.line("SET compat-diff 1");
    let text = client.line("INFO everything").text();
    let names = text.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name);
    let family =
        |name: &str| FAMILIES.iter().find(|prefix| name.starts_with(**prefix) && name.len() > prefix.len());
    names
        .map(|name| match family(name) {
            Some(prefix) if *prefix != "db" || name[2..].bytes().all(|byte| byte.is_ascii_digit()) => {
                format!("{prefix}*")
            }
            _ => name.to_owned(),
        })
        .collect()
}

impl Difference {
    pub(super) fn all(ours: &Facts, theirs: &Facts) -> Vec<Self> {
        let mut all = Vec::new();
        let mut add = |kind, name: &str, what, ours: &str, theirs: &str| {
            let (ours, theirs) = (ours.to_owned(), theirs.to_owned());
            all.push(Self { kind, name: name.to_owned(), what, ours, theirs });
        };
        for (name, cells) in &ours.commands {
            let Some(others) = theirs.commands.get(name) else {
                add("command", name, "newer", "", "");
                continue;
            };
            for ((column, cell), other) in COLUMNS.into_iter().zip(cells).zip(others) {
                if cell != other {
                    add("command", name, column, cell, other);
                }
            }
        }
        let missing = |name: &&String| !ours.commands.contains_key(*name);
        theirs.commands.keys().filter(missing).for_each(|name| add("command", name, "missing", "", ""));
        theirs.info.difference(&ours.info).for_each(|name| add("info", name, "missing", "", ""));
        ours.info.difference(&theirs.info).for_each(|name| add("info", name, "newer", "", ""));
        for (name, value) in &ours.directives {
            match theirs.directives.get(name) {
                None => add("directive", name, "newer", value, ""),
                Some(other) if value != other && !OWN_OF_A_TEST.contains(&name.as_str()) => {
                    add("directive", name, "default", value, other);
                }
                Some(_) => {}
            }
        }
        let missing = |name: &&String| !ours.directives.contains_key(*name);
        theirs.directives.keys().filter(missing).for_each(|name| add("directive", name, "missing", "", ""));
        all.sort();
        all
    }
}

/// Directives that the test kit sets, or whose value is the machine's.
const OWN_OF_A_TEST: [&str; 5] = ["dir", "port", "pidfile", "logfile", "bind"];
