//! A generator on another machine: `rustredis-lab generator --listen HOST:PORT` there, `--generator HOST:PORT` here.
//!
//! ```text
//! lab        {load and the first phase's name}            a line of JSON each
//! generator                    "ready" or {"refused"}      when it has connected to the server
//! lab        {"phase"} ... "end"                           as the script goes
//! generator                    {"figures"}                 at the end, or as soon as something is wrong
//! ```
//!
//! Phases are told as they begin, for a script may wait for what the server does (a snapshot's end). The clock that counts is
//! the generator's alone. It asks for no password and puts load on any address that it is told: for networks that are
//! one's own. One load at a time; others wait until it is over.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::cpus::Cpus;
use crate::load::mix::MixSource;
use crate::load::{Conductor, Control, Figures, Generator, Load, Mix, Pace};

/// How long the other side may take to accept, and to send a line that is due.
const DEADLINE: Duration = Duration::from_secs(10);
/// How long the generator may take to connect all its clients.
const READY_DEADLINE: Duration = Duration::from_secs(60);
/// How often a wait for a line looks at what else has happened.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// Longest line that is believed: a recorded trace.
const LINE_BYTES_MAX: u64 = 256 << 20;
/// Most clients and threads of a load that is sent here.
const CLIENTS_MAX: usize = 100_000;
const THREADS_MAX: usize = 1_024;

/// Options of `generator`.
#[derive(Debug, Clone, Args)]
pub struct GeneratorTask {
    /// Where to wait for loads. There is no password: for networks that are your own
    #[arg(long, value_name = "HOST:PORT")]
    pub listen: String,
}

/// A load as it is sent.
#[derive(Debug, Serialize, Deserialize)]
struct Order {
    version: String,
    first_phase: String,
    address: SocketAddr,
    clients: usize,
    threads: usize,
    pipeline: usize,
    pace: Pace,
    mix: MixSource,
    keys: u64,
    spread: String,
    seed: u64,
    patience_ms: u64,
    cpus: Option<Cpus>,
}

/// What the lab says while it goes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Cue {
    Phase(String),
    End,
}

/// What the generator answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Answer {
    Ready,
    Refused(String),
    Figures(Box<Figures>),
}

impl Order {
    fn new(load: &Load, first_phase: &str) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            first_phase: first_phase.to_owned(),
            address: load.address,
            clients: load.clients,
            threads: load.threads,
            pipeline: load.pipeline,
            pace: load.pace,
            mix: load.mix.source().clone(),
            keys: load.keys,
            spread: load.spread.to_string(),
            seed: load.seed,
            patience_ms: load.patience.as_millis() as u64,
            cpus: load.generator.cpus.clone(),
        }
    }

    fn load(&self) -> Result<Load, String> {
        if self.version != env!("CARGO_PKG_VERSION") {
            return Err(format!(
                "the lab is {} and the generator {}",
                self.version,
                env!("CARGO_PKG_VERSION")
            ));
        }
        if self.clients > CLIENTS_MAX || self.threads > THREADS_MAX {
            return Err(format!("more than {CLIENTS_MAX} clients or {THREADS_MAX} threads"));
        }
        Ok(Load {
            address: self.address,
            clients: self.clients,
            threads: self.threads,
            pipeline: self.pipeline,
            pace: self.pace,
            mix: Mix::from_source(&self.mix)?,
            keys: self.keys,
            spread: self.spread.parse()?,
            seed: self.seed,
            patience: Duration::from_millis(self.patience_ms),
            generator: Generator { cpus: self.cpus.clone(), address: None },
        })
    }
}

/// Lines of JSON off a stream that may be silent for a while.
struct Lines {
    reader: BufReader<TcpStream>,
    partial: Vec<u8>,
}

impl Lines {
    fn new(stream: &TcpStream) -> Result<Self, String> {
        let own = stream.try_clone().map_err(|error| error.to_string())?;
        own.set_read_timeout(Some(LOOK_INTERVAL)).map_err(|error| error.to_string())?;
        Ok(Self { reader: BufReader::new(own), partial: Vec::new() })
    }

    /// The next line, if one comes within a short while.
    fn next<T: for<'de> Deserialize<'de>>(&mut self) -> Result<Option<T>, String> {
        let left = LINE_BYTES_MAX.saturating_sub(self.partial.len() as u64);
        match (&mut self.reader).take(left).read_until(b'\n', &mut self.partial) {
            Ok(_) if self.partial.ends_with(b"\n") => {
                let line = std::mem::take(&mut self.partial);
                serde_json::from_slice(&line).map(Some).map_err(|error| format!("not understood: {error}"))
            }
            Ok(_) => Err("the connection was closed".to_owned()),
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(error.to_string()),
        }
    }

    fn next_within<T: for<'de> Deserialize<'de>>(&mut self, limit: Duration) -> Result<T, String> {
        let end = Instant::now() + limit;
        while Instant::now() < end {
            if let Some(line) = self.next()? {
                return Ok(line);
            }
        }
        Err(format!("nothing was said for {limit:?}"))
    }
}

fn say(mut stream: &TcpStream, message: &impl Serialize) -> Result<(), String> {
    let mut line = serde_json::to_vec(message).map_err(|error| error.to_string())?;
    line.push(b'\n');
    stream.write_all(&line).map_err(|error| error.to_string())
}

/// Tells a generator that the next phase begins. If it is gone, the end of its answers says so.
pub(crate) fn tell_phase(stream: &TcpStream, name: &str) {
    let _ = say(stream, &Cue::Phase(name.to_owned()));
}

/// [`super::run`] with the generator elsewhere.
pub(crate) fn run(
    generator: SocketAddr,
    load: &Load,
    first_phase: &str,
    interrupted: &AtomicBool,
    script: impl FnOnce(&mut Conductor<'_>),
) -> Result<Figures, String> {
    let of = |error: String| format!("the generator at {generator}: {error}");
    let stream = TcpStream::connect_timeout(&generator, DEADLINE).map_err(|error| of(error.to_string()))?;
    stream.set_nodelay(true).map_err(|error| of(error.to_string()))?;
    stream.set_write_timeout(Some(DEADLINE)).map_err(|error| of(error.to_string()))?;
    let mut lines = Lines::new(&stream).map_err(of)?;
    say(&stream, &Order::new(load, first_phase)).map_err(of)?;
    match lines.next_within::<Answer>(READY_DEADLINE).map_err(of)? {
        Answer::Ready => {}
        Answer::Refused(reason) => return Err(of(reason)),
        Answer::Figures(_) => return Err(of("figures before the start".to_owned())),
    }
    let (control, has_ended) = (Control::new(), AtomicBool::new(false));
    let phases = vec![(first_phase.to_owned(), 0.0)];
    let mut conductor =
        Conductor { control: &control, started: Instant::now(), phases, interrupted, far: Some(&stream) };
    let answered = std::thread::scope(|scope| {
        let (control, has_ended, patience) = (&control, &has_ended, load.patience);
        let listening = scope.spawn(move || {
            let answer = listen(&mut lines, has_ended, patience + READY_DEADLINE);
            // Figures before the end are of a run that has failed: the script need not go on.
            control.is_over.store(true, Relaxed);
            answer
        });
        script(&mut conductor);
        // If it is gone, its silence says so.
        let _ = say(&stream, &Cue::End);
        has_ended.store(true, Relaxed);
        listening.join()
    });
    answered.map_err(|_| of("its listener panicked".to_owned()))?.map_err(of)
}

fn listen(lines: &mut Lines, has_ended: &AtomicBool, limit: Duration) -> Result<Figures, String> {
    loop {
        let answer = if has_ended.load(Relaxed) {
            Some(lines.next_within::<Answer>(limit)?)
        } else {
            lines.next::<Answer>()?
        };
        match answer {
            None => {}
            Some(Answer::Figures(figures)) => return Ok(*figures),
            Some(Answer::Refused(reason)) => return Err(reason),
            Some(Answer::Ready) => return Err("ready twice".to_owned()),
        }
    }
}

/// Serves loads until it is interrupted.
pub fn serve(task: &GeneratorTask, interrupted: &AtomicBool) -> Result<bool, String> {
    let listener = TcpListener::bind(&task.listen).map_err(|error| format!("{}: {error}", task.listen))?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    println!("waiting for loads at {address}");
    serve_on(&listener, interrupted)?;
    Ok(true)
}

/// Serves loads that come to this listener.
pub fn serve_on(listener: &TcpListener, interrupted: &AtomicBool) -> Result<(), String> {
    listener.set_nonblocking(true).map_err(|error| error.to_string())?;
    while !interrupted.load(Relaxed) {
        match listener.accept() {
            Ok((stream, peer)) => {
                if let Err(error) = serve_one(&stream, interrupted) {
                    eprintln!("a load from {peer}: {error}");
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(LOOK_INTERVAL),
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(())
}

fn serve_one(stream: &TcpStream, interrupted: &AtomicBool) -> Result<(), String> {
    let prepared = stream
        .set_nonblocking(false)
        .and_then(|()| stream.set_nodelay(true))
        .and_then(|()| stream.set_write_timeout(Some(DEADLINE)));
    prepared.map_err(|error| error.to_string())?;
    let mut lines = Lines::new(stream)?;
    let order: Order = lines.next_within(DEADLINE)?;
    let mut gone = None;
    let figures = order.load().and_then(|load| {
        super::run(&load, &order.first_phase, interrupted, |conductor| {
            gone = say(stream, &Answer::Ready).and_then(|()| follow(&mut lines, conductor)).err();
        })
    });
    if let Some(reason) = gone {
        return Err(reason);
    }
    match figures {
        Ok(figures) => say(stream, &Answer::Figures(Box::new(figures))),
        Err(reason) => say(stream, &Answer::Refused(reason)),
    }
}

/// Switches phases as the lab says, until it says that it is over.
fn follow(lines: &mut Lines, conductor: &mut Conductor<'_>) -> Result<(), String> {
    while conductor.is_running() {
        match lines.next::<Cue>()? {
            Some(Cue::Phase(name)) => conductor.phase(&name),
            Some(Cue::End) => break,
            None => {}
        }
    }
    Ok(())
}
