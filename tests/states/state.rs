//! The states that a server can be in, how it gets there and out again, and which commands Redis lets through meanwhile.

use std::time::{Duration, Instant};

use rustredis_testkit::{Client, DEADLINE_DEFAULT, Launch, Server, wait_until};

/// A state of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// None in particular: the examples are right.
    Calm,
    /// An RDB file is being loaded.
    LoadingRdb,
    /// An append-only file is being loaded.
    LoadingAof,
    /// BGSAVE is under way.
    Saving,
    /// BGREWRITEAOF is under way.
    Rewriting,
    /// CLIENT PAUSE.
    Paused,
    /// CLIENT PAUSE WRITE.
    WritesPaused,
    /// Over `maxmemory`, with nothing to evict.
    OutOfMemory,
    /// Over `maxmemory` again and again, and keys are evicted.
    Evicting,
    /// The append-only file takes no writes.
    WriteFails,
    /// The last save failed.
    SaveFailed,
    /// Replicas are asked for, and there are none.
    ReplicasMissing,
    /// Out of memory, after a failed save, and without replicas.
    Crowded,
}

/// A delay that no test lives to see the end of, in microseconds.
pub(crate) const FOR_EVER_USEC: &str = "2000000000";
/// How long everything is paused: long enough to look at what is held.
pub(crate) const PAUSE: Duration = Duration::from_millis(300);
/// What fills the memory that is to be evicted.
const FILLER_KEYS: usize = 2000;
const FILLER_BYTES: usize = 10_000;

/// What Redis says.
const LOADING: &str = "-LOADING Redis is loading the dataset in memory";
const OUT_OF_MEMORY: &str = "-OOM command not allowed when used memory > 'maxmemory'.";
const REPLICAS_MISSING: &str = "-NOREPLICAS Not enough good replicas to write.";
const DISK_ERROR: &str = "-MISCONF ";

/// Whether a reply says that the state does not allow the command.
pub(crate) fn is_refusal(reply: &str) -> bool {
    [LOADING, OUT_OF_MEMORY, REPLICAS_MISSING, DISK_ERROR].iter().any(|refusal| reply.starts_with(refusal))
}

/// What does not depend on the state but is refused in a transaction, or ends it.
pub(crate) const NOT_QUEUED: [&str; 6] = ["exec", "discard", "multi", "watch", "quit", "reset"];

/// How a command comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// By itself.
    Alone,
    /// To be queued in a transaction.
    Queued,
    /// With the EXEC of a transaction that was queued before.
    Executed,
}

impl State {
    /// Whether files are loaded in it.
    pub(crate) fn is_loading(self) -> bool {
        matches!(self, Self::LoadingRdb | Self::LoadingAof)
    }

    /// Whether it is held by a save that does not end, so that a save in the foreground would not end either.
    pub(crate) fn holds_saves(self) -> bool {
        matches!(self, Self::Saving | Self::Rewriting)
    }

    /// Whether the server appends to a file.
    pub(crate) fn has_aof(self) -> bool {
        self != Self::LoadingRdb
    }

    /// Whether a redis-server gets there.
    pub(crate) fn is_known_to_redis(self) -> bool {
        // It has no disk that fails when told to.
        self != Self::WriteFails
    }

    /// Whether the state holds the command back instead of answering.
    pub(crate) fn holds_back(self, name: &str, flags: &[String]) -> bool {
        let reaches_replicas = || {
            let names = ["publish", "spublish", "pfcount"];
            flags.iter().any(|flag| flag == "write") || names.contains(&name)
        };
        match self {
            Self::Paused => true,
            Self::WritesPaused => reaches_replicas(),
            _ => false,
        }
    }

    /// With what the reply begins if Redis refuses a command with these flags in this state: the rules of its `processCommand`, in
    /// their order.
    pub(crate) fn refusal(self, name: &str, flags: &[String], form: Form) -> Option<&'static str> {
        let has = |flag: &str| flags.iter().any(|given| given == flag);
        let fills_memory =
            has("denyoom") || form == Form::Queued && !["exec", "discard", "quit", "reset"].contains(&name);
        let is_out_of_memory = fills_memory && matches!(self, Self::OutOfMemory | Self::Crowded);
        let needs_disk = has("write") || name == "ping" && form != Form::Executed;
        let has_no_disk = needs_disk && matches!(self, Self::WriteFails | Self::SaveFailed | Self::Crowded);
        let has_no_replicas = has("write") && matches!(self, Self::ReplicasMissing | Self::Crowded);
        let is_loading = !has("loading") && self.is_loading();
        let refusals = [
            (is_out_of_memory, OUT_OF_MEMORY),
            (has_no_disk, DISK_ERROR),
            (has_no_replicas, REPLICAS_MISSING),
            (is_loading, LOADING),
        ];
        refusals.iter().find(|(is_so, _)| *is_so).map(|(_, text)| *text)
    }

    /// Options of a server that will be in this state, with so many threads.
    pub(crate) fn launch(self, launch: Launch, threads: &str) -> Launch {
        let aof = if self.has_aof() { "yes" } else { "no" };
        // With always nobody is answered who would be shown what the disk does not take.
        let fsync = if threads == "1" && self != Self::WriteFails { "always" } else { "everysec" };
        launch.arguments(&["--threads", threads, "--appendonly", aof, "--appendfsync", fsync]).arguments(&[
            "--enable-debug-command",
            "yes",
            // What is rewritten is held by a delay of keys, so that nothing is rewritten by itself.
            "--auto-aof-rewrite-percentage",
            "0",
            // A redis-server looks at its clients after so many bytes.
            "--loading-process-events-interval-bytes",
            "1024",
            "--rdbcompression",
            "no",
            "--enable-protected-configs",
            "yes",
        ])
    }

    /// Brings the server there. A state of loading begins with a restart, after which `admin` is another connection.
    #[track_caller]
    pub(crate) fn enter(self, server: &mut Server, admin: &mut Client) {
        match self {
            Self::Calm => {}
            Self::LoadingRdb | Self::LoadingAof => load_slowly(self, server, admin),
            Self::Saving => hold_saves(server, admin, "BGSAVE", "rdb_bgsave_in_progress"),
            Self::Rewriting => hold_saves(server, admin, "BGREWRITEAOF", "aof_rewrite_in_progress"),
            Self::Paused => admin.check(&format!("CLIENT PAUSE {} ALL", PAUSE.as_millis()), "+OK"),
            Self::WritesPaused => admin.check("CLIENT PAUSE 100000000 WRITE", "+OK"),
            Self::OutOfMemory => admin.check("CONFIG SET maxmemory 1", "+OK"),
            Self::Evicting => {
                let value = "v".repeat(FILLER_BYTES);
                for number in 0..FILLER_KEYS {
                    admin.check(&format!("SET filling:{number} {value}"), "+OK");
                }
                let used: u64 = server.info("used_memory").expect("used_memory").parse().expect("bytes");
                let limit = used - 1_000_000;
                admin.check(&format!("CONFIG SET maxmemory-policy allkeys-random maxmemory {limit}"), "+OK");
            }
            Self::WriteFails => {
                admin.check("DEBUG STORAGE WRITE every fail ENOSPC", "+OK");
                // Something that was done before may meet the error first.
                admin.line("SET unwritten 1");
                wait_until("writes to be refused", DEADLINE_DEFAULT, || admin.line("PING").is_error());
            }
            Self::SaveFailed => fail_a_save(server, admin),
            Self::ReplicasMissing => admin.check("CONFIG SET min-replicas-to-write 1", "+OK"),
            Self::Crowded => {
                fail_a_save(server, admin);
                admin.check("CONFIG SET min-replicas-to-write 1 maxmemory 1", "+OK");
            }
        }
    }

    /// Brings the server out of it again.
    #[track_caller]
    pub(crate) fn leave(self, server: &mut Server, admin: &mut Client) {
        match self {
            Self::Calm => {}
            Self::LoadingRdb | Self::LoadingAof => {
                admin.check("CONFIG SET key-load-delay 0", "+OK");
                server.wait_for_log("Ready to accept connections");
            }
            Self::Saving | Self::Rewriting => {
                admin.check("CONFIG SET rdb-key-save-delay 0", "+OK");
                if server.is_redis() {
                    // The child has the delay that there was.
                    let children =
                        std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", server.pid()));
                    let children = children.unwrap_or_default();
                    for child in children.split_ascii_whitespace().filter_map(|child| child.parse().ok()) {
                        rustredis_testkit::process::kill(child);
                    }
                }
            }
            Self::Paused => {
                let paused = Instant::now();
                admin.check("PING", "+PONG");
                assert!(paused.elapsed() < DEADLINE_DEFAULT, "the pause did not end");
            }
            Self::WritesPaused => admin.check("CLIENT UNPAUSE", "+OK"),
            Self::OutOfMemory | Self::Evicting => {
                admin.check("CONFIG SET maxmemory 0 maxmemory-policy noeviction", "+OK");
            }
            Self::WriteFails => {
                admin.check("DEBUG STORAGE RESET", "+OK");
                wait_until("writes to be taken", DEADLINE_DEFAULT, || !admin.line("PING").is_error());
            }
            Self::SaveFailed | Self::Crowded => {
                admin.check("CONFIG SET dbfilename dump.rdb min-replicas-to-write 0 maxmemory 0", "+OK");
                wait_until("a save", DEADLINE_DEFAULT, || {
                    admin.line("BGSAVE");
                    !admin.line("PING").is_error()
                });
            }
            Self::ReplicasMissing => admin.check("CONFIG SET min-replicas-to-write 0", "+OK"),
        }
        wait_until("background work to end", DEADLINE_DEFAULT, || is_at_rest(admin));
    }
}

/// Whether nothing is saved or rewritten.
pub(crate) fn is_at_rest(admin: &mut Client) -> bool {
    let info = admin.line("INFO persistence").text();
    ["rdb_bgsave_in_progress:1", "aof_rewrite_in_progress:1", "aof_rewrite_scheduled:1"]
        .iter()
        .all(|field| !info.contains(field))
}

/// Kills the server and starts it again so that it loads a key in a long time.
#[track_caller]
fn load_slowly(state: State, server: &mut Server, admin: &mut Client) {
    if !state.has_aof() {
        admin.check("SAVE", "+OK");
    } else if server.is_redis() {
        // Of an RDB file it looks after each key, of commands after each thousand.
        admin.check("BGREWRITEAOF", "+Background append only file rewriting started");
        wait_until("the rewrite to end", DEADLINE_DEFAULT, || is_at_rest(admin));
    }
    // A redis-server looks at its clients between two keys only.
    let delay = if server.is_redis() { "1000" } else { FOR_EVER_USEC };
    let launch = server.launch().clone();
    server.set_launch(launch.clone().arguments(&["--key-load-delay", delay]));
    // What was acknowledged with everysec may still be on its way to the file, and is lost with the process.
    crate::files::sync(server);
    server.kill();
    server.restart_loading();
    server.set_launch(launch);
    *admin = server.client();
    assert!(admin.line("INFO persistence").text().contains("\nloading:1"), "it does not load slowly");
}

#[track_caller]
fn hold_saves(server: &Server, admin: &mut Client, command: &str, field: &str) {
    admin.check(&format!("CONFIG SET rdb-key-save-delay {FOR_EVER_USEC}"), "+OK");
    let reply = admin.line(command);
    assert!(!reply.is_error(), "{command}: {reply}");
    wait_until("the save to begin", DEADLINE_DEFAULT, || server.info(field).as_deref() == Some("1"));
    // The delay is for what has begun.
    if server.is_redis() {
        admin.check("CONFIG SET rdb-key-save-delay 0", "+OK");
    }
}

/// Lets a save fail: its file cannot take the place of a directory.
#[track_caller]
fn fail_a_save(server: &Server, admin: &mut Client) {
    std::fs::create_dir_all(server.directory().join("occupied.rdb")).expect("a directory");
    // Without save points a failed save is nobody's concern.
    admin.check("CONFIG SET save \"100000 100000000\" dbfilename occupied.rdb", "+OK");
    admin.line("BGSAVE");
    wait_until("writes to be refused", DEADLINE_DEFAULT, || admin.line("PING").is_error());
}
