//! FUNCTION: which libraries of functions are loaded. They are data: saved, journalled, loaded again.

use rustredis_commands::{Args, Categories, Command, CommandError, Flags, Group, Outcome, Reach};
use rustredis_keyspace::View;
use rustredis_persistence::rdb::{self, RdbError};
use rustredis_resp::Reply;
use rustredis_resp::glob::{self, Case};
use rustredis_scripting::function::{Function, Libraries, Library, library_name};
use rustredis_scripting::machine::Machines;

use super::{Context, Family, script};
use crate::request::worker::Worker;
use crate::scripts::running::Kind;
use crate::scripts::{Scripts, loader};

/// The family.
pub const FAMILY: Family = Family {
    rows: ROWS,
    handlers: &[
        ("function|delete", delete),
        ("function|dump", dump),
        ("function|flush", flush),
        ("function|kill", kill),
        ("function|list", list),
        ("function|load", load),
        ("function|restore", restore),
        ("function|stats", stats),
    ],
};

const ROWS: &[Command] = &[Command::container("function", -2, SUBCOMMANDS).docs(
    Group::Scripting,
    "7.0.0",
    "Depends on subcommand.",
    "",
    "Looks after the functions that clients have loaded.",
)];

const WRITER: Flags = Flags::WRITE.with(Flags::NOSCRIPT);
const LOADER: Flags = WRITER.with(Flags::DENYOOM);
const ALL_SHARDS: &[&str] = &["request_policy:all_shards", "response_policy:all_succeeded"];

/// A subcommand that changes what is loaded: with everything held, so that libraries and journal have one order.
const fn writer(name: &'static str, arity: i32, flags: Flags) -> Command {
    Command::server(name, arity, flags).reach(Reach::All).acl(Categories::SCRIPTING).tips(ALL_SHARDS)
}

const SUBCOMMANDS: &[Command] = &[
    writer("delete", 3, WRITER).docs(Group::Scripting, "7.0.0", "O(1)", "library-name", "Deletes a library."),
    Command::server("dump", 2, Flags::NOSCRIPT).acl(Categories::SCRIPTING).docs(
        Group::Scripting,
        "7.0.0",
        "O(N) where N is the number of functions",
        "",
        "Answers all libraries in a form for FUNCTION RESTORE.",
    ),
    writer("flush", -2, WRITER).docs(
        Group::Scripting,
        "7.0.0",
        "O(N) where N is the number of functions deleted",
        "[ASYNC | SYNC]",
        "Deletes all libraries.",
    ),
    Command::server("kill", -2, Flags::NOSCRIPT.with(Flags::ALLOW_BUSY))
        .acl(Categories::SCRIPTING)
        .docs(
            Group::Scripting,
            "7.0.0",
            "O(1)",
            "[FORCE]",
            "Ends the function that is running; FORCE also one that has written, and what it wrote stays.",
        )
        .tips(&["request_policy:all_shards", "response_policy:one_succeeded"]),
    Command::server("list", -2, Flags::NOSCRIPT)
        .acl(Categories::SCRIPTING)
        .docs(
            Group::Scripting,
            "7.0.0",
            "O(N) where N is the number of functions",
            "[LIBRARYNAME library-name-pattern] [WITHCODE]",
            "Tells about the libraries.",
        )
        .tips(&["nondeterministic_output_order"]),
    writer("load", -3, LOADER).docs(
        Group::Scripting,
        "7.0.0",
        "O(1) (considering compilation time is redundant)",
        "[REPLACE] function-code",
        "Loads a library, and answers its name.",
    ),
    writer("restore", -3, LOADER).docs(
        Group::Scripting,
        "7.0.0",
        "O(N) where N is the number of functions on the payload",
        "serialized-value [FLUSH | APPEND | REPLACE]",
        "Loads the libraries that FUNCTION DUMP has answered.",
    ),
    Command::server("stats", 2, Flags::NOSCRIPT.with(Flags::ALLOW_BUSY))
        .acl(Categories::SCRIPTING)
        .docs(
            Group::Scripting,
            "7.0.0",
            "O(1)",
            "",
            "Tells which function is running, and what can run them.",
        )
        .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"]),
    Command::new("help", 2, Flags::LOADING.with(Flags::STALE), help).acl(Categories::SCRIPTING).docs(
        Group::Scripting,
        "7.0.0",
        "O(1)",
        "",
        "Shows the subcommands.",
    ),
];

/// The name of what runs functions.
const ENGINE: &str = "LUA";

fn delete(context: &mut Context<'_>, view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    if !context.server.scripts().libraries.delete(args.get(2)) {
        return Err(CommandError::text("ERR Library not found"));
    }
    view.add_dirty(1);
    reply.ok();
    Ok(())
}

fn dump(context: &mut Context<'_>, _: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let libraries = context.server.scripts().libraries.now();
    let payload = rdb::dump_functions(libraries.iter().map(|library| &*library.code));
    reply.bulk(&payload.map_err(|error| CommandError::owned(format!("ERR {error}")))?);
    Ok(())
}

fn flush(context: &mut Context<'_>, view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    match args.len() {
        2 => {}
        3 if args.is(2, "ASYNC") || args.is(2, "SYNC") => {}
        3 => return Err(CommandError::text("ERR FUNCTION FLUSH only supports SYNC|ASYNC option")),
        _ => return Err(super::wrong_subcommand(args, "FUNCTION")),
    }
    context.server.scripts().libraries.set(Libraries::default());
    view.add_dirty(1);
    reply.ok();
    Ok(())
}

fn kill(context: &mut Context<'_>, _: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    script::end_running(context, args, reply, Kind::Function, "function|kill")
}

fn list(context: &mut Context<'_>, _: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (mut has_code, mut pattern) = (false, None);
    let mut index = 2;
    while index < args.len() {
        if !has_code && args.is(index, "WITHCODE") {
            has_code = true;
        } else if pattern.is_none() && args.is(index, "LIBRARYNAME") {
            index += 1;
            let name = args.try_get(index);
            pattern = Some(name.ok_or(CommandError::text("ERR library name argument was not given"))?);
        } else {
            return Err(CommandError::quoting("ERR Unknown argument ", args.get(index), ""));
        }
        index += 1;
    }
    let libraries = context.server.scripts().libraries.now();
    let is_listed = |library: &&Library| {
        pattern.is_none_or(|pattern| glob::matches(pattern, &library.name, Case::Insensitive))
    };
    let listed: Vec<&Library> = libraries.iter().map(|library| &**library).filter(is_listed).collect();
    reply.array(listed.len());
    listed.into_iter().for_each(|library| tell(library, has_code, reply));
    Ok(())
}

fn tell(library: &Library, has_code: bool, reply: &mut Reply<'_>) {
    reply.map(if has_code { 4 } else { 3 });
    reply.text("library_name");
    reply.bulk(&library.name);
    reply.text("engine");
    reply.text(ENGINE);
    reply.text("functions");
    reply.array(library.functions.len());
    for Function { name, description, flags, .. } in &library.functions {
        reply.map(3);
        reply.text("name");
        reply.bulk(name);
        reply.text("description");
        match description {
            Some(description) => reply.bulk(description),
            None => reply.null(),
        }
        reply.text("flags");
        let flags: Vec<&str> = flags.names().collect();
        reply.set(flags.len());
        flags.into_iter().for_each(|flag| reply.simple(flag));
    }
    if has_code {
        reply.text("library_code");
        reply.bulk(&library.code);
    }
}

fn load(context: &mut Context<'_>, view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let mut replaces = false;
    for index in 2..args.len() - 1 {
        if !args.is(index, "REPLACE") {
            return Err(CommandError::quoting("ERR Unknown option given: ", args.get(index), ""));
        }
        replaces = true;
    }
    if args.len() < 3 {
        return Err(CommandError::text("ERR Function code is missing"));
    }
    let scripts = context.server.scripts();
    let code = args.get(args.len() - 1);
    let name = library_name(code).map_err(|error| CommandError::Other(error.into()))?;
    // That there is one is said before it is compiled.
    let check = scripts.libraries.now().check_name(&name, replaces);
    check.map_err(|error| CommandError::Other(error.into()))?;
    let library = read(context.worker, scripts, code)?;
    let name = library.name.clone();
    scripts.libraries.add(library, replaces).map_err(|error| CommandError::Other(error.into()))?;
    view.add_dirty(1);
    reply.bulk(&name);
    Ok(())
}

const BAD_PAYLOAD: &str = "ERR DUMP payload version or checksum are wrong";

/// What a library's text registers. There is no worker where a file is loaded.
fn read(worker: Option<&Worker>, scripts: &Scripts, code: &[u8]) -> Result<Library, CommandError> {
    let library = match worker {
        Some(worker) => loader::read(worker.scripts.machines(&scripts.limits), code),
        None => loader::read(&Machines::new(scripts.limits.clone()), code),
    };
    library.map_err(|error| CommandError::Other(error.into()))
}

/// What becomes of the libraries that are there when others are restored.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Policy {
    /// They stay; one of the same name is an error.
    Append,
    /// They stay, but those of the same name.
    Replace,
    /// They go.
    Flush,
}

fn restore(context: &mut Context<'_>, view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let policy = match args.len() {
        3 => Policy::Append,
        4 if args.is(3, "APPEND") => Policy::Append,
        4 if args.is(3, "REPLACE") => Policy::Replace,
        4 if args.is(3, "FLUSH") => Policy::Flush,
        4 => {
            return Err(CommandError::text(
                "ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.",
            ));
        }
        _ => return Err(super::wrong_subcommand(args, "FUNCTION")),
    };
    let scripts = context.server.scripts();
    let codes = rdb::restore_functions(args.get(2)).map_err(|error| {
        CommandError::text(match error {
            RdbError::Unsupported { .. } => "ERR given type is not a function",
            RdbError::WrongChecksum { .. } | RdbError::UnsupportedVersion { .. } => BAD_PAYLOAD,
            RdbError::UnexpectedEnd { offset: 0 } => BAD_PAYLOAD,
            _ => "ERR failed loading functions payload",
        })
    })?;
    let now = scripts.libraries.now();
    let mut libraries = if policy == Policy::Flush { Libraries::default() } else { (*now).clone() };
    for code in codes {
        let library = read(context.worker, scripts, &code)?;
        if policy != Policy::Replace && libraries.get(&library.name).is_some() {
            return Err(CommandError::quoting("ERR Library ", &library.name, " already exists"));
        }
        libraries = libraries.with(library, true).map_err(|error| CommandError::Other(error.into()))?;
    }
    scripts.libraries.set(libraries);
    view.add_dirty(1);
    reply.ok();
    Ok(())
}

fn stats(context: &mut Context<'_>, _: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let scripts = context.server.scripts();
    reply.map(2);
    reply.text("running_script");
    match scripts.running.function() {
        None => reply.null(),
        Some(function) => {
            reply.map(3);
            reply.text("name");
            reply.bulk(&function.name);
            reply.text("command");
            reply.array(function.command.len());
            function.command.iter().for_each(|word| reply.bulk(word));
            reply.text("duration_ms");
            reply.int(function.elapsed().as_millis() as i64);
        }
    }
    let libraries = scripts.libraries.now();
    reply.text("engines");
    reply.map(1);
    reply.text(ENGINE);
    reply.map(2);
    reply.text("libraries_count");
    reply.int(libraries.iter().count() as i64);
    reply.text("functions_count");
    reply.int(libraries.iter().map(|library| library.functions.len() as i64).sum());
    Ok(())
}

fn help(_: &mut View<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let lines = [
        "DELETE <library-name>",
        "    Delete a library.",
        "DUMP",
        "    Answer all libraries in a form for FUNCTION RESTORE.",
        "FLUSH [ASYNC|SYNC]",
        "    Delete all libraries.",
        "KILL [FORCE]",
        "    End the function that is running; FORCE also one that has written.",
        "LIST [LIBRARYNAME <pattern>] [WITHCODE]",
        "    Tell about the libraries.",
        "LOAD [REPLACE] <function-code>",
        "    Load a library.",
        "RESTORE <payload> [FLUSH|APPEND|REPLACE]",
        "    Load the libraries of a dump.",
        "STATS",
        "    Tell which function is running, and which engines can run them.",
    ];
    super::help(reply, "FUNCTION", &lines);
    Ok(())
}
