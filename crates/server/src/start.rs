//! Start and end of the server: sockets, workers, signals.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed};

use parking_lot::Mutex;
use rustredis_commands::Registry;
use rustredis_config::{Config, Directive, REDIS_VERSION, VERSION};
use rustredis_engine::Engine;
use rustredis_metrics::{Clock, LatencyMonitor, Metrics, SlowLog, Strategy};
use tokio::sync::mpsc;

use crate::clients_limit;
use crate::commands;
use crate::log;
use crate::server::{Pause, Server, gate, now_ms};
use crate::settings::Settings;
use crate::stats::Stats;
use crate::worker::{self, Arrival, StdStream};

/// Runs the server until it is told to stop; the exit code of the process.
pub fn run(config: Config) -> ExitCode {
    let log_path =
        std::path::PathBuf::from(String::from_utf8_lossy(config.text(Directive::Logfile)).into_owned());
    if let Err(error) = log::start(&log_path, config.choice(Directive::Loglevel)) {
        eprintln!("Can't open the log file: {error}");
        return ExitCode::FAILURE;
    }
    match start(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::warn!("{error}");
            if !log_path.as_os_str().is_empty() {
                eprintln!("{error}");
            }
            ExitCode::FAILURE
        }
    }
}

/// A listening socket.
enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

fn start(mut config: Config) -> Result<(), String> {
    let directory = config.text(Directive::Dir).to_vec();
    if !directory.is_empty() {
        let path = String::from_utf8_lossy(&directory).into_owned();
        std::env::set_current_dir(&path).map_err(|error| format!("Can't chdir to '{path}': {error}"))?;
    }
    if let Ok(directory) = std::env::current_dir() {
        config.set_working_directory(&directory);
    }
    let no_effect = config.no_effect();
    if !no_effect.is_empty() {
        let names: Vec<&str> = no_effect.iter().map(|(name, _)| *name).collect();
        tracing::warn!("These directives have no effect here: {}", names.join(", "));
    }
    let listeners = listen(&config)?;
    let server = Arc::new(build(config, &listeners)?);
    tracing::info!(
        "RustRedis version={VERSION}, redis_version={REDIS_VERSION}, bits=64, pid={}, engine={}, metrics={}, threads={}",
        std::process::id(),
        server.engine.kind().name(),
        server.metrics.strategy().name(),
        server.threads
    );
    write_pid_file(&server);
    let arrivals = start_workers(&server)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("Can't start the runtime: {error}"))?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let arrivals = Arc::new(arrivals);
        for listener in listeners {
            tokio::task::spawn_local(accept(listener, server.clone(), arrivals.clone()));
        }
        tracing::info!("Ready to accept connections");
        wait_for_end(&server).await;
    });
    end(&server);
    Ok(())
}

/// Opens the sockets before anything else is done: a port in use must stop the start.
fn listen(config: &Config) -> Result<Vec<Listener>, String> {
    let mut listeners = Vec::new();
    let port = config.int(Directive::Port) as u16;
    let backlog = config.int(Directive::TcpBacklog) as i32;
    if port != 0 {
        for address in config.bind() {
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
            match open_tcp(host, port, backlog) {
                Ok(listener) => listeners.push(Listener::Tcp(listener)),
                Err(error) if is_optional => tracing::debug!("Not listening on {host}:{port}: {error}"),
                Err(error) => {
                    return Err(format!(
                        "Could not create server TCP listening socket {host}:{port}: bind: {error}"
                    ));
                }
            }
        }
    }
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

fn build(config: Config, listeners: &[Listener]) -> Result<Server, String> {
    let threads = match config.int(Directive::Threads) {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        threads => threads as usize,
    };
    let clock = Clock::start();
    let renames: Vec<(String, String)> = config
        .lines(Directive::RenameCommand)
        .iter()
        .filter_map(|line| match line.as_slice() {
            [from, to] => {
                Some((String::from_utf8_lossy(from).into_owned(), String::from_utf8_lossy(to).into_owned()))
            }
            _ => None,
        })
        .collect();
    let families: Vec<_> = rustredis_commands::FAMILIES
        .iter()
        .copied()
        .chain(commands::FAMILIES.iter().map(|family| family.rows))
        .collect();
    let registry = Registry::new(&families, &renames)?;
    let kind = rustredis_engine::Kind::by_name(config.engine().name()).ok_or("unknown engine")?;
    let databases = config.int(Directive::Databases) as usize;
    let shards = (config.int(Directive::Shards) as usize).max(2);
    let engine = Arc::new(Engine::new(kind, shards, databases, threads));
    let strategy: Strategy = config.metrics().name().parse().map_err(|_| "unknown metrics strategy")?;
    let metrics = Metrics::new(strategy, registry.rows().len(), threads, clock);
    metrics.set_tracks_latency(config.bool(Directive::LatencyTracking));
    let slowlog = SlowLog::new(
        config.int(Directive::SlowlogLogSlowerThan),
        config.int(Directive::SlowlogMaxLen) as usize,
    );
    let latency = LatencyMonitor::new(config.int(Directive::LatencyMonitorThreshold) as u64);
    let settings = Settings::default();
    settings.apply(&config);
    settings.maxclients.store(clients_limit::raise(&config), Relaxed);
    let is_limited = config.bytes(Directive::Maxmemory) > 0;
    let has_tcp = listeners.iter().any(|listener| matches!(listener, Listener::Tcp(_)));
    let port = if has_tcp { config.int(Directive::Port) as usize } else { 0 };
    let server = Server {
        handlers: commands::handlers(&registry),
        registry,
        settings,
        engine,
        clients: Default::default(),
        pubsub: Default::default(),
        monitors: Default::default(),
        metrics,
        slowlog,
        latency,
        stats: Stats::new(threads),
        clock,
        gate: AtomicU32::new(0),
        pause: Pause::default(),
        run_id: random_hex(),
        started_ms: now_ms(),
        threads,
        port: AtomicUsize::new(port),
        expires_actively: AtomicBool::new(true),
        shutdown: tokio::sync::Notify::new(),
        config: Mutex::new(config),
    };
    server.set_gate(gate::MEMORY_LIMITED, is_limited);
    Ok(server)
}

/// Forty hexadecimal digits from the operating system's randomness.
fn random_hex() -> String {
    use std::hash::{BuildHasher, RandomState};
    let word = || RandomState::new().hash_one(now_ms());
    format!("{:016x}{:016x}{:08x}", word(), word(), word() as u32)
}

fn write_pid_file(server: &Server) {
    let config = server.config.lock();
    let path = String::from_utf8_lossy(config.text(Directive::Pidfile)).into_owned();
    if !path.is_empty()
        && let Err(error) = std::fs::write(&path, format!("{}\n", std::process::id()))
    {
        tracing::warn!("Failed to write PID file: {error}");
    }
}

fn start_workers(server: &Arc<Server>) -> Result<Vec<mpsc::UnboundedSender<Arrival>>, String> {
    (0..server.threads)
        .map(|index| {
            let (sender, receiver) = mpsc::unbounded_channel();
            let server = server.clone();
            std::thread::Builder::new()
                .name(format!("worker-{index}"))
                .spawn(move || {
                    if let Err(error) = worker::run(index, server.clone(), receiver) {
                        tracing::warn!("Worker {index} ended: {error}");
                        server.shutdown.notify_one();
                    }
                })
                .map_err(|error| format!("Can't start a worker thread: {error}"))?;
            Ok(sender)
        })
        .collect()
}

/// Accepts clients and spreads them over the workers.
async fn accept(listener: Listener, server: Arc<Server>, workers: Arc<Vec<mpsc::UnboundedSender<Arrival>>>) {
    match listener {
        Listener::Tcp(listener) => {
            let listener =
                listener.set_nonblocking(true).and_then(|()| tokio::net::TcpListener::from_std(listener));
            let Ok(listener) = listener else { return };
            loop {
                match listener.accept().await {
                    Ok((stream, peer)) => {
                        let Ok(stream) = stream.into_std() else { continue };
                        let seconds = server.settings.tcp_keepalive_seconds.load(Relaxed);
                        if seconds > 0 {
                            let alive = socket2::TcpKeepalive::new()
                                .with_time(std::time::Duration::from_secs(u64::from(seconds)))
                                .with_interval(std::time::Duration::from_secs(u64::from(seconds / 3).max(1)))
                                .with_retries(3);
                            // A socket without keep-alive serves as well.
                            let _ = socket2::SockRef::from(&stream).set_tcp_keepalive(&alive);
                        }
                        welcome(&server, &workers, StdStream::Tcp(stream), !peer.ip().is_loopback());
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
                        welcome(&server, &workers, StdStream::Unix(stream), false);
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
    tokio::time::sleep(std::time::Duration::from_millis(10)).await;
}

const PROTECTED: &[u8] = b"-DENIED RustRedis is running in protected mode because protected mode is enabled and no \
password is set for the default user. In this mode connections are only accepted from the loopback interface. If you \
want to connect from external computers, set a password (requirepass), disable protected mode (protected-mode no), or \
bind to the loopback interface only.\r\n";

fn welcome(server: &Server, workers: &[mpsc::UnboundedSender<Arrival>], stream: StdStream, is_remote: bool) {
    let refuse = |text: &[u8]| {
        server.stats.rejected_connections.fetch_add(1, Relaxed);
        // Whoever does not read his refusal is closed all the same.
        let _ = match &stream {
            StdStream::Tcp(stream) => std::io::Write::write(&mut &*stream, text),
            StdStream::Unix(stream) => std::io::Write::write(&mut &*stream, text),
        };
    };
    if is_remote
        && server.config.lock().bool(Directive::ProtectedMode)
        && !server.settings.requires_password.load(Relaxed)
    {
        return refuse(PROTECTED);
    }
    let id = server.clients.next_id();
    if server.clients.len() >= server.settings.maxclients.load(Relaxed) {
        return refuse(b"-ERR max number of clients reached\r\n");
    }
    server.stats.connections.fetch_add(1, Relaxed);
    let worker = (id as usize) % workers.len();
    // A worker that has ended means that the server is ending.
    let _ = workers[worker].send(Arrival { stream, id });
}

async fn wait_for_end(server: &Server) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return server.shutdown.notified().await;
    };
    tokio::select! {
        _ = terminate.recv() => tracing::warn!("Received SIGTERM scheduling shutdown..."),
        _ = interrupt.recv() => tracing::warn!("Received SIGINT scheduling shutdown..."),
        () = server.shutdown.notified() => {}
    }
}

fn end(server: &Server) {
    tracing::warn!("User requested shutdown...");
    server.set_gate(gate::SHUTDOWN, true);
    for client in server.clients.all() {
        client.kill();
    }
    let config = server.config.lock();
    for path in [config.text(Directive::Pidfile), config.text(Directive::Unixsocket)] {
        if !path.is_empty() {
            let _ = std::fs::remove_file(&*String::from_utf8_lossy(path));
        }
    }
    tracing::warn!("RustRedis is now ready to exit, bye bye...");
}
