//! Start and end of the server: sockets, workers, signals.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use parking_lot::Mutex;
use rustredis_acl::Users;
use rustredis_commands::{Registry, Version};
use rustredis_config::{Config, Directive, Origin, REDIS_VERSION, VERSION};
use rustredis_engine::Engine;
use rustredis_metrics::{Clock, LatencyMonitor, Metrics, Strategy};
use rustredis_persistence::storage::{Disk, Faulty};
use tokio::sync::mpsc;

use crate::clients::connected::Clients;
use crate::clients::limits;
use crate::clients::monitor::Monitors;
use crate::clients::pause::Pause;
use crate::clients::pubsub::PubSub;
use crate::clients::replicas::Replicas;
use crate::clients::tracking::Tracking;
use crate::clients::users::UserTable;
use crate::clock::now_ms;
use crate::commands;
use crate::files;
use crate::files::aof::{self, Aof};
use crate::files::disk;
use crate::files::leftovers;
use crate::files::load::Loading;
use crate::files::rdb::{self, Rdb};
use crate::files::snapshot::{self, Snapshots};
use crate::gate::{self, Gate};
use crate::net::listen::{self, Acceptors, Addresses, Arrival, Listener, Listening, Reception, Relisten};
use crate::request::durability::Durability;
use crate::request::thread;
use crate::scripts::Scripts;
use crate::start::end::Signals;
use crate::start::ending::{Ending, Wish};
use crate::start::run_id::random_hex;
use crate::start::server::{CommandLogs, Parts, Server};
use crate::upkeep::allocator;
use crate::upkeep::cron::Cron;
use crate::upkeep::eviction::{self, Eviction};
use crate::upkeep::expiry::Expiry;
use crate::upkeep::give_back::Purges;
use crate::upkeep::log;
use crate::upkeep::settings::Settings;
use crate::upkeep::stats::Stats;
use crate::upkeep::supervise;

pub mod about;
pub mod apply;
pub mod end;
pub mod ending;
pub mod load;
pub mod run_id;
pub mod samples;
pub mod server;
pub mod users;

/// Runs the server until it is told to stop; the exit code of the process.
pub fn run(config: Config) -> ExitCode {
    let log_path =
        std::path::PathBuf::from(String::from_utf8_lossy(config.text(Directive::Logfile)).into_owned());
    if let Err(error) = log::start(&log_path, config.choice(Directive::Loglevel)) {
        eprintln!("Can't open the log file: {error}");
        return ExitCode::FAILURE;
    }
    log::note_panics();
    rustredis_engine::set_last_words(|line| tracing::error!("{line}"));
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

fn start(mut config: Config) -> Result<(), String> {
    if config.bool(Directive::DisableThp) && !allocator::disable_huge_pages() {
        tracing::warn!("The kernel does not let us do without transparent huge pages (disable-thp)");
    }
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
    for (name, reason) in config.unsupported() {
        tracing::warn!("WARNING: {name} is set and IGNORED (ignore-unsupported): {reason}");
    }
    // The sockets come before anything else: a port in use must stop the start.
    let listeners = listen::open(&config)?;
    let addresses = Addresses::of(&config);
    let (relisten, wishes) = mpsc::unbounded_channel();
    let server = Arc::new(build(config, &listeners, relisten)?);
    tracing::info!(
        "RustRedis version={VERSION}, redis_version={REDIS_VERSION}, bits=64, pid={}, engine={}, metrics={}, threads={}",
        std::process::id(),
        server.engine().kind().name(),
        server.metrics().strategy().name(),
        server.threads()
    );
    tracing::info!(
        "Running mode=standalone, port={}, PID: {}",
        server.listening().port(),
        std::process::id()
    );
    write_pid_file(&server);
    let (saving, ended) = (server.snapshots().clone(), server.clone());
    server
        .aof()
        .start(
            server.latency().clone(),
            move || saving.state().running.is_some(),
            move || ended.remove_run_files(),
        )
        .map_err(|error| format!("Can't start the threads of the append-only file: {error}"))?;
    server.snapshots().start().map_err(|error| format!("Can't start the thread of snapshots: {error}"))?;
    leftovers::remove_saves(&**server.storage(), std::path::Path::new("."));
    server.gate().set(gate::LOADING, true);
    let arrivals = start_workers(&server)?;
    let loaded = load::begin(&server)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("Can't start the runtime: {error}"))?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let reception = Reception {
            clients: server.clients().clone(),
            stats: server.stats().clone(),
            settings: server.settings().clone(),
            workers: arrivals,
        };
        let acceptors = Acceptors::new(reception, server.listening().clone(), listeners, addresses);
        tokio::task::spawn_local(grant(acceptors, wishes));
        let mut signals = Signals::listen();
        tokio::select! {
            loaded = loaded => loaded.unwrap_or_else(|_| Err("The loading thread has ended".to_owned()))?,
            _ = signals.wished(&server) => end::end_loading(&server),
        }
        server.gate().set(gate::LOADING, false);
        allocator::note_startup();
        tracing::info!("Ready to accept connections");
        supervise::tell_ready(server.config().lock().choice(Directive::Supervised));
        loop {
            let wish = signals.wished(&server).await;
            if end::prepare(&server, wish).await {
                return Ok::<(), String>(());
            }
        }
    })?;
    end::finish(&server);
    Ok(())
}

/// Listens elsewhere whenever `CONFIG SET` asks for it.
async fn grant(mut acceptors: Acceptors, mut wishes: mpsc::UnboundedReceiver<Relisten>) {
    while let Some(wish) = wishes.recv().await {
        acceptors.relisten(wish).await;
    }
}

/// One thread for each core but one, and at least one. A core is left to the kernel's network work, the journal and
/// snapshots: with a thread on each of two cores a request took 8 to 13% more CPU time than redis-server's, with one
/// thread 1 to 3% less, for threads that share their cores with that work are switched away from and woken again.
fn default_threads() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    (cores - 1).max(1)
}

fn build(
    mut config: Config,
    listeners: &[Listener],
    relisten: mpsc::UnboundedSender<Relisten>,
) -> Result<Server, String> {
    let threads = match config.int(Directive::Threads) {
        0 => default_threads(),
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
    let newest = Version::parse(config.choice(Directive::Compat));
    let registry = Registry::until(newest, &families, &renames)?;
    let kind = rustredis_engine::EngineKind::by_name(config.engine().name()).ok_or("unknown engine")?;
    let databases = config.int(Directive::Databases) as usize;
    let shards = (config.int(Directive::Shards) as usize).max(2);
    let mut engine = Engine::new(kind, shards, databases, threads, clock);
    // Until the data set is loaded.
    engine.close();
    let engine = Arc::new(engine);
    let strategy: Strategy = config.metrics().name().parse().map_err(|_| "unknown metrics strategy")?;
    let metrics = Metrics::new(strategy, registry.rows().len(), threads, clock);
    let wanted = config.int(Directive::Maxclients) as u64;
    let maxclients = limits::raise(wanted);
    if (maxclients as u64) < wanted {
        tracing::warn!("maxclients is {maxclients} and not {wanted}: the system allows no more open files.");
    }
    // What fits is what CONFIG GET shows.
    let _ = config.set(&[(b"maxclients", maxclients.to_string().as_bytes())], Origin::Local);
    let has_tcp = listeners.iter().any(|listener| matches!(listener, Listener::Tcp(_)));
    let port = if has_tcp { config.int(Directive::Port) as u16 } else { 0 };
    let settings = Arc::<Settings>::default();
    let stats = Arc::new(Stats::new(threads, databases));
    let gate = Arc::<Gate>::default();
    let clients = Arc::new(Clients::new(settings.clone(), stats.clone()));
    let pause = Arc::new(Pause::new(gate.clone()));
    let latency = Arc::new(LatencyMonitor::new(0));
    let durability = Durability::new(threads, shards);
    let storage = Arc::new(Faulty::new(Box::new(Disk), Arc::default()));
    let directives = Arc::<Mutex<Config>>::default();
    let scripts = Arc::new(Scripts::new(gate.clone(), Arc::default()));
    let disk = Arc::new(disk::Disk::new(gate.clone(), directives.clone()));
    let progressed = {
        let durability = durability.clone();
        Box::new(move || durability.progressed())
    };
    let aof = Arc::new(Aof::new(aof::Parts {
        journal: durability.journal.clone(),
        durable: durability.durable.clone(),
        progressed,
        config: directives.clone(),
        storage: storage.clone(),
        disk: disk.clone(),
    }));
    let rdb = Arc::new(Rdb::new(
        rdb::Parts {
            config: directives.clone(),
            storage: storage.clone(),
            stats: stats.clone(),
            disk,
            scripts: scripts.clone(),
        },
        now_ms(),
    ));
    let snapshots = Arc::new(Snapshots::new(snapshot::Parts {
        engine: engine.clone(),
        config: directives.clone(),
        storage: storage.clone(),
        stats: stats.clone(),
        rdb: rdb.clone(),
        aof: aof.clone(),
        scripts: scripts.clone(),
        journal: durability.journal.clone(),
    }));
    let replicas = Arc::new(Replicas::new(durability.journal.clone()));
    let loading = Loading::new(files::load::Parts {
        engine: engine.clone(),
        config: directives.clone(),
        rdb: rdb.clone(),
        scripts: scripts.clone(),
    });
    let expiry = Expiry {
        engine: engine.clone(),
        settings: settings.clone(),
        pause: pause.clone(),
        gate: gate.clone(),
        stats: stats.clone(),
        latency: latency.clone(),
        threads,
        is_active: AtomicBool::new(true),
    };
    let eviction = Eviction::new(eviction::Parts {
        engine: engine.clone(),
        settings: settings.clone(),
        pause: pause.clone(),
        gate: gate.clone(),
        stats: stats.clone(),
        latency: latency.clone(),
        aof: aof.clone(),
        replicas: replicas.clone(),
    });
    let cron = Cron {
        clients: clients.clone(),
        settings: settings.clone(),
        stats: stats.clone(),
        gate: gate.clone(),
        engine: engine.clone(),
        snapshots: snapshots.clone(),
        is_paused: AtomicBool::new(false),
    };
    let users = UserTable::new(Users::new(false, &registry), settings.clone());
    let server = Server::new(Parts {
        handlers: commands::handlers(&registry),
        registry,
        users,
        pubsub: PubSub::new(clients.clone(), settings.clone()),
        tracking: Tracking::new(clients.clone()),
        monitors: Monitors::new(clients.clone(), gate.clone()),
        pause,
        settings,
        engine,
        clients,
        metrics,
        command_logs: CommandLogs::default(),
        latency,
        stats,
        eviction,
        purges: Purges::new(threads),
        clock,
        gate,
        run_id: random_hex(),
        replication_id: Mutex::new(random_hex()),
        started_ms: now_ms(),
        threads,
        listening: Arc::new(Listening::new(port, relisten)),
        expiry,
        cron,
        rdb,
        storage,
        aof,
        snapshots,
        acl_log: Default::default(),
        loading,
        durability,
        replicas,
        recorder: Default::default(),
        ending: Ending::default(),
        scripts,
        config: directives,
    });
    apply::apply_all(&server, &config);
    users::load(&server, &config)?;
    *server.config().lock() = config;
    Ok(server)
}

fn write_pid_file(server: &Server) {
    let config = server.config().lock();
    let path = String::from_utf8_lossy(config.text(Directive::Pidfile)).into_owned();
    if !path.is_empty()
        && let Err(error) = std::fs::write(&path, format!("{}\n", std::process::id()))
    {
        tracing::warn!("Failed to write PID file: {error}");
    }
}

fn start_workers(server: &Arc<Server>) -> Result<Vec<mpsc::UnboundedSender<Arrival>>, String> {
    (0..server.threads())
        .map(|index| {
            let (sender, receiver) = mpsc::unbounded_channel();
            let server = server.clone();
            std::thread::Builder::new()
                .name(format!("worker-{index}"))
                .spawn(move || {
                    if let Err(error) = thread::run(index, server.clone(), receiver) {
                        tracing::warn!("Worker {index} ended: {error}");
                        server.ending().ask(Wish::default());
                    }
                })
                .map_err(|error| format!("Can't start a worker thread: {error}"))?;
            Ok(sender)
        })
        .collect()
}
