//! The listening sockets: opened at the start, replaced when `port` or `bind` changes, and the tasks that accept.
//!
//! They live on the main thread, which does nothing else. `CONFIG SET` asks it to listen elsewhere and waits for the answer:
//! the old sockets are closed before the new ones are opened, for an address can be contained in another (`*`), and if
//! the new ones cannot be had the old ones are opened again.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::time::Duration;

use rustredis_config::{Config, Directive};
use rustredis_metrics::SampleField;
use rustredis_metrics::rows::{Family, Row, Thing, ThingValue, fact};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::clients::connected::Clients;
use crate::net::stream::StdStream;
use crate::upkeep::settings::Settings;
use crate::upkeep::stats::Stats;

/// How long `CONFIG SET` waits for the main thread.
const RELISTEN_TIMEOUT: Duration = Duration::from_secs(5);

/// Where the server listens for TCP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// The addresses of `bind`.
    pub bind: Vec<Vec<u8>>,
    /// The port; 0 for none.
    pub port: u16,
    /// Connections that may wait to be accepted.
    pub backlog: i32,
}

impl Addresses {
    /// Those of the configuration.
    pub fn of(config: &Config) -> Self {
        Self {
            bind: config.bind().to_vec(),
            port: config.int(Directive::Port) as u16,
            backlog: config.int(Directive::TcpBacklog) as i32,
        }
    }

    /// Opens a socket for each address; what may be missing is left out.
    fn open(&self) -> Result<Vec<Listener>, String> {
        let mut listeners = Vec::new();
        if self.port == 0 {
            return Ok(listeners);
        }
        for address in &self.bind {
            let text = String::from_utf8_lossy(address);
            let (is_optional, host) = match text.strip_prefix('-') {
                Some(host) => (true, host),
                None => (false, &*text),
            };
            let host = match host {
                "*" => "0.0.0.0",
                "::*" => "::",
                host => host,
            };
            match open_tcp(host, self.port, self.backlog) {
                Ok(listener) => listeners.push(Listener::Tcp(listener)),
                Err(error) if is_optional => {
                    tracing::debug!("Not listening on {host}:{}: {error}", self.port);
                }
                Err(error) => {
                    return Err(format!(
                        "Could not create server TCP listening socket {host}:{}: bind: {error}",
                        self.port
                    ));
                }
            }
        }
        Ok(listeners)
    }
}

/// A listening socket.
#[derive(Debug)]
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// A unix socket.
    Unix(UnixListener),
}

/// Opens the sockets of the configuration.
///
/// # Errors
/// The text for the log: a port in use must stop the start.
pub fn open(config: &Config) -> Result<Vec<Listener>, String> {
    let mut listeners = Addresses::of(config).open()?;
    let path = String::from_utf8_lossy(config.text(Directive::Unixsocket)).into_owned();
    if !path.is_empty() {
        // A socket that a server left behind would be in the way; one that is served is taken over as Redis does.
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path)
            .map_err(|error| format!("Failed opening Unix socket {path}: bind: {error}"))?;
        let mode = config.int(Directive::Unixsocketperm) as u32;
        if mode != 0 {
            let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
            let _ = std::fs::set_permissions(&path, permissions);
        }
        listeners.push(Listener::Unix(listener));
    }
    if listeners.is_empty() {
        return Err("Configured to not listen anywhere, exiting.".to_owned());
    }
    Ok(listeners)
}

fn open_tcp(host: &str, port: u16, backlog: i32) -> std::io::Result<TcpListener> {
    use socket2::{Domain, Protocol, Socket, Type};
    let host: std::net::IpAddr = match host.parse() {
        Ok(host) => host,
        Err(_) => std::net::ToSocketAddrs::to_socket_addrs(&(host, port))?
            .next()
            .ok_or(std::io::ErrorKind::AddrNotAvailable)?
            .ip(),
    };
    let address = SocketAddr::new(host, port);
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    Ok(socket.into())
}

/// A wish to listen elsewhere, and where the answer goes.
#[derive(Debug)]
pub struct Relisten {
    addresses: Addresses,
    answer: std::sync::mpsc::SyncSender<Result<(), String>>,
}

/// Where the server listens, as others see it.
#[derive(Debug)]
pub struct Listening {
    port: AtomicU16,
    wishes: mpsc::UnboundedSender<Relisten>,
}

impl Listening {
    /// What is known at the start; wishes go to the main thread.
    pub fn new(port: u16, wishes: mpsc::UnboundedSender<Relisten>) -> Self {
        Self { port: AtomicU16::new(port), wishes }
    }

    /// The port that is served; 0 without TCP.
    pub fn port(&self) -> u16 {
        self.port.load(Relaxed)
    }

    /// Asks the main thread to listen at these addresses and waits until it does, for milliseconds.
    ///
    /// # Errors
    /// Why it cannot; then it listens where it did.
    pub fn relisten(&self, addresses: Addresses) -> Result<(), String> {
        let (answer, answered) = std::sync::mpsc::sync_channel(1);
        let ended = "the server is ending";
        self.wishes.send(Relisten { addresses, answer }).map_err(|_| ended)?;
        answered.recv_timeout(RELISTEN_TIMEOUT).map_err(|_| ended)?
    }
}

/// Where the server listens, at a moment.
#[derive(Clone, Debug, Default)]
pub struct ListeningNow {
    port: u16,
    bind: Vec<Vec<u8>>,
    unix_socket: Option<String>,
}

impl ListeningNow {
    /// Looks.
    pub fn of(listening: &Listening, config: &Config) -> Self {
        Self {
            port: listening.port(),
            bind: config.bind().to_vec(),
            unix_socket: config.path(Directive::Unixsocket).map(|path| path.display().to_string()),
        }
    }

    /// What is told.
    pub const SAMPLES: &'static [Row<Self>] = &[
        fact("multiplexing_api", "How many sockets are waited for.", |_| "epoll".into()),
        fact("tcp_port", "The port, 0 for none.", |at| at.port.into()),
        Row::Family(Family {
            prefix: "listener",
            labels: &["index"],
            fields: &[
                SampleField::fact("name", "What is listened on: tcp or unix."),
                SampleField::fact("bind", "An address, or the socket's path."),
                SampleField::fact("port", "The port."),
            ],
            things: Self::listeners,
        }),
    ];

    fn listeners(&self) -> Vec<Thing> {
        let value = |field, text: String| ThingValue { field, detail: None, value: text.into() };
        let mut listeners = Vec::new();
        if self.port != 0 {
            let addresses = self.bind.iter().map(|address| String::from_utf8_lossy(address).into_owned());
            let mut values = vec![value(0, "tcp".to_owned())];
            values.extend(addresses.map(|address| value(1, address)));
            values.push(value(2, self.port.to_string()));
            listeners.push(values);
        }
        if let Some(path) = &self.unix_socket {
            listeners.push(vec![value(0, "unix".to_owned()), value(1, path.clone())]);
        }
        let thing = |(index, values): (usize, Vec<_>)| Thing { name: index.to_string(), values };
        listeners.into_iter().enumerate().map(thing).collect()
    }
}

/// A connection on its way to its worker.
#[derive(Debug)]
pub struct Arrival {
    /// The socket.
    pub stream: StdStream,
    /// Its id.
    pub id: u64,
}

/// Welcomes who comes, or not, and hands each to a worker.
#[derive(Debug)]
pub struct Reception {
    /// Of whom there is room for so many.
    pub clients: Arc<Clients>,
    /// Counts who comes.
    pub stats: Arc<Stats>,
    /// Says who is welcome.
    pub settings: Arc<Settings>,
    /// The workers.
    pub workers: Vec<mpsc::UnboundedSender<Arrival>>,
}

/// The accepting tasks of the main thread.
pub struct Acceptors {
    reception: Arc<Reception>,
    listening: Arc<Listening>,
    tcp: Vec<JoinHandle<()>>,
    addresses: Addresses,
}

impl Acceptors {
    /// Accepts at these sockets, within the main thread's runtime; `addresses` is where the TCP ones are.
    pub fn new(
        reception: Reception,
        listening: Arc<Listening>,
        listeners: Vec<Listener>,
        addresses: Addresses,
    ) -> Self {
        let mut acceptors = Self { reception: Arc::new(reception), listening, tcp: Vec::new(), addresses };
        acceptors.spawn(listeners);
        acceptors
    }

    fn spawn(&mut self, listeners: Vec<Listener>) {
        for listener in listeners {
            let is_tcp = matches!(listener, Listener::Tcp(_));
            let task = tokio::task::spawn_local(accept(listener, self.reception.clone()));
            if is_tcp {
                self.tcp.push(task);
            }
        }
    }

    /// Grants a wish, or goes on as before.
    pub async fn relisten(&mut self, Relisten { addresses, answer }: Relisten) {
        for task in self.tcp.drain(..) {
            task.abort();
            // A task that was aborted ends with an error; its socket is closed then.
            let _ = task.await;
        }
        let result = match addresses.open() {
            Ok(listeners) => {
                let has_tcp = !listeners.is_empty();
                self.spawn(listeners);
                self.listening.port.store(if has_tcp { addresses.port } else { 0 }, Relaxed);
                self.addresses = addresses;
                Ok(())
            }
            Err(error) => {
                tracing::warn!("{error}");
                match self.addresses.open() {
                    Ok(listeners) => self.spawn(listeners),
                    Err(error) => tracing::warn!("Not listening any more: {error}"),
                }
                Err(error)
            }
        };
        // Whoever asked may have given up.
        let _ = answer.send(result);
    }
}

/// Accepts clients and spreads them over the workers.
async fn accept(listener: Listener, reception: Arc<Reception>) {
    match listener {
        Listener::Tcp(listener) => {
            let listener =
                listener.set_nonblocking(true).and_then(|()| tokio::net::TcpListener::from_std(listener));
            let Ok(listener) = listener else { return };
            loop {
                match listener.accept().await {
                    Ok((stream, peer)) => {
                        let Ok(stream) = stream.into_std() else { continue };
                        let seconds = reception.settings.tcp_keepalive_seconds.load(Relaxed);
                        if seconds > 0 {
                            let alive = socket2::TcpKeepalive::new()
                                .with_time(Duration::from_secs(u64::from(seconds)))
                                .with_interval(Duration::from_secs(u64::from(seconds / 3).max(1)))
                                .with_retries(3);
                            // A socket without keep-alive serves as well.
                            let _ = socket2::SockRef::from(&stream).set_tcp_keepalive(&alive);
                        }
                        reception.welcome(StdStream::Tcp(stream), !peer.ip().is_loopback());
                    }
                    Err(error) => pause_accepting(&error).await,
                }
            }
        }
        Listener::Unix(listener) => {
            let listener =
                listener.set_nonblocking(true).and_then(|()| tokio::net::UnixListener::from_std(listener));
            let Ok(listener) = listener else { return };
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => {
                        let Ok(stream) = stream.into_std() else { continue };
                        reception.welcome(StdStream::Unix(stream), false);
                    }
                    Err(error) => pause_accepting(&error).await,
                }
            }
        }
    }
}

/// Out of file descriptors, most likely: to try again at once would spin.
async fn pause_accepting(error: &std::io::Error) {
    tracing::warn!("Accepting client connection: {error}");
    tokio::time::sleep(Duration::from_millis(10)).await;
}

const PROTECTED: &[u8] = b"-DENIED RustRedis is running in protected mode because protected mode is enabled and no \
password is set for the default user. In this mode connections are only accepted from the loopback interface. If you \
want to connect from external computers, set a password (requirepass), disable protected mode (protected-mode no), or \
bind to the loopback interface only.\r\n";

impl Reception {
    fn welcome(&self, stream: StdStream, is_remote: bool) {
        let refuse = |text: &[u8]| {
            self.stats.rejected_connections.fetch_add(1, Relaxed);
            // Whoever does not read his refusal is closed all the same.
            let _ = match &stream {
                StdStream::Tcp(stream) => std::io::Write::write(&mut &*stream, text),
                StdStream::Unix(stream) => std::io::Write::write(&mut &*stream, text),
            };
        };
        if is_remote
            && self.settings.protected_mode.load(Relaxed)
            && !self.settings.requires_password.load(Relaxed)
        {
            return refuse(PROTECTED);
        }
        let Some(id) = self.clients.admit(self.settings.maxclients.load(Relaxed)) else {
            return refuse(b"-ERR max number of clients reached\r\n");
        };
        self.stats.connections.fetch_add(1, Relaxed);
        let worker = (id as usize) % self.workers.len();
        // A worker that has ended means that the server is ending.
        let _ = self.workers[worker].send(Arrival { stream, id });
    }
}
