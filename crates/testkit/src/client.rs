//! A blocking client that speaks bare RESP: commands, raw bytes, pipelines, and reads that end at a deadline.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::command::encode;
use crate::{Command, DecodeError, Reply, ReplyReader};

/// How long a client waits for a reply, and for the server to take its bytes, unless told otherwise.
pub const DEADLINE_DEFAULT: Duration = Duration::from_secs(20);

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    fn set_deadline(&self, deadline: Duration) -> io::Result<()> {
        let deadline = Some(deadline.max(Duration::from_millis(1)));
        match self {
            Self::Tcp(stream) => {
                stream.set_read_timeout(deadline)?;
                stream.set_write_timeout(deadline)
            }
            Self::Unix(stream) => {
                stream.set_read_timeout(deadline)?;
                stream.set_write_timeout(deadline)
            }
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(buffer),
            Self::Unix(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One connection. Methods panic when the connection fails; the `try_` ones return the error.
pub struct Client {
    reader: ReplyReader<Stream>,
    deadline: Duration,
    /// The last bytes sent, for messages.
    last_sent: Vec<u8>,
}

impl fmt::Debug for Client {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Client({:?})", self.last_sent_text())
    }
}

impl Client {
    /// Connects over TCP.
    #[track_caller]
    pub fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).unwrap_or_else(|error| panic!("cannot connect to {address}: {error}"))
    }

    /// Connects over TCP, or tells why not.
    pub fn try_connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, DEADLINE_DEFAULT)?;
        stream.set_nodelay(true)?;
        Self::over(Stream::Tcp(stream))
    }

    /// Connects to a unix socket.
    #[track_caller]
    pub fn connect_unix(path: &Path) -> Self {
        UnixStream::connect(path)
            .and_then(|stream| Self::over(Stream::Unix(stream)))
            .unwrap_or_else(|error| panic!("cannot connect to {}: {error}", path.display()))
    }

    fn over(stream: Stream) -> io::Result<Self> {
        stream.set_deadline(DEADLINE_DEFAULT)?;
        Ok(Self { reader: ReplyReader::new(stream), deadline: DEADLINE_DEFAULT, last_sent: Vec::new() })
    }

    /// Changes how long each later read and write may take.
    pub fn set_deadline(&mut self, deadline: Duration) {
        self.deadline = deadline;
        self.apply_deadline(deadline);
    }

    /// Its own address, as CLIENT LIST shows it; a unix socket has none.
    #[track_caller]
    pub fn local_address(&mut self) -> SocketAddr {
        match self.reader.stream() {
            Stream::Tcp(stream) => stream.local_addr().expect("a connected socket has an address"),
            Stream::Unix(_) => panic!("a unix socket has no address"),
        }
    }

    /// Sends a command and reads its reply.
    #[track_caller]
    pub fn call<A: AsRef<[u8]>>(&mut self, arguments: &[A]) -> Reply {
        self.send(arguments);
        self.read()
    }

    /// Sends a command and reads its reply.
    pub fn try_call<A: AsRef<[u8]>>(&mut self, arguments: &[A]) -> Result<Reply, DecodeError> {
        let mut bytes = Vec::new();
        encode(arguments, &mut bytes);
        self.try_send_raw(&bytes).map_err(|error| DecodeError::Io(error, false))?;
        self.try_read()
    }

    /// Sends the command that a line of [`crate::words`] writes and reads its reply.
    #[track_caller]
    pub fn line(&mut self, line: &str) -> Reply {
        self.call(&Command::line(line).arguments)
    }

    /// Sends a line of words and compares the reply's notation (see [`Reply`]) with `expected`.
    #[track_caller]
    pub fn check(&mut self, line: &str, expected: &str) {
        let reply = self.line(line).to_string();
        assert_eq!(reply, expected, "the reply to {line}");
    }

    /// As [`Self::check`], for a reply whose elements come in no fixed order: compares them sorted by notation. A map's
    /// pairs, and neighbours in an array that is a flat map, must not be compared so.
    #[track_caller]
    pub fn check_unordered(&mut self, line: &str, expected: &[&str]) {
        let mut elements: Vec<String> = self.line(line).elements().iter().map(Reply::to_string).collect();
        let mut expected = expected.to_vec();
        elements.sort_unstable();
        expected.sort_unstable();
        assert_eq!(elements, expected, "the reply to {line}");
    }

    /// Compares the reply's beginning, for errors whose tail is not fixed.
    #[track_caller]
    pub fn check_prefix(&mut self, line: &str, expected: &str) {
        let reply = self.line(line).to_string();
        assert!(reply.starts_with(expected), "the reply to {line}: {reply} does not start with {expected}");
    }

    /// Sends several commands at once and reads as many replies.
    #[track_caller]
    pub fn pipeline(&mut self, commands: &[Command]) -> Vec<Reply> {
        self.try_pipeline(commands)
            .unwrap_or_else(|error| panic!("{error}, in a pipeline of {}", commands.len()))
    }

    /// Sends several commands at once and reads as many replies.
    pub fn try_pipeline(&mut self, commands: &[Command]) -> Result<Vec<Reply>, DecodeError> {
        let mut bytes = Vec::new();
        commands.iter().for_each(|command| command.encode(&mut bytes));
        self.try_send_raw(&bytes).map_err(|error| DecodeError::Io(error, false))?;
        commands.iter().map(|_| self.try_read()).collect()
    }

    /// Sends a command and does not wait.
    #[track_caller]
    pub fn send<A: AsRef<[u8]>>(&mut self, arguments: &[A]) {
        let mut bytes = Vec::new();
        encode(arguments, &mut bytes);
        self.send_raw(&bytes);
    }

    /// Sends bytes as they are.
    #[track_caller]
    pub fn send_raw(&mut self, bytes: &[u8]) {
        if let Err(error) = self.try_send_raw(bytes) {
            panic!("cannot send {}: {error}", self.last_sent_text());
        }
    }

    /// Sends bytes as they are.
    pub fn try_send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.last_sent.clear();
        self.last_sent.extend_from_slice(&bytes[..bytes.len().min(200)]);
        self.reader.stream().write_all(bytes)
    }

    /// Reads one reply (or push message).
    #[track_caller]
    pub fn read(&mut self) -> Reply {
        match self.try_read() {
            Ok(reply) => reply,
            Err(error) => panic!("{error}, after sending {}", self.last_sent_text()),
        }
    }

    /// Reads one reply (or push message).
    pub fn try_read(&mut self) -> Result<Reply, DecodeError> {
        self.reader.read()
    }

    /// Reads one reply if one begins to arrive within `limit`; None if nothing came.
    #[track_caller]
    pub fn read_within(&mut self, limit: Duration) -> Option<Reply> {
        self.apply_deadline(limit);
        let result = self.try_read();
        self.apply_deadline(self.deadline);
        match result {
            Ok(reply) => Some(reply),
            Err(DecodeError::Io(error, false)) if is_timeout(&error) => None,
            Err(error) => panic!("{error}, after sending {}", self.last_sent_text()),
        }
    }

    /// Reads replies until the server closes the connection (a reset counts as well); panics if it does not before
    /// the deadline.
    #[track_caller]
    pub fn read_to_close(&mut self) -> Vec<Reply> {
        let mut replies = Vec::new();
        loop {
            match self.try_read() {
                Ok(reply) => replies.push(reply),
                Err(DecodeError::Closed) => return replies,
                Err(DecodeError::Io(error, _)) if error.kind() == io::ErrorKind::ConnectionReset => {
                    return replies;
                }
                Err(error) => panic!("expected a closed connection: {error}; replies so far: {replies:?}"),
            }
        }
    }

    /// Tells the server that no more bytes will come, and keeps reading.
    pub fn shut_down_writing(&mut self) {
        // A connection that the server has closed already needs no shutdown.
        let _ = match self.reader.stream() {
            Stream::Tcp(stream) => stream.shutdown(std::net::Shutdown::Write),
            Stream::Unix(stream) => stream.shutdown(std::net::Shutdown::Write),
        };
    }

    fn apply_deadline(&mut self, deadline: Duration) {
        if let Err(error) = self.reader.stream().set_deadline(deadline) {
            panic!("cannot set a socket's deadline: {error}");
        }
    }

    fn last_sent_text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = crate::reply::quote(&mut text, &self.last_sent);
        text
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// Sends a command of any arguments (texts, bytes, numbers; see [`crate::Argument`]) and gives back the reply:
/// `cmd!(client, "SET", key, 7)`.
#[macro_export]
macro_rules! cmd {
    ($client:expr, $($argument:expr),+ $(,)?) => {
        $client.call(&[$($crate::Argument::to_argument(&$argument)),+])
    };
}

/// Compares a reply with the notation that [`Reply`] displays itself in.
#[macro_export]
macro_rules! assert_reply {
    ($reply:expr, $expected:expr $(,)?) => {
        assert_eq!($reply.to_string(), $expected)
    };
}
