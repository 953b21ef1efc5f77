//! What is told of scripts and functions.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use rustredis_metrics::SampleValue;
use rustredis_metrics::rows::{Row, absent, counter, fact, gauge};

use super::Scripts;
use super::known::Size;

const HELP_PEOPLE: &str = "The same for people.";

/// Scripts and functions at a moment.
pub struct ScriptsNow {
    known: Size,
    state_bytes: u64,
    libraries: u64,
    functions: u64,
    function_bytes: u64,
    running: (usize, Duration),
    ran_with_keys: u64,
    ran_with_everything: u64,
    restarted: u64,
    undeclared_late: u64,
    killed: u64,
    proven: u64,
}

impl ScriptsNow {
    /// Looks. O(scripts).
    pub fn of(scripts: &Scripts) -> Self {
        let libraries = scripts.libraries.now();
        let counts = &scripts.counts;
        Self {
            known: scripts.known.size(),
            state_bytes: counts.state_bytes.load(Relaxed) as u64,
            libraries: libraries.iter().count() as u64,
            functions: libraries.iter().map(|library| library.functions.len() as u64).sum(),
            function_bytes: libraries.iter().map(|library| library.code.len() as u64).sum(),
            running: scripts.running.state(),
            ran_with_keys: counts.ran_with_keys.load(Relaxed),
            ran_with_everything: counts.ran_with_everything.load(Relaxed),
            restarted: counts.restarted.load(Relaxed),
            undeclared_late: counts.undeclared_late.load(Relaxed),
            killed: counts.killed.load(Relaxed),
            proven: scripts.known.all().iter().filter(|entry| entry.script.proof().is_ok()).count() as u64,
        }
    }

    fn script_bytes(&self) -> u64 {
        self.known.bytes as u64 + self.function_bytes
    }

    /// What is told.
    pub const SAMPLES: &'static [Row<Self>] = &[
        gauge("used_memory_lua", "Bytes of the interpreters, by its name in Redis 6.", |now| {
            now.state_bytes.into()
        }),
        fact("used_memory_lua_human", HELP_PEOPLE, |now| SampleValue::ForPeople(now.state_bytes as usize)),
        gauge("used_memory_vm_eval", "Bytes of the interpreters, which run scripts and functions.", |now| {
            now.state_bytes.into()
        }),
        gauge("used_memory_scripts_eval", "About the bytes of the scripts that are known.", |now| {
            (now.known.bytes as u64).into()
        }),
        gauge("number_of_cached_scripts", "Scripts that are known.", |now| (now.known.scripts as u64).into()),
        gauge("number_of_functions", "Functions that are loaded.", |now| now.functions.into()),
        gauge("number_of_libraries", "Libraries that are loaded.", |now| now.libraries.into()),
        absent(
            "used_memory_vm_functions",
            "Bytes of interpreters for functions alone: there are none, those for scripts run them.",
        ),
        gauge("used_memory_vm_total", "Bytes of the interpreters.", |now| now.state_bytes.into()),
        fact("used_memory_vm_total_human", HELP_PEOPLE, |now| {
            SampleValue::ForPeople(now.state_bytes as usize)
        }),
        gauge("used_memory_functions", "Bytes of the libraries' texts.", |now| now.function_bytes.into()),
        gauge("used_memory_scripts", "About the bytes of scripts and functions.", |now| {
            now.script_bytes().into()
        }),
        fact("used_memory_scripts_human", HELP_PEOPLE, |now| {
            SampleValue::ForPeople(now.script_bytes() as usize)
        }),
        counter("evicted_scripts", "Scripts of EVAL that were forgotten for others.", |now| {
            now.known.evicted.into()
        }),
        gauge("scripts_proven", "Scripts that are proven to touch their keys alone.", |now| {
            now.proven.into()
        }),
        gauge("scripts_running", "Scripts that run and have had a turn of a millisecond.", |now| {
            (now.running.0 as u64).into()
        }),
        gauge("scripts_longest_ms", "How long the oldest of them has run, milliseconds.", |now| {
            (now.running.1.as_millis() as u64).into()
        }),
        counter("scripts_ran_with_keys", "Runs that held the shards of their keys alone.", |now| {
            now.ran_with_keys.into()
        }),
        counter("scripts_ran_with_everything", "Runs that held everything.", |now| {
            now.ran_with_everything.into()
        }),
        counter(
            "scripts_restarted",
            "Runs that began anew with everything, for they called for a key that they were not given.",
            |now| now.restarted.into(),
        ),
        counter(
            "scripts_undeclared_late",
            "Calls that were refused, for they were for such a key behind a write: a proof was wrong.",
            |now| now.undeclared_late.into(),
        ),
        counter(
            "scripts_killed",
            "Runs that SCRIPT KILL, FUNCTION KILL or the server's end has ended.",
            |now| now.killed.into(),
        ),
    ];
}
