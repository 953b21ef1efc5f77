//! Log lines as Redis writes them: `pid:M 23 Nov 2026 21:35:00.123 * text`.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Writes events to standard output or a file.
struct RedisLog {
    file: Mutex<Option<std::fs::File>>,
}

/// The lowest level that is written, as [`level`] numbers them.
static LEVEL: AtomicU8 = AtomicU8::new(2);

/// The number of a `loglevel`: debug 4, verbose 3, notice 2, warning 1, nothing 0.
fn level(name: &str) -> u8 {
    match name {
        "debug" => 4,
        "verbose" => 3,
        "notice" => 2,
        "warning" => 1,
        _ => 0,
    }
}

/// Changes what is written (`CONFIG SET loglevel`).
pub fn set_level(name: &str) {
    LEVEL.store(level(name), Relaxed);
}

/// Starts to log: to `path`, or to standard output if it is empty.
///
/// # Errors
/// Those of opening the file.
pub fn start(path: &Path, level: &str) -> std::io::Result<()> {
    set_level(level);
    let file = if path.as_os_str().is_empty() {
        None
    } else {
        Some(std::fs::OpenOptions::new().create(true).append(true).open(path)?)
    };
    // A second start in one process (tests) keeps the first log.
    let _ = tracing::subscriber::set_global_default(RedisLog { file: Mutex::new(file) });
    Ok(())
}

/// Has panics told in the log, each with its thread and place.
pub fn note_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let payload = panic.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let text =
            text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
        let place = panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        tracing::error!(
            "The thread {} panicked at {place}: {text}",
            thread.name().unwrap_or("without a name")
        );
        let trace = std::backtrace::Backtrace::capture();
        if trace.status() == std::backtrace::BacktraceStatus::Captured {
            tracing::error!("Backtrace:\n{trace}");
        }
    }));
}

/// How serious an event is, and the sign that Redis writes for it: Rust's `trace` and `debug` are Redis's `debug` and
/// `verbose`.
fn sign(level: &Level) -> (u8, char) {
    match *level {
        Level::ERROR | Level::WARN => (1, '#'),
        Level::INFO => (2, '*'),
        Level::DEBUG => (3, '-'),
        Level::TRACE => (4, '.'),
    }
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = if field.name() == "message" {
            write!(self.0, "{value:?}")
        } else {
            write!(self.0, " {}={value:?}", field.name())
        };
    }
}

impl Subscriber for RedisLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        sign(metadata.level()).0 <= LEVEL.load(Relaxed) && metadata.target().starts_with("rustredis")
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        let (_, sign) = sign(event.metadata().level());
        let line = format!("{}:M {} {sign} {}\n", std::process::id(), local_time(), text.0);
        // A log that cannot be written must not stop the server.
        let mut file = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let _ = match file.as_mut() {
            Some(file) => file.write_all(line.as_bytes()),
            None => std::io::stdout().write_all(line.as_bytes()),
        };
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// The local time as `23 Nov 2026 21:35:00.123`.
fn local_time() -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let now_ms = crate::clock::now_ms();
    let seconds = (now_ms / 1000) as libc::time_t;
    // SAFETY: `tm` is plain data that `localtime_r` fills in.
    let time = unsafe {
        let mut time: libc::tm = std::mem::zeroed();
        libc::localtime_r(&seconds, &mut time);
        time
    };
    format!(
        "{:02} {} {} {:02}:{:02}:{:02}.{:03}",
        time.tm_mday,
        MONTHS[time.tm_mon.clamp(0, 11) as usize],
        time.tm_year + 1900,
        time.tm_hour,
        time.tm_min,
        time.tm_sec,
        now_ms % 1000
    )
}
