//! The tools that look at files without a server: `check-aof` and `check-rdb`.
//!
//! They read with the same code as the server, so that what they call valid is what it loads, and say what they find in
//! lines for people. A file is changed only on request and after a question, and only where the server would cut it as
//! well: at the end of what is whole, or before a timestamp. A damaged RDB part is never cut, and of a multi-part AOF only
//! the last file.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::aof::manifest::{LINE_BYTES_MAX, Manifest};
use crate::aof::reader::{AofError, Reader, Record, Start};
use crate::rdb::{Checksum, FileReader, LoadedKey, Part, RdbError};

/// Files pass through buffers of this size.
const BUFFER_BYTES: usize = 1 << 20;
/// A manifest that is larger is none.
const MANIFEST_BYTES_MAX: u64 = 16 << 20;

/// What may be done to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repair {
    /// Nothing.
    None,
    /// What is not whole at its end may be cut away, after a question.
    CutTail,
    /// What was written after this Unix time is cut away.
    CutAfter(i64),
}

/// Where the tools speak, and where answers come from.
pub struct Console<'a> {
    /// Lines for people.
    pub out: &'a mut dyn Write,
    /// Answers to questions, a line each.
    pub answers: &'a mut dyn BufRead,
}

/// Which file of an AOF is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Nothing was written after it.
    Last,
    /// Others do, so that nothing of it may be cut.
    Before,
}

/// Checks an AOF: a manifest with all its files, or a single file with or without an RDB part. True if all is valid, or
/// was made so.
///
/// # Errors
/// Those of the console.
pub fn check_aof(path: &Path, repair: Repair, console: &mut Console<'_>) -> io::Result<bool> {
    match is_manifest(path) {
        Err(error) => {
            writeln!(console.out, "Cannot read {}: {error}", path.display())?;
            Ok(false)
        }
        Ok(true) => check_all(path, repair, console),
        Ok(false) => {
            writeln!(console.out, "This is an AOF of one file.")?;
            check_file(path, Place::Last, repair, console)
        }
    }
}

/// Checks an RDB file. True if it is valid.
///
/// # Errors
/// Those of the console.
pub fn check_rdb(path: &Path, console: &mut Console<'_>) -> io::Result<bool> {
    let file = match File::open(path) {
        Ok(file) => BufReader::with_capacity(BUFFER_BYTES, file),
        Err(error) => {
            writeln!(console.out, "Cannot open {}: {error}", path.display())?;
            return Ok(false);
        }
    };
    writeln!(console.out, "[offset 0] RDB file {}", path.display())?;
    match FileReader::begin(file, i64::MAX as u64, Checksum::On) {
        Ok(mut reader) => check_parts(&mut reader, console),
        Err(error) => {
            writeln!(console.out, "This is not a valid RDB file: {error}")?;
            Ok(false)
        }
    }
}

/// Whether the first line that is no remark names a file, or the file's own name says so.
fn is_manifest(path: &Path) -> io::Result<bool> {
    let mut source = BufReader::new(File::open(path)?);
    loop {
        let mut line = Vec::new();
        io::Read::take(&mut source, LINE_BYTES_MAX as u64).read_until(b'\n', &mut line)?;
        if !line.starts_with(b"#") || !line.ends_with(b"\n") {
            let is_named_so = path.extension().is_some_and(|extension| extension == "manifest");
            return Ok(line.starts_with(b"file ") || is_named_so);
        }
    }
}

fn check_all(path: &Path, repair: Repair, console: &mut Console<'_>) -> io::Result<bool> {
    writeln!(console.out, "This is the manifest of an AOF.")?;
    let manifest = match read_manifest(path) {
        Ok(manifest) => manifest,
        Err(error) => {
            writeln!(console.out, "The manifest {} is not valid: {error}", path.display())?;
            return Ok(false);
        }
    };
    let directory = path.parent().unwrap_or(Path::new(""));
    let files: Vec<PathBuf> = manifest.loaded().map(|file| directory.join(&file.name)).collect();
    if files.is_empty() {
        writeln!(console.out, "It names no file: the AOF is empty.")?;
        return Ok(true);
    }
    let is_empty = |file: &PathBuf| file.metadata().is_ok_and(|metadata| metadata.len() == 0);
    let first_increment = usize::from(manifest.base.is_some());
    for (index, file) in files.iter().enumerate() {
        let is_last =
            index + 1 == files.len() || index >= first_increment && files[index + 1..].iter().all(is_empty);
        let place = if is_last { Place::Last } else { Place::Before };
        if !check_file(file, place, repair, console)? {
            return Ok(false);
        }
    }
    writeln!(console.out, "The manifest and all its files are valid.")?;
    Ok(true)
}

fn read_manifest(path: &Path) -> Result<Manifest, String> {
    let bytes = File::open(path).and_then(|file| {
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut io::Read::take(file, MANIFEST_BYTES_MAX), &mut bytes)?;
        Ok(bytes)
    });
    bytes
        .map_err(|error| error.to_string())
        .and_then(|bytes| Manifest::parse(&bytes).map_err(|error| error.to_string()))
}

/// What reading a file of an AOF comes to.
enum Finding {
    Whole,
    /// What follows was written after the time that was asked for.
    Later {
        valid_bytes: u64,
    },
    /// The records up to there are whole.
    Broken {
        valid_bytes: u64,
        error: AofError,
    },
    /// The RDB part is damaged, and that was said.
    NotSane,
}

fn check_file(path: &Path, place: Place, repair: Repair, console: &mut Console<'_>) -> io::Result<bool> {
    let name = path.display();
    let (file, size) = match File::open(path).and_then(|file| Ok((file.metadata()?.len(), file))) {
        Ok((size, file)) => (file, size),
        Err(error) => {
            writeln!(console.out, "Cannot open {name}: {error}")?;
            return Ok(false);
        }
    };
    if size == 0 {
        writeln!(console.out, "AOF {name} is empty.")?;
        return Ok(true);
    }
    match read_file(path, file, repair, console)? {
        Finding::NotSane => {
            writeln!(console.out, "The RDB part of AOF {name} is not valid, and cannot be repaired.")?;
            Ok(false)
        }
        Finding::Whole => {
            writeln!(console.out, "AOF {name}: size={size}, valid={size}, rest=0")?;
            writeln!(console.out, "AOF {name} is valid.").map(|()| true)
        }
        Finding::Later { valid_bytes: 0 } => {
            writeln!(console.out, "AOF {name} has nothing from before that time. It was left as it is.")?;
            Ok(false)
        }
        Finding::Later { valid_bytes } => cut(path, place, valid_bytes, console),
        Finding::Broken { valid_bytes, error } => {
            let rest = size.saturating_sub(valid_bytes);
            writeln!(console.out, "AOF {name}: {error}")?;
            writeln!(console.out, "AOF {name}: size={size}, valid={valid_bytes}, rest={rest}")?;
            if repair != Repair::CutTail || matches!(error, AofError::Io { .. }) {
                writeln!(console.out, "AOF {name} is not valid.")?;
                if place == Place::Last && repair == Repair::None {
                    writeln!(console.out, "What is not whole at its end can be cut with --fix.")?;
                }
                return Ok(false);
            }
            if place == Place::Last {
                writeln!(
                    console.out,
                    "To cut AOF {name} from {size} to {valid_bytes} bytes loses {rest} bytes."
                )?;
                if !has_agreed(console)? {
                    writeln!(console.out, "It was left as it is.")?;
                    return Ok(false);
                }
            }
            cut(path, place, valid_bytes, console)
        }
    }
}

fn read_file(path: &Path, file: File, repair: Repair, console: &mut Console<'_>) -> io::Result<Finding> {
    let source = BufReader::with_capacity(BUFFER_BYTES, file);
    let mut reader = match Start::of(source, Checksum::On) {
        Ok(Start::Commands(reader)) => reader,
        Ok(Start::Rdb(mut preamble)) => {
            writeln!(console.out, "[offset 0] AOF {} begins with RDB", path.display())?;
            if !check_parts(&mut preamble, console)? {
                return Ok(Finding::NotSane);
            }
            Reader::behind(preamble)
        }
        Err(error @ AofError::Rdb(_)) => {
            writeln!(console.out, "{error}")?;
            return Ok(Finding::NotSane);
        }
        Err(error) => return Ok(Finding::Broken { valid_bytes: 0, error }),
    };
    loop {
        let valid_bytes = reader.valid_bytes();
        match reader.next() {
            Ok(Some(Record::Timestamp { seconds, .. })) => {
                if matches!(repair, Repair::CutAfter(limit) if seconds > limit) {
                    return Ok(Finding::Later { valid_bytes });
                }
            }
            Ok(Some(Record::Command(_))) => {}
            Ok(None) => return Ok(Finding::Whole),
            Err(error) => return Ok(Finding::Broken { valid_bytes, error }),
        }
    }
}

fn has_agreed(console: &mut Console<'_>) -> io::Result<bool> {
    write!(console.out, "Cut it? [y/N]: ")?;
    console.out.flush()?;
    let mut answer = String::new();
    console.answers.read_line(&mut answer)?;
    Ok(answer.trim_start().starts_with(['y', 'Y']))
}

fn cut(path: &Path, place: Place, valid_bytes: u64, console: &mut Console<'_>) -> io::Result<bool> {
    let name = path.display();
    if place == Place::Before {
        writeln!(
            console.out,
            "AOF {name} was not cut, for it is not the last file. To give up all that follows, remove the later files \
             and their lines in the manifest, and run this again."
        )?;
        return Ok(false);
    }
    let result = OpenOptions::new().write(true).open(path).and_then(|file| {
        file.set_len(valid_bytes)?;
        file.sync_all()
    });
    match result {
        Ok(()) => writeln!(console.out, "AOF {name} was cut to {valid_bytes} bytes.").map(|()| true),
        Err(error) => writeln!(console.out, "AOF {name} cannot be cut: {error}").map(|()| false),
    }
}

/// Reads an RDB file to its end and tells what it holds.
fn check_parts<R: BufRead>(reader: &mut FileReader<R>, console: &mut Console<'_>) -> io::Result<bool> {
    let now_ms = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |elapsed| elapsed.as_millis() as u64);
    let (mut keys, mut expiring, mut expired) = (0u64, 0u64, 0u64);
    let mut last_key = None;
    let result: Result<(), RdbError> = loop {
        let offset = reader.offset();
        match reader.next() {
            None => break Ok(()),
            Some(Err(error)) => break Err(error),
            Some(Ok(Part::Aux { name, value })) => {
                writeln!(
                    console.out,
                    "[offset {offset}] {} = '{}'",
                    name.escape_ascii(),
                    value.escape_ascii()
                )?;
            }
            Some(Ok(Part::Select(db))) => writeln!(console.out, "[offset {offset}] Database {db}")?,
            Some(Ok(Part::Function(_))) => writeln!(console.out, "[offset {offset}] A library of functions")?,
            Some(Ok(Part::Resize { .. })) => {}
            Some(Ok(Part::EmptyKey(key))) => {
                writeln!(console.out, "[offset {offset}] '{}' has no elements", key.escape_ascii())?;
            }
            Some(Ok(Part::Key(LoadedKey { entry, .. }))) => {
                keys += 1;
                expiring += u64::from(entry.expire_at_ms().is_some());
                expired += u64::from(entry.is_expired(now_ms));
                last_key = Some(entry);
            }
        }
    };
    let offset = reader.offset();
    match &result {
        Ok(()) => {
            writeln!(console.out, "[offset {offset}] The checksum is right, or there is none; RDB is OK.")?
        }
        Err(error) => {
            writeln!(console.out, "[offset {offset}] RDB error: {error}")?;
            if let Some(entry) = last_key {
                writeln!(console.out, "[info] The last whole key is '{}'", entry.key().escape_ascii())?;
            }
        }
    }
    writeln!(console.out, "[info] {keys} keys read")?;
    writeln!(console.out, "[info] {expiring} expires")?;
    writeln!(console.out, "[info] {expired} already expired")?;
    Ok(result.is_ok())
}
