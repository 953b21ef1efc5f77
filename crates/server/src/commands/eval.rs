//! EVAL, FCALL and their kin: the rows. They run in `crate::request::script`, which waits and is resumed as no function can be.

use rustredis_commands::{
    Args, Categories, Command, CommandError, Flags, Group, KeyFlags, KeySpec, Outcome, Reach, Rules,
};
use rustredis_keyspace::View;
use rustredis_resp::Reply;

use super::{Context, Family};

/// The family.
pub const FAMILY: Family = Family {
    rows: ROWS,
    handlers: &[
        ("eval", nowhere),
        ("evalsha", nowhere),
        ("eval_ro", nowhere),
        ("evalsha_ro", nowhere),
        ("fcall", nowhere),
        ("fcall_ro", nowhere),
    ],
};

const RUNNER: Flags = Flags::NOSCRIPT
    .with(Flags::STALE)
    .with(Flags::SKIP_MONITOR)
    .with(Flags::NO_MANDATORY_KEYS)
    .with(Flags::MOVABLEKEYS);
const READER: Flags = RUNNER.with(Flags::READONLY);
const CHANGES: KeyFlags = KeyFlags::RW.with(KeyFlags::ACCESS).with(KeyFlags::UPDATE);
const READS: KeyFlags = KeyFlags::RO.with(KeyFlags::ACCESS);
const NOTES: &str = "Nothing is known of what becomes of the keys, so the worst is said";

/// What all of them are. What a script reaches is its proof's to say; where that is not asked, it is everything.
const fn runner(name: &'static str, flags: Flags, rules: Rules) -> Command {
    Command::server(name, -3, flags)
        .rules(Rules::RUNS_SCRIPT.with(rules))
        .acl(Categories::SCRIPTING)
        .reach(Reach::All)
}

const SCRIPT: &str = "script numkeys [key [key ...]] [arg [arg ...]]";
const SHA: &str = "sha1 numkeys [key [key ...]] [arg [arg ...]]";
const FUNCTION: &str = "function numkeys [key [key ...]] [arg [arg ...]]";
const SCRIPT_COST: &str = "Depends on the script that is executed.";
const FUNCTION_COST: &str = "Depends on the function that is executed.";

const ROWS: &[Command] =
    &[
        runner("eval", RUNNER, Rules::NONE).keys(&[KeySpec::counted(CHANGES, 2).notes(NOTES)]).docs(
            Group::Scripting,
            "2.6.0",
            SCRIPT_COST,
            SCRIPT,
            "Runs a Lua script.",
        ),
        runner("evalsha", RUNNER, Rules::NAMES_SCRIPT).keys(&[KeySpec::counted(CHANGES, 2)]).docs(
            Group::Scripting,
            "2.6.0",
            SCRIPT_COST,
            SHA,
            "Runs a Lua script that is known, by its SHA-1.",
        ),
        runner("eval_ro", READER, Rules::NONE).keys(&[KeySpec::counted(READS, 2).notes(NOTES)]).docs(
            Group::Scripting,
            "7.0.0",
            SCRIPT_COST,
            SCRIPT,
            "Runs a Lua script that may not write.",
        ),
        runner("evalsha_ro", READER, Rules::NAMES_SCRIPT).keys(&[KeySpec::counted(READS, 2)]).docs(
            Group::Scripting,
            "7.0.0",
            SCRIPT_COST,
            SHA,
            "Runs a Lua script that is known and may not write, by its SHA-1.",
        ),
        runner("fcall", RUNNER, Rules::NAMES_FUNCTION)
            .keys(&[KeySpec::counted(CHANGES, 2).notes(NOTES)])
            .docs(Group::Scripting, "7.0.0", FUNCTION_COST, FUNCTION, "Calls a function."),
        runner("fcall_ro", READER, Rules::NAMES_FUNCTION)
            .keys(&[KeySpec::counted(READS, 2).notes(NOTES)])
            .docs(Group::Scripting, "7.0.0", FUNCTION_COST, FUNCTION, "Calls a function that may not write."),
    ];

/// A script where there is no connection to wait in it.
fn nowhere(_: &mut Context<'_>, _: &mut View<'_>, _: Args<'_>, _: &mut Reply<'_>) -> Outcome {
    Err(CommandError::text("ERR This command needs a connection of its own"))
}
