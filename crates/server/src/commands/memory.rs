//! MEMORY: what a key takes, what the server takes, and what is odd about it.

use std::fmt::Write;

use rustredis_commands::{Args, Command, CommandError, Flags, Group, KeyFlags, KeySpec, Outcome};
use rustredis_keyspace::View;
use rustredis_resp::Reply;

use super::{Context, Family};
use crate::request::conversation::Wait;
use crate::upkeep::allocator;
use crate::upkeep::memory_use::{MemoryUse, ratio};
use rustredis_metrics::for_people;

/// The family.
pub const FAMILY: Family = Family {
    rows: ROWS,
    handlers: &[
        ("memory|stats", stats),
        ("memory|doctor", doctor),
        ("memory|malloc-stats", malloc_stats),
        ("memory|purge", purge),
        ("memory|help", help),
    ],
};

const SPECIAL: &[&str] = &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"];
/// Bytes of a key's slot in its table.
const SLOT_BYTES: usize = 9;

const ROWS: &[Command] = &[Command::container("memory", -2, SUBCOMMANDS).docs(
    Group::Server,
    "4.0.0",
    "Depends on subcommand.",
    "",
    "Shows what the memory is used for.",
)];

const SUBCOMMANDS: &[Command] = &[
    Command::new("usage", -3, Flags::READONLY, usage).keys(&[KeySpec::one(KeyFlags::RO, 2)]).docs(
        Group::Server,
        "4.0.0",
        "O(1); O(N) where N is the number of elements for collections that are not stored compactly",
        "key [SAMPLES count]",
        "Tells how many bytes a key and its value take.",
    ),
    Command::server("stats", 2, Flags::NONE)
        .docs(Group::Server, "4.0.0", "O(1)", "", "Shows what the memory is used for, in numbers.")
        .tips(SPECIAL),
    Command::server("doctor", 2, Flags::NONE)
        .docs(Group::Server, "4.0.0", "O(1)", "", "Says in words what is odd about the use of memory.")
        .tips(SPECIAL),
    Command::server("malloc-stats", 2, Flags::NONE)
        .docs(
            Group::Server,
            "4.0.0",
            "Depends on how much memory is allocated, could be slow",
            "",
            "Shows the allocator's own statistics.",
        )
        .tips(SPECIAL),
    Command::server("purge", 2, Flags::NONE)
        .docs(
            Group::Server,
            "4.0.0",
            "Depends on how much memory is allocated, could be slow",
            "",
            "Asks the allocator to give free memory back to the system.",
        )
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    Command::server("help", 2, Flags::LOADING.with(Flags::STALE)).docs(
        Group::Server,
        "4.0.0",
        "O(1)",
        "",
        "Shows the subcommands.",
    ),
];

/// `SAMPLES` is accepted and makes no difference: the bytes are counted and not estimated.
fn usage(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let mut index = 3;
    while index < args.len() {
        if !args.is(index, "SAMPLES") || index + 1 == args.len() {
            return Err(CommandError::Syntax);
        }
        if args.int(index + 1)? < 0 {
            return Err(CommandError::Syntax);
        }
        index += 2;
    }
    match view.peek(args.key(2)) {
        Some(entry) => reply.count(entry.memory_bytes() + SLOT_BYTES),
        None => reply.null(),
    }
    Ok(())
}

fn stats(context: &mut Context<'_>, _: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let memory = MemoryUse::of(context.server.engine().store(), context.server.clients());
    let count = |reply: &mut Reply<'_>, name: &str, value: usize| {
        reply.text(name);
        reply.count(value);
    };
    reply.map(27 + memory.tables.len());
    count(reply, "peak.allocated", memory.peak);
    count(reply, "total.allocated", memory.used);
    count(reply, "startup.allocated", memory.startup);
    count(reply, "replication.backlog", 0);
    count(reply, "clients.slaves", memory.replicas);
    count(reply, "clients.normal", memory.clients);
    for name in ["cluster.links", "aof.buffer", "lua.caches", "functions.caches"] {
        count(reply, name, 0);
    }
    for tables in &memory.tables {
        reply.text(&format!("db.{}", tables.db));
        reply.map(2);
        count(reply, "overhead.hashtable.main", tables.main);
        count(reply, "overhead.hashtable.expires", tables.expires);
    }
    count(reply, "overhead.total", memory.overhead());
    count(reply, "keys.count", memory.keys);
    let added = memory.used.saturating_sub(memory.startup);
    count(reply, "keys.bytes-per-key", added.checked_div(memory.keys).unwrap_or(0));
    count(reply, "dataset.bytes", memory.dataset());
    reply.text("dataset.percentage");
    reply.double(memory.dataset_percent());
    reply.text("peak.percentage");
    reply.double(memory.peak_percent());
    count(reply, "allocator.allocated", memory.used);
    count(reply, "allocator.active", memory.committed);
    count(reply, "allocator.resident", memory.resident);
    let excesses = [
        ("allocator-fragmentation.ratio", "allocator-fragmentation.bytes", memory.committed, memory.used),
        ("allocator-rss.ratio", "allocator-rss.bytes", memory.resident, memory.committed),
        ("rss-overhead.ratio", "rss-overhead.bytes", memory.resident, memory.resident),
        ("fragmentation", "fragmentation.bytes", memory.resident, memory.used),
    ];
    for (ratio_name, bytes_name, more, less) in excesses {
        reply.text(ratio_name);
        reply.double(ratio(more, less));
        reply.text(bytes_name);
        reply.int(more as i64 - less as i64);
    }
    Ok(())
}

fn doctor(context: &mut Context<'_>, _: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let memory = MemoryUse::of(context.server.engine().store(), context.server.clients());
    let clients = context.server.clients().len();
    reply.verbatim("txt", &diagnosis(&memory, clients));
    Ok(())
}

/// Below this there is too little data for ratios to mean anything, in bytes.
const LITTLE_DATA: usize = 5 << 20;
/// Bytes that a client's buffers may take on average before they are remarkable.
const CLIENT_BYTES_USUAL: usize = 200 << 10;

/// What is odd about the use of memory.
fn diagnosis(memory: &MemoryUse, clients: usize) -> String {
    if memory.used.saturating_sub(memory.startup) < LITTLE_DATA {
        return "There is too little data here to say anything about it.\n".to_owned();
    }
    let mut text = String::new();
    let mut say = |remark: std::fmt::Arguments<'_>| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "* {remark}");
    };
    if memory.peak > memory.used + memory.used / 2 {
        say(format_args!(
            "Peak: {} were used once, {} are used now. The allocator may keep what was freed; MEMORY PURGE gives it back.",
            for_people(memory.peak),
            for_people(memory.used)
        ));
    }
    let fragmentation = ratio(memory.resident, memory.used);
    if fragmentation > 1.4 && memory.resident - memory.used > 10 << 20 {
        say(format_args!(
            "Fragmentation: the process takes {fragmentation:.2} times what it uses. Many values were freed or have changed their size."
        ));
    }
    if fragmentation < 0.9 {
        say(format_args!(
            "Swapping: only {} of {} are in memory. The machine has too little of it.",
            for_people(memory.resident),
            for_people(memory.used)
        ));
    }
    if clients > 0 && memory.clients / clients > CLIENT_BYTES_USUAL {
        say(format_args!(
            "Clients: their buffers take {} each. Large pipelines, large replies, or subscribers that do not read; see CLIENT LIST.",
            for_people(memory.clients / clients)
        ));
    }
    if text.is_empty() { "Nothing is odd about the use of memory.\n".to_owned() } else { text }
}

fn malloc_stats(_: &mut Context<'_>, _: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    reply.verbatim("txt", &allocator::allocator_report());
    Ok(())
}

fn purge(context: &mut Context<'_>, _: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let server = context.server;
    context.conversation()?.after.wait = Some(Wait::Purge(server.purges().ask()));
    reply.ok();
    Ok(())
}

fn help(_: &mut Context<'_>, _: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    super::help(
        reply,
        "MEMORY",
        &[
            "DOCTOR",
            "    Say in words what is odd about the use of memory.",
            "MALLOC-STATS",
            "    Show the allocator's own statistics.",
            "PURGE",
            "    Give free memory back to the system.",
            "STATS",
            "    Show what the memory is used for.",
            "USAGE <key> [SAMPLES <count>]",
            "    Tell how many bytes a key and its value take. SAMPLES makes no difference here.",
        ],
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(memory: MemoryUse, expected: &str) {
        let text = diagnosis(&memory, 1);
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn the_doctor_names_what_is_odd() {
        let mb = |count: usize| count << 20;
        let sound = MemoryUse {
            used: mb(100),
            peak: mb(110),
            resident: mb(110),
            startup: mb(1),
            ..MemoryUse::default()
        };
        check(MemoryUse { used: mb(1), ..MemoryUse::default() }, "too little data");
        check(sound.clone(), "Nothing is odd");
        check(MemoryUse { peak: mb(200), ..sound.clone() }, "* Peak");
        check(MemoryUse { resident: mb(200), ..sound.clone() }, "2.00 times");
        check(MemoryUse { resident: mb(50), ..sound.clone() }, "* Swapping");
        check(MemoryUse { clients: mb(1), ..sound }, "1.00M each");
    }
}
