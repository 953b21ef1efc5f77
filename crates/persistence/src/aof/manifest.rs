//! The manifest: which files make the data set, and in what order.
//!
//! ```text
//! # a comment
//! file appendonly.aof.2.base.rdb seq 2 type b      at most one: the base
//! file appendonly.aof.1.incr.aof seq 1 type h      history: of no use any more, to be deleted
//! file "with space.3.incr.aof" seq 3 type i        increments, in ascending order
//! ```
//!
//! A line is keys and values in any order; a key that is unknown (`startoffset`, `endoffset` of newer servers) is skipped
//! with its value. What redis-server 7.0.15 refuses is refused: a blank line, a last line without its end, a path for a
//! name. So are the few things that it lets pass and misreads: numbers with something behind them, and the names `.` and
//! `..`.
//!
//! The manifest is always replaced whole: written under [`temporary_name`], made durable, and renamed.

use std::fmt;

use rustredis_resp::number::parse_i64;
use rustredis_resp::parse::split_quoted;
use rustredis_resp::quote::quote_if_needed;

/// The longest line, its end included.
pub const LINE_BYTES_MAX: usize = 1024;
/// So much of a line is shown in an error.
const LINE_BYTES_SHOWN: usize = 200;

/// What a file is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// All data as of the moment when the increments begin.
    Base,
    /// Replaced, and to be deleted.
    History,
    /// Commands since the base.
    Increment,
}

impl FileKind {
    fn letter(self) -> char {
        match self {
            Self::Base => 'b',
            Self::History => 'h',
            Self::Increment => 'i',
        }
    }
}

/// How a base is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BaseFormat {
    /// As an RDB file.
    Rdb,
    /// As commands.
    Commands,
}

/// One of the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its name within the directory: never empty, and no path.
    pub name: String,
    /// Its number among the bases or among the increments, from 1 on.
    pub sequence: u64,
    /// What it is there for.
    pub kind: FileKind,
}

/// The files of an AOF.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// Loaded first.
    pub base: Option<File>,
    /// To be deleted.
    pub history: Vec<File>,
    /// Loaded after the base, in this order; their sequence numbers ascend.
    pub increments: Vec<File>,
}

/// A manifest that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestError {
    /// The line, from 1 on.
    pub line: usize,
    /// What stands there, cut if it is long.
    pub text: String,
    /// What is wrong with it.
    pub reason: Reason,
}

/// What is wrong with a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// There is not a single line.
    Empty,
    /// A line is longer than [`LINE_BYTES_MAX`].
    LineTooLong,
    /// The last line does not end: the file was cut.
    LineUnfinished,
    /// Not pairs of keys and values, or quotes that do not close.
    NotPairs,
    /// `file`, `seq` or `type` is missing.
    Incomplete,
    /// A name that is a path or no name, or not UTF-8.
    Name,
    /// A sequence number that is no number from 1 on.
    Sequence,
    /// A type that is none of `b`, `h` and `i`.
    Kind,
    /// A second base.
    SecondBase,
    /// An increment that does not come after the one before.
    Order,
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Empty => "the manifest is empty",
            Self::LineTooLong => "the line is too long",
            Self::LineUnfinished => "the line has no end, the manifest was cut",
            Self::NotPairs => "the line is not pairs of keys and values",
            Self::Incomplete => "a line needs 'file', 'seq' and 'type'",
            Self::Name => "the file must be named by its name alone, not by a path",
            Self::Sequence => "the sequence number is not a number from 1 on",
            Self::Kind => "the type of the file is none of b, h and i",
            Self::SecondBase => "there is a base file already",
            Self::Order => "the sequence number is not above that of the increment before",
        })
    }
}

impl fmt::Display for ManifestError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason {
            Reason::Empty => write!(formatter, "{}", self.reason),
            reason => write!(formatter, "line {}: {reason}: '{}'", self.line, self.text),
        }
    }
}

impl std::error::Error for ManifestError {}

/// The manifest's own name, for the value of `appendfilename`.
pub fn manifest_name(append_filename: &str) -> String {
    format!("{append_filename}.manifest")
}

/// The name under which a file is written before it is renamed to `name`.
pub fn temporary_name(name: &str) -> String {
    format!("temp-{name}")
}

/// The name of the base with this number.
pub fn base_name(append_filename: &str, sequence: u64, format: BaseFormat) -> String {
    let extension = match format {
        BaseFormat::Rdb => "rdb",
        BaseFormat::Commands => "aof",
    };
    format!("{append_filename}.{sequence}.base.{extension}")
}

/// The name of the increment with this number.
pub fn increment_name(append_filename: &str, sequence: u64) -> String {
    format!("{append_filename}.{sequence}.incr.aof")
}

impl Manifest {
    /// The manifest that makes an AOF of one file (before 7.0) the base of one of several, under its old name.
    pub fn of_old_file(name: &str) -> Self {
        let base = File { name: name.to_owned(), sequence: 1, kind: FileKind::Base };
        Self { base: Some(base), ..Self::default() }
    }

    /// Reads a manifest. O(length).
    ///
    /// # Errors
    /// Each [`Reason`], with its line.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let mut manifest = Self::default();
        let mut lines = 0;
        for (index, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
            lines = index + 1;
            let error = |reason| ManifestError { line: lines, text: shown(line), reason };
            if line.len() > LINE_BYTES_MAX {
                return Err(error(Reason::LineTooLong));
            }
            if !line.ends_with(b"\n") {
                return Err(error(Reason::LineUnfinished));
            }
            if line[0] != b'#' {
                parse_line(line).and_then(|file| manifest.add(file)).map_err(error)?;
            }
        }
        if lines == 0 {
            return Err(ManifestError { line: 0, text: String::new(), reason: Reason::Empty });
        }
        Ok(manifest)
    }

    fn add(&mut self, file: File) -> Result<(), Reason> {
        match file.kind {
            FileKind::Base if self.base.is_some() => return Err(Reason::SecondBase),
            FileKind::Base => self.base = Some(file),
            FileKind::History => self.history.push(file),
            FileKind::Increment => {
                if self.increments.last().is_some_and(|last| last.sequence >= file.sequence) {
                    return Err(Reason::Order);
                }
                self.increments.push(file);
            }
        }
        Ok(())
    }

    /// The bytes of its file, as redis-server 7.0 reads them.
    pub fn format(&self) -> Vec<u8> {
        let mut text = Vec::new();
        for file in self.base.iter().chain(&self.history).chain(&self.increments) {
            text.extend_from_slice(b"file ");
            quote_if_needed(&mut text, file.name.as_bytes());
            text.extend_from_slice(
                format!(" seq {} type {}\n", file.sequence, file.kind.letter()).as_bytes(),
            );
        }
        text
    }

    /// The files that make the data set, in the order in which they are loaded.
    pub fn loaded(&self) -> impl DoubleEndedIterator<Item = &File> {
        self.base.iter().chain(&self.increments)
    }

    /// The next base, which is not part of the manifest before [`Manifest::replace_base`].
    pub fn next_base(&self, append_filename: &str, format: BaseFormat) -> File {
        let current = self.base.as_ref().map_or(0, |base| base.sequence);
        let sequence = current.max(self.newest_in_history(&[".base.rdb", ".base.aof"])) + 1;
        File { name: base_name(append_filename, sequence, format), sequence, kind: FileKind::Base }
    }

    /// The next increment, which is not part of the manifest before [`Manifest::push_increment`].
    pub fn next_increment(&self, append_filename: &str) -> File {
        let current = self.increments.last().map_or(0, |increment| increment.sequence);
        let sequence = current.max(self.newest_in_history(&[".incr.aof"])) + 1;
        File { name: increment_name(append_filename, sequence), sequence, kind: FileKind::Increment }
    }

    /// A file that is yet to be deleted must not be written anew under its name.
    fn newest_in_history(&self, endings: &[&str]) -> u64 {
        let is_meant = |file: &&File| endings.iter().any(|ending| file.name.ends_with(ending));
        self.history.iter().filter(is_meant).map(|file| file.sequence).max().unwrap_or(0)
    }

    /// Adds an increment behind all others.
    ///
    /// # Panics
    /// If its number is not above theirs: a bug of ours.
    pub fn push_increment(&mut self, increment: File) {
        assert_eq!(increment.kind, FileKind::Increment);
        let is_ascending = self.increments.last().is_none_or(|last| last.sequence < increment.sequence);
        assert!(is_ascending, "increments have ascending numbers");
        self.increments.push(increment);
    }

    /// Makes `base` the base, and history of the old base and of all increments below `first_kept`, which the new base
    /// contains.
    pub fn replace_base(&mut self, base: File, first_kept: u64) {
        assert_eq!(base.kind, FileKind::Base);
        let replaced = self.base.replace(base);
        let contained = self.increments.partition_point(|increment| increment.sequence < first_kept);
        for mut file in replaced.into_iter().chain(self.increments.drain(..contained)) {
            file.kind = FileKind::History;
            self.history.push(file);
        }
    }
}

fn parse_line(line: &[u8]) -> Result<File, Reason> {
    let mut text = Vec::new();
    let mut words = Vec::new();
    let is_closed =
        split_quoted(line, &mut text, |start, len| words.push(start as usize..(start + len) as usize));
    if !is_closed || words.is_empty() || !words.len().is_multiple_of(2) {
        return Err(Reason::NotPairs);
    }
    let (mut name, mut sequence, mut kind) = (None, None, None);
    for pair in words.chunks_exact(2) {
        let (key, value) = (&text[pair[0].clone()], &text[pair[1].clone()]);
        if key.eq_ignore_ascii_case(b"file") {
            name = Some(parse_name(value).ok_or(Reason::Name)?);
        } else if key.eq_ignore_ascii_case(b"seq") {
            sequence = Some(parse_sequence(value).ok_or(Reason::Sequence)?);
        } else if key.eq_ignore_ascii_case(b"type") {
            kind = Some(parse_kind(value).ok_or(Reason::Kind)?);
        }
    }
    match (name, sequence, kind) {
        (Some(name), Some(sequence), Some(kind)) => Ok(File { name, sequence, kind }),
        _ => Err(Reason::Incomplete),
    }
}

fn parse_name(value: &[u8]) -> Option<String> {
    let is_name = !value.is_empty()
        && !value.iter().any(|byte| matches!(byte, b'/' | b'\\' | 0))
        && !matches!(value, b"." | b"..");
    is_name.then(|| String::from_utf8(value.to_vec()).ok())?
}

fn parse_sequence(value: &[u8]) -> Option<u64> {
    parse_i64(value).filter(|sequence| (1..i64::MAX).contains(sequence)).map(i64::unsigned_abs)
}

fn parse_kind(value: &[u8]) -> Option<FileKind> {
    [FileKind::Base, FileKind::History, FileKind::Increment]
        .into_iter()
        .find(|kind| value == [kind.letter() as u8])
}

fn shown(line: &[u8]) -> String {
    let cut = &line[..line.len().min(LINE_BYTES_SHOWN)];
    String::from_utf8_lossy(cut).trim().escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, sequence: u64, kind: FileKind) -> File {
        File { name: name.to_owned(), sequence, kind }
    }

    #[track_caller]
    fn check_refused(text: &str, line: usize, reason: Reason) {
        let error = Manifest::parse(text.as_bytes()).unwrap_err();
        assert_eq!((error.line, error.reason), (line, reason), "{error}");
    }

    /// Each of these was given to redis-server 7.0.15, which took it.
    #[test]
    fn what_redis_reads_is_read() {
        let one = |text: &str| {
            let mut manifest = Manifest::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
            manifest.increments.pop().unwrap()
        };
        let plain = file("appendonly.aof.1.incr.aof", 1, FileKind::Increment);
        assert_eq!(one("file appendonly.aof.1.incr.aof seq 1 type i\n"), plain);
        assert_eq!(one("file appendonly.aof.1.incr.aof seq 1 type i\r\n"), plain);
        assert_eq!(one("# remark\n  TYPE i\tSEQ 1 File appendonly.aof.1.incr.aof\n"), plain);
        assert_eq!(one("file appendonly.aof.1.incr.aof seq 1 type i startoffset 5 endoffset 9\n"), plain);
        assert_eq!(one("file \"a b\" seq 7 type i\n"), file("a b", 7, FileKind::Increment));
        assert_eq!(Manifest::parse(b"# nothing yet\n").unwrap(), Manifest::default());
        let all = b"file i1 seq 1 type i\nfile b2 seq 2 type b\nfile h seq 9 type h\nfile i3 seq 3 type i\n";
        let manifest = Manifest::parse(all).unwrap();
        assert_eq!(manifest.base, Some(file("b2", 2, FileKind::Base)));
        assert_eq!(manifest.history, [file("h", 9, FileKind::History)]);
        assert_eq!(
            manifest.loaded().map(|file| file.name.as_str()).collect::<Vec<_>>(),
            ["b2", "i1", "i3"],
            "the base first, wherever it stands"
        );
    }

    /// All but those marked were given to redis-server 7.0.15, which refused them.
    #[test]
    fn what_is_broken_is_refused_with_its_line() {
        let good = "file a seq 1 type i\n";
        check_refused("", 0, Reason::Empty);
        check_refused("file a seq 1 type i", 1, Reason::LineUnfinished);
        check_refused(&format!("{good}\n"), 2, Reason::NotPairs);
        check_refused(" # no comment\n", 1, Reason::NotPairs);
        check_refused("file a seq 1 type i startoffset\n", 1, Reason::NotPairs);
        check_refused("file \"a seq 1 type i\n", 1, Reason::NotPairs);
        check_refused("file a seq 1\n", 1, Reason::Incomplete);
        check_refused("seq 1 type i file ./a\n", 1, Reason::Name);
        check_refused("seq 1 type i file ..\n", 1, Reason::Name); // Redis tries to open it.
        check_refused("file a seq -1 type i\n", 1, Reason::Sequence);
        check_refused("file a seq 0 type i\n", 1, Reason::Sequence);
        check_refused("file a seq 1x type i\n", 1, Reason::Sequence); // Redis reads 1.
        check_refused("file a seq 1 type I\n", 1, Reason::Kind);
        check_refused("file a seq 1 type b\nfile b seq 2 type b\n", 2, Reason::SecondBase);
        check_refused("file b seq 2 type i\n#\nfile a seq 1 type i\n", 3, Reason::Order);
        check_refused(&format!("{good}{good}"), 2, Reason::Order);
        check_refused(&format!("{good}#{}\n", "x".repeat(LINE_BYTES_MAX)), 2, Reason::LineTooLong);
        let longest = format!("#{}\n{good}", "x".repeat(LINE_BYTES_MAX - 2));
        assert!(Manifest::parse(longest.as_bytes()).is_ok());
        let error = Manifest::parse(b"file a seq 1 type \x1b\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "line 1: the type of the file is none of b, h and i: 'file a seq 1 type \\u{1b}'"
        );
    }

    #[test]
    fn what_is_written_is_read() {
        let manifest = Manifest {
            base: Some(file("appendonly.aof.2.base.rdb", 2, FileKind::Base)),
            history: vec![file("it's \"old\"\n", 1, FileKind::History)],
            increments: vec![
                file("with space.3.incr.aof", 3, FileKind::Increment),
                file("größe.4.incr.aof", 4, FileKind::Increment),
            ],
        };
        assert_eq!(Manifest::parse(&manifest.format()).unwrap(), manifest);
        assert!(manifest.format().starts_with(b"file appendonly.aof.2.base.rdb seq 2 type b\n"));
    }

    #[test]
    fn a_rewrite_makes_history_of_what_it_contains() {
        let mut manifest = Manifest::default();
        for _ in 0..3 {
            manifest.push_increment(manifest.next_increment("appendonly.aof"));
        }
        assert_eq!(manifest.increments[2].name, "appendonly.aof.3.incr.aof");
        let base = manifest.next_base("appendonly.aof", BaseFormat::Commands);
        assert_eq!((base.name.as_str(), base.sequence), ("appendonly.aof.1.base.aof", 1));
        manifest.replace_base(base, 3);
        assert_eq!(manifest.history.len(), 2);
        assert_eq!(manifest.increments.len(), 1);
        let base = manifest.next_base("appendonly.aof", BaseFormat::Rdb);
        assert_eq!(base.name, "appendonly.aof.2.base.rdb");
        manifest.replace_base(base, u64::MAX);
        assert!(manifest.increments.is_empty());
        assert!(manifest.history.iter().all(|file| file.kind == FileKind::History));
        assert_eq!(manifest.next_increment("appendonly.aof").sequence, 4, "3 is still on the disk");
        assert_eq!(Manifest::parse(&manifest.format()).unwrap(), manifest);
    }

    #[test]
    fn an_old_file_becomes_the_base() {
        let manifest = Manifest::of_old_file("appendonly.aof");
        assert_eq!(manifest.format(), b"file appendonly.aof seq 1 type b\n");
        assert_eq!(manifest.next_base("appendonly.aof", BaseFormat::Rdb).sequence, 2);
        assert_eq!(temporary_name(&manifest_name("appendonly.aof")), "temp-appendonly.aof.manifest");
    }
}
