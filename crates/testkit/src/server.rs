//! A running server, its log, and its end.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use crate::launch::{log_length, read_log};
use crate::wait::{POLL_INTERVAL, wait_until};
use crate::{Binary, Client, Directory, Exited, Launch, Replay, process, replay};

/// How long a server may take to end after SIGTERM before it is killed.
const STOP_DEADLINE: Duration = Duration::from_secs(10);

/// A server that runs until it is dropped. Dropping it fails the test if its log shows a panic, or if it died before.
#[derive(Debug)]
pub struct Server {
    child: Child,
    directory: Directory,
    address: SocketAddr,
    unix_socket: Option<PathBuf>,
    launch: Launch,
    is_stopped: bool,
    /// Where the log of the present process begins, in bytes.
    log_start: u64,
    is_judged: bool,
}

impl Server {
    /// RustRedis with this engine.
    #[track_caller]
    pub fn rustredis(engine: &str) -> Self {
        Launch::new(Binary::Rustredis(engine.to_owned())).start()
    }

    /// Debian's redis-server.
    #[track_caller]
    pub fn redis() -> Self {
        Launch::new(Binary::Redis).start()
    }

    pub(crate) fn adopt(
        child: Child,
        directory: Directory,
        address: SocketAddr,
        unix_socket: Option<PathBuf>,
        launch: Launch,
    ) -> Self {
        let (is_stopped, is_judged, log_start) = (false, false, 0);
        Self { child, directory, address, unix_socket, launch, is_stopped, is_judged, log_start }
    }

    /// A new connection over TCP.
    #[track_caller]
    pub fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// A new connection over TCP that has switched to RESP3.
    #[track_caller]
    pub fn client_resp3(&self) -> Client {
        let mut client = self.client();
        let reply = client.call(&["HELLO", "3"]);
        assert!(matches!(reply, crate::Reply::Map(_)), "the reply to HELLO 3: {reply}");
        client
    }

    /// A new connection over the unix socket; the server must have been launched with one.
    #[track_caller]
    pub fn unix_client(&self) -> Client {
        match &self.unix_socket {
            Some(path) => Client::connect_unix(path),
            None => panic!("the server was launched without unix_socket()"),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The directory where its files (RDB, AOF) are.
    pub fn directory(&self) -> &Path {
        self.launch.data_directory().unwrap_or(self.directory.path())
    }

    /// What was launched.
    pub fn binary(&self) -> &Binary {
        self.launch.binary()
    }

    /// True if it is a real redis-server, for the few checks that are about RustRedis alone.
    pub fn is_redis(&self) -> bool {
        self.binary().is_redis()
    }

    /// All that it has logged since it was last started.
    pub fn log(&self) -> String {
        read_log(self.directory.path(), self.log_start)
    }

    /// Waits until its log contains `text`.
    #[track_caller]
    pub fn wait_for_log(&self, text: &str) {
        wait_until(&format!("the log to contain {text:?}"), crate::DEADLINE_DEFAULT, || {
            self.log().contains(text)
        });
    }

    /// True while the process runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// The value of a field of INFO (all sections), if it is there.
    #[track_caller]
    pub fn info(&self, field: &str) -> Option<String> {
        let text = self.client().call(&["INFO", "everything"]).text();
        let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        value.map(|value| value.trim().to_owned())
    }

    /// Ends it at once (SIGKILL), as a crash would.
    pub fn kill(&mut self) {
        process::kill(self.pid());
        self.wait_for_exit(STOP_DEADLINE);
    }

    /// Starts it again after its end, with the same arguments, directory and port. Panics if it does not get ready.
    #[track_caller]
    pub fn restart(&mut self) {
        if let Err(error) = self.try_restart() {
            panic!("cannot start again: {error}");
        }
    }

    /// Starts it again after its end, and waits only until it answers, be it with `-LOADING`.
    #[track_caller]
    pub fn restart_loading(&mut self) {
        assert!(self.is_stopped, "a server must have ended before it is started again");
        self.log_start = log_length(self.directory.path());
        match self.launch.again_loading(self.directory.path(), self.port(), self.log_start) {
            Ok(child) => self.child = child,
            Err(error) => panic!("cannot start again: {error}"),
        }
        self.is_stopped = false;
    }

    /// Starts it again after its end, with the same arguments, directory and port, or tells why it is not ready.
    pub fn try_restart(&mut self) -> std::io::Result<()> {
        assert!(self.is_stopped, "a server must have ended before it is started again");
        self.log_start = log_length(self.directory.path());
        let child = self.launch.again(self.directory.path(), self.port(), self.log_start);
        self.child = child.map_err(crate::launch::StartError::into_io)?;
        self.is_stopped = false;
        Ok(())
    }

    /// What it is started with. A second server of the same kind is a clone of it away.
    pub fn launch(&self) -> &Launch {
        &self.launch
    }

    /// Changes what the next [`Self::restart`] starts.
    pub fn set_launch(&mut self, launch: Launch) {
        self.launch = launch;
    }

    /// Sends SIGTERM and waits for the end.
    pub fn stop(&mut self) -> Exited {
        process::terminate(self.pid());
        self.wait_for_exit(STOP_DEADLINE)
    }

    /// Ends it whatever its state, without judging: how it ended, and its log. For callers that report a server's death
    /// instead of failing with it.
    pub fn end(mut self) -> Exited {
        let exited = self.stop();
        self.is_judged = true;
        exited
    }

    /// Compares it with its append-only file, as far as it was launched for that.
    fn check_replay(&mut self) -> Result<(), String> {
        match self.launch.replay() {
            Replay::No => Ok(()),
            Replay::Loading => replay::check_loading(self),
            Replay::LoadingAndRestart => {
                replay::check_loading(self).and_then(|()| replay::check_restart(self))
            }
        }
    }

    /// Waits for an end that somebody else brought about; kills it after `limit`.
    pub fn wait_for_exit(&mut self, limit: Duration) -> Exited {
        self.is_stopped = true;
        let end = Instant::now() + limit;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Exited { code: status.code(), log: self.log() },
                Ok(None) if Instant::now() < end => std::thread::sleep(POLL_INTERVAL),
                _ => {
                    // Killing a process that has just ended is no error.
                    let _ = self.child.kill();
                    let _ = self.child.wait();
                    return Exited { code: None, log: self.log() };
                }
            }
        }
    }
}

/// What a server says of a panic that a test has asked for.
const ASKED_FOR: &str = "DEBUG PANIC-AT has asked for this";

impl Drop for Server {
    fn drop(&mut self) {
        let has_died = !self.is_stopped && !self.is_running();
        let is_judging = !self.is_judged && !std::thread::panicking();
        let replay = if self.is_stopped || has_died || !is_judging { Ok(()) } else { self.check_replay() };
        if !self.is_stopped {
            self.stop();
        }
        if self.is_judged {
            return;
        }
        // A panic before a restart counts too.
        let log = read_log(self.directory.path(), 0);
        let has_panicked = log.lines().any(|line| line.contains("panicked at") && !line.contains(ASKED_FOR));
        if std::thread::panicking() {
            eprintln!("the server's log:\n{}", tail(&log));
        } else if has_panicked {
            panic!("the server panicked:\n{}", tail(&log));
        } else if has_died {
            panic!("the server died:\n{}", tail(&log));
        } else if let Err(difference) = replay {
            panic!("replay differs from live: {difference}");
        }
    }
}

/// The last part of a log, from a panic on if there is one.
fn tail(log: &str) -> &str {
    let start =
        log.find("panicked at").unwrap_or(log.len()).saturating_sub(200).min(log.len().saturating_sub(6_000));
    let start = (start..=log.len()).find(|index| log.is_char_boundary(*index)).unwrap_or(0);
    &log[start..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{assert_reply, cmd};

    #[test]
    fn a_real_server_starts_answers_and_stops() {
        let mut server = Launch::new(Binary::Redis).unix_socket().start();
        let mut client = server.client();
        client.check("SET key \"a b\"", "+OK");
        assert_reply!(cmd!(client, "GET", "key"), "\"a b\"");
        assert_reply!(server.client_resp3().line("HGETALL none"), "{}");
        assert_reply!(server.unix_client().line("EXISTS key none"), "1");
        assert_eq!(server.info("process_id"), Some(server.pid().to_string()));
        let exited = server.stop();
        assert_eq!(exited.code, Some(0), "{}", exited.log);
    }

    #[test]
    #[should_panic(expected = "the server died")]
    fn a_server_that_died_fails_its_test() {
        let mut server = Server::redis();
        process::kill(server.pid());
        wait_until("it to be gone", STOP_DEADLINE, || !server.is_running());
    }

    #[test]
    fn a_bad_option_is_an_error_with_the_log() {
        let error = Launch::new(Binary::Redis).arguments(&["--no-such-option", "1"]).try_start().unwrap_err();
        assert!(error.to_string().contains("no-such-option"), "{error}");
    }

    #[test]
    fn silence_and_a_closed_connection_are_told_apart() {
        let server = Server::redis();
        let mut client = server.client();
        client.send(&["BLPOP", "none", "0"]);
        assert_eq!(client.read_within(Duration::from_millis(20)), None);
        let mut other = server.client();
        other.send(&["QUIT"]);
        assert_eq!(other.read_to_close(), [crate::Reply::ok()]);
    }

    #[test]
    fn the_tail_of_a_log_starts_at_the_panic() {
        assert_eq!(tail("short"), "short");
        let long = format!("{}thread panicked at x{}", "a".repeat(10_000), "é".repeat(10_000));
        assert!(tail(&long).contains("panicked at"));
        assert!(tail(&"é".repeat(10_001)).len() <= 6_001);
    }
}
