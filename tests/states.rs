//! Every state of a server against every command and every background task: loading, saving, rewriting, paused, out of memory, a
//! disk that fails, replicas that are missing.
//!
//! Faults have come from pairs that nobody had thought of together: an eviction while files are loaded, a rewrite begun by a
//! client while the journal had no file. So the product is run and not a choice of it. A state is a way in, a way out and the rule
//! by which Redis refuses commands meanwhile ([`state`]); each command has an example ([`examples`]), and what happens by itself is
//! provoked by name ([`tasks`]). What must hold is the same for every pair:
//!
//! - a command is refused with Redis's error, or held back, exactly if Redis does so (the rule is checked against a real
//!   redis-server by the same test);
//! - the server lives, and answers when the state is over; nobody is forgotten who was held back;
//! - the data are those that `DEBUG LOADAOF` brings, and those of a start after a kill; a load that was disturbed brings all that was
//!   there before.
//!
//! Each state is entered for each way in which a command may come: alone, queued in a transaction, executed with a transaction that
//! was queued before the state began, and from a client that hangs up before the answer. Engines are run with one thread and two.

#[path = "states/ending.rs"]
mod ending;
#[path = "states/examples.rs"]
mod examples;
#[path = "states/state.rs"]
mod state;
#[path = "states/tasks.rs"]
mod tasks;

use std::time::{Duration, Instant};

use rustredis_testkit::contents::{Contents, Fields};
use rustredis_testkit::{
    Binary, Client, Command, DEADLINE_DEFAULT, Launch, Reply, Server, engines, wait_until,
};

use examples::{Example, Kind};
use state::{Form, NOT_QUEUED, PAUSE, State, is_at_rest, is_refusal};

/// Keys beside those of the examples, of a kilobyte each: a redis-server looks at its clients after each of them while it loads.
const LOADED_KEYS: usize = 800;
const LOADED_KEYS_OF_REDIS: usize = 8000;

/// On one thread little happens at the same time: of its examples one of so many is run, others in each state.
const SHORT_STEP: usize = 4;

/// Whether the whole product is run, as `cargo xtask states` does.
fn is_long() -> bool {
    std::env::var_os("RUSTREDIS_STATES").is_some_and(|form| form == "long")
}

/// A server, and what is known of it.
pub(crate) struct Stage {
    server: Server,
    admin: Client,
    state: State,
    examples: Vec<(Example, Vec<String>)>,
    /// One of so many examples is run.
    step: usize,
    /// What was not as it must be.
    faults: Vec<String>,
}

impl Stage {
    #[track_caller]
    fn new(binary: Binary, threads: &str, state: State) -> Self {
        let server = state.launch(Launch::new(binary), threads).start();
        let mut admin = server.client();
        let examples = examples::examples(&mut admin);
        examples::fill(&mut admin);
        let step = if threads == "1" && !server.is_redis() && !is_long() { SHORT_STEP } else { 1 };
        Self { server, admin, state, examples, step, faults: Vec::new() }
    }

    fn fault(&mut self, what: String) {
        self.faults.push(format!("{:?}: {what}", self.state));
    }

    /// The examples that may be run in the state: all of them, or some, see [`is_long`].
    fn usable(&self) -> Vec<(Example, Vec<String>)> {
        let usable = self.examples.iter().filter(|(example, _)| example.kind != Kind::Apart);
        usable.skip(self.state as usize % self.step).step_by(self.step).cloned().collect()
    }

    /// Examples that a transaction can hold.
    fn queueable(&self) -> Vec<(Example, Vec<String>)> {
        let may_be = |(example, flags): &(Example, Vec<String>)| {
            // Of what a subscriber is sent, no reply to EXEC can be told.
            let speaks = flags.iter().any(|flag| flag == "pubsub") && !example.name.ends_with("publish");
            !speaks
                && !NOT_QUEUED.contains(&&*example.name)
                && !["monitor", "client|reply"].contains(&&*example.name)
        };
        self.usable().into_iter().filter(may_be).collect()
    }

    /// Gives the examples something to find again, if the state lets writes through.
    #[track_caller]
    fn refill(&mut self) {
        if matches!(self.state, State::Calm | State::Saving | State::Rewriting | State::Evicting) {
            self.admin.check("FLUSHALL", "+OK");
            examples::fill(&mut self.admin);
        }
    }

    /// Whether this server refuses what Redis would let through while it loads: a command that needs the keys which are not there
    /// yet.
    fn needs_keys(&self, name: &str) -> bool {
        self.state.is_loading() && !self.server.is_redis() && ["debug", "watch"].contains(&name)
    }

    /// Compares an answer with what Redis says in this state.
    fn judge(&mut self, example: &Example, flags: &[String], form: Form, reply: &str) {
        if self.needs_keys(&example.name) {
            return;
        }
        let expected = self.state.refusal(&example.name, flags, form);
        let is_right = match (expected, form) {
            (Some(refusal), Form::Executed) => {
                let refusal = refusal.trim_start_matches('-');
                reply.starts_with(&format!("-EXECABORT Transaction discarded because of: {refusal}"))
            }
            (Some(refusal), _) => reply.starts_with(refusal),
            (None, Form::Queued) => reply == "+QUEUED",
            (None, Form::Executed) => reply.starts_with('[') && !is_refusal(&reply[1..]),
            (None, Form::Alone) => {
                !is_refusal(reply)
                    && (self.state != State::Calm || example.kind == Kind::Wrong || !reply.starts_with('-'))
            }
        };
        if !is_right {
            let shown: String = reply.chars().take(120).collect();
            self.fault(format!("{} ({form:?}): {shown}, expected {expected:?}", example.command));
        }
    }

    /// Runs each example by itself, and within a transaction.
    fn run_commands(&mut self) {
        let mut held = Vec::new();
        for (example, flags) in self.usable() {
            let mut client = self.server.client();
            if self.state.holds_back(&example.name, &flags) {
                self.hold(&mut client, &example, std::slice::from_ref(&example.command));
                held.push((example, client, 1));
                continue;
            }
            match client.try_call(&example.command.arguments) {
                Ok(reply) => self.judge(&example, &flags, Form::Alone, &reply.to_string()),
                Err(error) => self.fault(format!("{}: {error}", example.command)),
            }
        }
        self.refill();
        for (example, flags) in self.queueable() {
            let mut client = self.server.client();
            let commands = [Command::line("MULTI"), example.command.clone(), Command::line("EXEC")];
            if self.state.holds_back(&example.name, &flags) {
                self.hold(&mut client, &example, &commands);
                held.push((example, client, 3));
                continue;
            }
            match client.try_pipeline(&commands) {
                Ok(replies) => {
                    self.judge(&example, &flags, Form::Queued, &replies[1].to_string());
                    let is_queued = replies[1].to_string() == "+QUEUED";
                    let aborted = "-EXECABORT Transaction discarded because of previous errors.";
                    if !is_queued && replies[2].to_string() != aborted {
                        self.fault(format!("{}: EXEC: {}", example.command, replies[2]));
                    }
                }
                Err(error) => self.fault(format!("{} in MULTI: {error}", example.command)),
            }
        }
        self.answer_all(held);
    }

    /// Sends what the state holds back, and waits until the server says that it does.
    fn hold(&mut self, client: &mut Client, example: &Example, commands: &[Command]) {
        let mut bytes = Vec::new();
        commands.iter().for_each(|command| command.encode(&mut bytes));
        if self.state == State::Paused {
            // Nobody can be asked.
            client.send_raw(&bytes);
            return;
        }
        let address = client.local_address().to_string();
        client.send_raw(&bytes);
        if commands.len() > 1 {
            // What came before is answered before.
            assert_eq!(client.read(), Reply::ok(), "MULTI");
        }
        let mut early = None;
        wait_until("a client to be held back", DEADLINE_DEFAULT, || {
            let list = self.admin.line("CLIENT LIST").text();
            let line =
                list.lines().find(|line| line.contains(&format!(" addr={address} "))).unwrap_or_default();
            let is_held = line.split(' ').any(|field| field.starts_with("flags=") && field.contains('b'));
            early = if is_held { None } else { client.read_within(Duration::from_millis(1)) };
            is_held || early.is_some()
        });
        if let Some(reply) = early {
            self.fault(format!("{} was answered: {reply}", example.command));
        }
    }

    /// Ends a pause, and reads what must be answered then. What stands in `held` has so many replies to come.
    fn answer_all(&mut self, mut held: Vec<(Example, Client, usize)>) {
        if held.is_empty() {
            return;
        }
        // A client that hangs up while it is held back is nobody's burden.
        let leaving = held.len() / 2;
        for _ in 0..leaving {
            held.remove(0);
        }
        self.state.leave(&mut self.server, &mut self.admin);
        for (example, mut client, replies) in held {
            let is_multi = self.state == State::WritesPaused && replies == 3;
            let awaited = if is_multi { 2 } else { replies };
            for _ in 0..awaited {
                if let Err(error) = client.try_read() {
                    self.fault(format!("{} was held back and then not answered: {error}", example.command));
                    break;
                }
            }
        }
        self.state.enter(&mut self.server, &mut self.admin);
    }

    /// While everything is paused nobody is answered; then all are.
    fn run_paused(&mut self) {
        let usable = self.usable();
        let mut clients: Vec<Client> = usable.iter().map(|_| self.server.client()).collect();
        let mut is_checked = false;
        let mut pause = PAUSE;
        while !is_checked {
            // Until the look at all of them fits into the pause, however busy the machine is.
            let began = Instant::now();
            self.admin.check(&format!("CLIENT PAUSE {} ALL", pause.as_millis()), "+OK");
            for (client, (example, _)) in clients.iter_mut().zip(&usable) {
                client.send(&example.command.arguments);
            }
            let early: Vec<String> = clients
                .iter_mut()
                .zip(&usable)
                .step_by(8)
                .filter_map(|(client, (example, _))| {
                    client.read_within(Duration::from_millis(1)).map(|_| example.command.to_string())
                })
                .collect();
            is_checked = began.elapsed() < pause;
            if is_checked && !early.is_empty() {
                self.fault(format!("answered: {early:?}"));
            }
            if !is_checked {
                self.state.leave(&mut self.server, &mut self.admin);
                pause *= 2;
                clients = usable.iter().map(|_| self.server.client()).collect();
            }
        }
        for (index, (mut client, (example, _))) in clients.into_iter().zip(&usable).enumerate() {
            // Half of them leave while they are held back.
            if index % 8 != 0 && index % 2 == 0 {
                continue;
            }
            if index % 8 != 0 && client.try_read().is_err() {
                self.fault(format!("{} was not answered", example.command));
            }
        }
    }

    /// Transactions that hold each example, to be executed later.
    fn queue_all(&mut self) -> Vec<(Example, Vec<String>, Client)> {
        let mut queued = Vec::new();
        for (example, flags) in self.queueable() {
            let mut client = self.server.client();
            let replies = client.pipeline(&[Command::line("MULTI"), example.command.clone()]);
            // Some commands are not for transactions.
            if replies[1].to_string() == "+QUEUED" {
                queued.push((example, flags, client));
            }
        }
        queued
    }

    fn execute_all(&mut self, queued: Vec<(Example, Vec<String>, Client)>) {
        let mut held = Vec::new();
        for (example, flags, mut client) in queued {
            if self.state.holds_back(&example.name, &flags) {
                self.hold(&mut client, &example, &[Command::line("EXEC")]);
                held.push((example, client, 1));
                continue;
            }
            match client.try_call(&["EXEC"]) {
                Ok(reply) => self.judge(&example, &flags, Form::Executed, &reply.to_string()),
                Err(error) => self.fault(format!("{} (executed): {error}", example.command)),
            }
        }
        self.answer_all(held);
    }

    /// Each command from a client that does not wait for the answer.
    fn hang_up(&mut self) {
        for (example, _) in self.usable() {
            let mut client = self.server.client();
            client.send(&example.command.arguments);
        }
    }

    /// Waits until nobody else is connected.
    #[track_caller]
    fn wait_for_others(&mut self) {
        // Connections are accepted in order: all others were, when this one is answered.
        self.server.client().line("ECHO here");
        wait_until("all others to be gone", DEADLINE_DEFAULT, || {
            self.admin.line("INFO clients").text().contains("connected_clients:1\r")
        });
    }

    /// Waits until nobody else is connected and nothing is under way.
    #[track_caller]
    fn rest(&mut self) {
        self.wait_for_others();
        wait_until("background work to end", DEADLINE_DEFAULT, || is_at_rest(&mut self.admin));
    }

    #[track_caller]
    fn digest(&mut self) -> String {
        self.admin.line("DEBUG DIGEST").text()
    }

    /// What a digest is about, so that a difference can be told.
    #[track_caller]
    fn contents(&mut self) -> Contents {
        let fields = if self.server.is_redis() { Fields::WithoutTimes } else { Fields::WithTimes };
        Contents::read(&mut self.admin, fields)
    }

    /// The digest of what is there, and what it is about.
    #[track_caller]
    fn data(&mut self) -> (String, Contents) {
        (self.digest(), self.contents())
    }

    /// It is a fault if other data are there than before.
    #[track_caller]
    fn compare(&mut self, (digest, held): &(String, Contents), what: &str) {
        if self.digest() != *digest {
            let difference = held.difference(&self.contents());
            self.fault(format!("{what}: {difference:?}"));
        }
    }

    /// The data are those that the files have.
    #[track_caller]
    fn check_files(&mut self) {
        self.rest();
        assert!(self.admin.line("PING") == Reply::Simple("PONG".into()), "it does not answer");
        let live = self.data();
        let is_on = self.admin.line("CONFIG GET appendonly").to_string().contains("yes");
        if is_on && !self.server.is_redis() {
            self.admin.check("DEBUG LOADAOF", "+OK");
            self.compare(&live, "DEBUG LOADAOF brings other data");
        } else if !is_on {
            self.admin.check("SAVE", "+OK");
        }
        self.server.kill();
        self.server.restart();
        self.admin = self.server.client();
        self.compare(&live, "a restart brings other data");
    }

    #[track_caller]
    fn conclude(self) {
        assert!(self.faults.is_empty(), "{} faults:\n{}", self.faults.len(), self.faults.join("\n"));
    }
}

/// A state against every command.
#[track_caller]
fn check_commands(binary: Binary, threads: &str, state: State) {
    if binary.is_redis() && !state.is_known_to_redis() {
        return;
    }
    let mut stage = Stage::new(binary, threads, state);
    if state.is_loading() {
        check_loading(stage);
        return;
    }
    if state == State::Paused {
        stage.run_paused();
        stage.check_files();
        stage.conclude();
        return;
    }
    let queued = stage.queue_all();
    stage.state.enter(&mut stage.server, &mut stage.admin);
    stage.run_commands();
    stage.refill();
    stage.execute_all(queued);
    stage.refill();
    stage.hang_up();
    stage.state.leave(&mut stage.server, &mut stage.admin);
    stage.check_files();
    stage.conclude();
}

/// What is loaded is what was there, whatever clients do meanwhile.
#[track_caller]
fn check_loading(mut stage: Stage) {
    let keys = if stage.server.is_redis() { LOADED_KEYS_OF_REDIS } else { LOADED_KEYS };
    let value = "v".repeat(1100);
    let lines: Vec<Command> =
        (0..keys).map(|number| Command::new(&["SET", &format!("filler:{number}"), &value])).collect();
    assert!(stage.admin.pipeline(&lines).iter().all(|reply| *reply == Reply::ok()), "SET");
    let before = stage.data();
    stage.state.enter(&mut stage.server, &mut stage.admin);
    stage.run_commands();
    stage.hang_up();
    stage.wait_for_others();
    assert!(stage.admin.line("INFO persistence").text().contains("\nloading:1"), "it has loaded already");
    stage.state.leave(&mut stage.server, &mut stage.admin);
    stage.rest();
    stage.compare(&before, "other data were loaded");
    stage.check_files();
    stage.conclude();
}

/// Runs a check on an engine, if it is one of the chosen, with so many threads.
#[track_caller]
fn on_engine(engine: &str, threads: &str, check: impl Fn(Binary, &str)) {
    if engines().iter().any(|name| name == engine) {
        check(Binary::Rustredis(engine.to_owned()), threads);
    }
}

/// A module for each check, with a test for each engine and number of threads, and one for a real redis-server.
macro_rules! every_state {
    ($($module:ident: $check:expr;)+) => {$(
        mod $module {
            use super::*;

            #[test]
            fn mutex() {
                on_engine("mutex", "2", $check);
            }

            #[test]
            fn mutex_on_one_thread() {
                on_engine("mutex", "1", $check);
            }

            #[test]
            fn dashmap() {
                on_engine("dashmap", "2", $check);
            }

            #[test]
            fn dashmap_on_one_thread() {
                on_engine("dashmap", "1", $check);
            }

            #[test]
            fn actor() {
                on_engine("actor", "2", $check);
            }

            #[test]
            fn actor_on_one_thread() {
                on_engine("actor", "1", $check);
            }

            #[test]
            fn lockfree() {
                on_engine("lockfree", "2", $check);
            }

            #[test]
            fn lockfree_on_one_thread() {
                on_engine("lockfree", "1", $check);
            }

            #[test]
            fn redis() {
                ($check)(Binary::Redis, "1");
            }
        }
    )+};
}

/// A state against everything.
#[track_caller]
fn check(binary: Binary, threads: &str, state: State) {
    check_commands(binary.clone(), threads, state);
    tasks::check(binary, threads, state);
}

every_state! {
    calm: |binary, threads| check(binary, threads, State::Calm);
    loading_an_rdb_file: |binary, threads| check(binary, threads, State::LoadingRdb);
    loading_an_append_only_file: |binary, threads| check(binary, threads, State::LoadingAof);
    saving: |binary, threads| check(binary, threads, State::Saving);
    rewriting: |binary, threads| check(binary, threads, State::Rewriting);
    paused: |binary, threads| check(binary, threads, State::Paused);
    writes_paused: |binary, threads| check(binary, threads, State::WritesPaused);
    out_of_memory: |binary, threads| check(binary, threads, State::OutOfMemory);
    evicting: |binary, threads| check(binary, threads, State::Evicting);
    writes_fail: |binary, threads| check(binary, threads, State::WriteFails);
    a_save_failed: |binary, threads| check(binary, threads, State::SaveFailed);
    replicas_missing: |binary, threads| check(binary, threads, State::ReplicasMissing);
    crowded: |binary, threads| check(binary, threads, State::Crowded);
    shutting_down: |binary, threads| ending::check(binary, threads, ending::End::Command);
    ending_by_a_signal: |binary, threads| ending::check(binary, threads, ending::End::Signal);
}
