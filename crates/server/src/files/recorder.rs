//! A sink of the journal that keeps what it gets in a file: what a replica would get, for tests to compare with the
//! append-only file (`DEBUG JOURNAL-RECORD`).
//!
//! It is written beside the storage whose faults tests choose, so that a disk that fails the append-only file does not fail this.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use parking_lot::Mutex;
use rustredis_persistence::journal::{Audience, Journal, Place, Sink, State};

/// So many bytes may wait for it, unless it is told otherwise.
const WAITING_BYTES_MAX: usize = 256 << 20;
/// It knows where so many of the last entries end.
const OFFSETS: usize = 1 << 16;

/// The recording that was begun last.
#[derive(Default)]
pub struct Recorder {
    recording: Mutex<Option<Recording>>,
}

struct Recording {
    sink: Arc<Sink>,
    progress: Arc<Progress>,
    /// Whether it gets no more.
    is_stopped: bool,
}

/// How a recording is made.
pub struct Options {
    /// Whose entries it gets.
    pub audience: Audience,
    /// It is left behind when more bytes than these wait for it.
    pub bytes_max: usize,
    /// How long it waits before it takes what is there.
    pub delay: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { audience: Audience::Replicas, bytes_max: WAITING_BYTES_MAX, delay: Duration::ZERO }
    }
}

/// How far a recording has come; written by its thread.
#[derive(Default)]
struct Progress {
    place: AtomicU64,
    bytes: AtomicU64,
    outcome: Mutex<Option<Result<(), String>>>,
}

impl Recorder {
    /// Begins a recording in a new file. The caller holds everything.
    ///
    /// # Errors
    /// If the file is there, or cannot be made, or a recording is under way.
    pub fn start(&self, journal: &Journal, path: &Path, options: Options) -> io::Result<()> {
        let mut recording = self.recording.lock();
        if recording.as_ref().is_some_and(|recording| recording.progress.outcome.lock().is_none()) {
            return Err(io::Error::other("a recording is under way"));
        }
        let file = File::create_new(path)?;
        let progress = Arc::new(Progress::default());
        let (sender, receiver) = mpsc::channel::<Arc<Sink>>();
        let (delay, noting) = (options.delay, progress.clone());
        let writing = std::thread::Builder::new().name("recorder".into()).spawn(move || {
            if let Ok(sink) = receiver.recv() {
                *noting.outcome.lock() = Some(record(&sink, file, delay, &noting));
            }
        })?;
        let thread = writing.thread().clone();
        let sink = Sink::new(options.audience, move || thread.unpark());
        let sink = Arc::new(sink.with_limit(options.bytes_max).with_offsets(OFFSETS));
        journal.attach(sink.clone());
        // The thread waits for it.
        let _ = sender.send(sink.clone());
        *recording = Some(Recording { sink, progress, is_stopped: false });
        Ok(())
    }

    /// Ends the recording with what was done so far, which is still to be written: [`Recorder::status`] says when it is. False if
    /// there is none, or it was ended before. The caller holds everything.
    pub fn stop(&self, journal: &Journal) -> bool {
        let mut recording = self.recording.lock();
        let Some(recording) = recording.as_mut().filter(|recording| !recording.is_stopped) else {
            return false;
        };
        recording.is_stopped = true;
        journal.detach(&recording.sink);
        true
    }

    /// How it is, up to which place it is written, and its bytes.
    pub fn status(&self) -> (String, Place, u64) {
        let Some(Recording { progress, .. }) = &*self.recording.lock() else {
            return ("off".to_owned(), 0, 0);
        };
        let state = match &*progress.outcome.lock() {
            None => "recording".to_owned(),
            Some(Ok(())) => "complete".to_owned(),
            Some(Err(error)) => format!("failed: {error}"),
        };
        (state, progress.place.load(Relaxed), progress.bytes.load(Relaxed))
    }

    /// Bytes of the recording up to the end of an entry; `None` for one that has not come.
    pub fn end_of(&self, place: Place) -> Option<u64> {
        self.recording.lock().as_ref()?.sink.end_of(place)
    }
}

/// Writes what the sink gets until it gets no more.
fn record(sink: &Sink, mut file: File, delay: Duration, progress: &Progress) -> Result<(), String> {
    let mut piece = Vec::new();
    loop {
        std::thread::sleep(delay);
        while let Some(place) = sink.take(&mut piece) {
            file.write_all(&piece).map_err(|error| error.to_string())?;
            progress.bytes.fetch_add(piece.len() as u64, Relaxed);
            progress.place.store(place, Relaxed);
        }
        match sink.state() {
            State::Overrun => {
                let error = "it was too slow, and was left behind";
                tracing::warn!("The recording of the journal ends: {error}");
                return Err(error.to_owned());
            }
            State::Left if sink.is_drained() => return Ok(()),
            State::Left => {}
            State::Open => std::thread::park(),
        }
    }
}
