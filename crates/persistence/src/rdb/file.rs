//! Whole files: their parts in order, written and read.
//!
//! ```text
//! header | aux fields | for each database: SELECTDB, RESIZEDB, keys | EOF, checksum
//! key    [expiry] [idle time or frequency] type key value
//! ```
//!
//! Neither side knows a keyspace: [`FileWriter`] is handed entries, [`FileReader`] hands out parts, so that a file may
//! come from a disk or from a replication link, at once or a part at a time.

use std::io::{BufRead, Write};

use rustredis_keyspace::Entry;

use super::{
    Checksum, Compression, Encoded, RdbError, Reader, VERSION_WRITTEN, Writer, opcode, open_any_dump,
    read_value, seal_dump, value_type,
};

/// How a key was used, as far as a file remembers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// Seconds since the last access.
    Idle(u64),
    /// The access counter of LFU.
    Frequency(u8),
}

/// Writes a file.
pub struct FileWriter<W> {
    writer: Writer<W>,
    version: u16,
}

impl<W: Write> FileWriter<W> {
    /// Begins a file of that version, which must be at least that of each value ([`Encoded::version`]).
    pub fn begin(sink: W, version: u16, compression: Compression) -> Result<Self, RdbError> {
        let mut writer = Writer::new(sink, compression);
        writer.write_header(version)?;
        Ok(Self { writer, version })
    }

    /// A remark about the file. Readers skip those that they do not know.
    pub fn aux(&mut self, name: &str, value: &str) -> Result<(), RdbError> {
        self.writer.write_byte(opcode::AUX)?;
        self.writer.write_string(name.as_bytes())?;
        self.writer.write_string(value.as_bytes())
    }

    /// A library of functions: its source. Before the first key.
    pub fn function(&mut self, source: &[u8]) -> Result<(), RdbError> {
        write_function(&mut self.writer, source)
    }

    /// The database of the keys that follow, and about how many they are.
    pub fn select(&mut self, db: usize, keys: usize, expiring_keys: usize) -> Result<(), RdbError> {
        self.writer.write_byte(opcode::SELECT_DB)?;
        self.writer.write_length(db as u64)?;
        self.writer.write_byte(opcode::RESIZE_DB)?;
        self.writer.write_length(keys as u64)?;
        self.writer.write_length(expiring_keys as u64)
    }

    /// A key with its value. O(bytes).
    ///
    /// # Errors
    /// Those of the sink.
    pub fn entry(&mut self, entry: &Entry, usage: Option<Usage>) -> Result<(), RdbError> {
        debug_assert!(Encoded::of(entry).version() <= self.version, "the version covers every value");
        write_key(&mut self.writer, entry, usage)
    }

    /// Keys of the selected database that [`encode_key`] has encoded.
    pub fn encoded_keys(&mut self, keys: &[u8]) -> Result<(), RdbError> {
        self.writer.write_bytes(keys)
    }

    /// The database of the keys that follow, once more or without knowing how many they are.
    pub fn select_again(&mut self, db: usize) -> Result<(), RdbError> {
        self.writer.write_byte(opcode::SELECT_DB)?;
        self.writer.write_length(db as u64)
    }

    /// How many bytes were written.
    pub fn offset(&self) -> u64 {
        self.writer.offset()
    }

    /// Ends the file, flushes the sink and hands it back.
    pub fn finish(mut self, checksum: Checksum) -> Result<W, RdbError> {
        self.writer.write_end(self.version, checksum)?;
        self.writer.into_sink()
    }
}

fn write_function<W: Write>(writer: &mut Writer<W>, source: &[u8]) -> Result<(), RdbError> {
    writer.write_byte(opcode::FUNCTION)?;
    writer.write_string(source)
}

/// The payload of FUNCTION DUMP for libraries of these sources. O(bytes).
///
/// # Errors
/// None but those of memory, which takes all bytes.
pub fn dump_functions<'s>(sources: impl Iterator<Item = &'s [u8]>) -> Result<Vec<u8>, RdbError> {
    let mut writer = Writer::in_memory(Vec::new(), Compression::Lzf);
    for source in sources {
        write_function(&mut writer, source)?;
    }
    let mut payload = writer.into_buffer();
    seal_dump(&mut payload, VERSION_WRITTEN);
    Ok(payload)
}

/// A library's source has this many bytes at most.
const SOURCE_BYTES_MAX: u64 = 512 << 20;

/// The sources of the libraries in a payload of FUNCTION DUMP. O(bytes).
///
/// # Errors
/// If it is none.
pub fn restore_functions(payload: &[u8]) -> Result<Vec<Vec<u8>>, RdbError> {
    // Without libraries there is nothing before the footer.
    let (_, content) = open_any_dump(payload, Checksum::On)?;
    let mut reader = Reader::new(content, SOURCE_BYTES_MAX);
    let mut sources = Vec::new();
    while reader.offset() < content.len() as u64 {
        let offset = reader.offset();
        match reader.read_byte()? {
            opcode::FUNCTION => sources.push(reader.read_string()?),
            _ => return Err(RdbError::Unsupported { offset, what: "what is no function" }),
        }
    }
    Ok(sources)
}

/// Appends a key with its value, as a file has it, to be put into one by [`FileWriter::encoded_keys`]. O(bytes).
///
/// # Errors
/// None, for the sink is a vector.
pub fn encode_key(
    entry: &Entry,
    usage: Option<Usage>,
    compression: Compression,
    out: &mut Vec<u8>,
) -> Result<(), RdbError> {
    let mut writer = Writer::in_memory(std::mem::take(out), compression);
    let result = write_key(&mut writer, entry, usage);
    *out = writer.into_buffer();
    result
}

fn write_key<W: Write>(writer: &mut Writer<W>, entry: &Entry, usage: Option<Usage>) -> Result<(), RdbError> {
    let encoded = Encoded::of(entry);
    if let Some(at_ms) = entry.expire_at_ms() {
        writer.write_byte(opcode::EXPIRE_TIME_MS)?;
        writer.write_millis(i64::try_from(at_ms).unwrap_or(i64::MAX))?;
    }
    match usage {
        Some(Usage::Idle(seconds)) => {
            writer.write_byte(opcode::IDLE)?;
            writer.write_length(seconds)?;
        }
        Some(Usage::Frequency(counter)) => {
            writer.write_byte(opcode::FREQUENCY)?;
            writer.write_byte(counter)?;
        }
        None => {}
    }
    writer.write_byte(encoded.value_type())?;
    writer.write_string(entry.key())?;
    encoded.write(writer)
}

/// Longer keys are refused: an entry tells the length of its key in 32 bits.
const KEY_BYTES_MAX: usize = u32::MAX as usize;

/// A key as a file has it.
#[derive(Debug)]
pub struct LoadedKey {
    /// The key with its value and expiry. Its access clock is yet to be set.
    pub entry: Entry,
    /// How it was used.
    pub usage: Option<Usage>,
}

/// A part of a file.
#[derive(Debug)]
pub enum Part {
    /// A remark.
    Aux {
        /// What about.
        name: Vec<u8>,
        /// What.
        value: Vec<u8>,
    },
    /// The database of what follows.
    Select(u64),
    /// How many keys are to come, and how many of them expire. A hint.
    Resize {
        /// Keys.
        keys: u64,
        /// Keys that expire.
        expiring_keys: u64,
    },
    /// The source of a library of functions.
    Function(Vec<u8>),
    /// A key.
    Key(LoadedKey),
    /// A collection of no elements, which some old versions wrote: its key.
    EmptyKey(Vec<u8>),
}

/// Reads a file.
pub struct FileReader<R> {
    reader: Reader<R>,
    version: u16,
    checksum: Checksum,
    is_done: bool,
    /// The key under way; kept for its memory.
    key: Vec<u8>,
}

impl<R: BufRead> FileReader<R> {
    /// Begins with the header. The source should be buffered; strings may have `string_bytes_max` bytes.
    ///
    /// # Errors
    /// `NotRdb`, `UnsupportedVersion`.
    pub fn begin(source: R, string_bytes_max: u64, checksum: Checksum) -> Result<Self, RdbError> {
        let mut reader = Reader::new(source, string_bytes_max);
        let version = reader.read_header()?;
        Ok(Self { reader, version, checksum, is_done: false, key: Vec::new() })
    }

    /// How many bytes were read.
    pub fn offset(&self) -> u64 {
        self.reader.offset()
    }

    /// The source, right behind what was read.
    pub fn into_source(self) -> R {
        self.reader.into_source()
    }

    /// The next part; `None` behind the last, whose checksum is right. After an error there is none.
    #[expect(clippy::should_implement_trait, reason = "an iterator over results invites to skip errors")]
    pub fn next(&mut self) -> Option<Result<Part, RdbError>> {
        if self.is_done {
            return None;
        }
        let part = self.read_part();
        self.is_done = !matches!(part, Ok(Some(_)));
        part.transpose()
    }

    fn read_part(&mut self) -> Result<Option<Part>, RdbError> {
        let reader = &mut self.reader;
        let (mut expire_at_ms, mut usage) = (None, None);
        loop {
            let offset = reader.offset();
            let part = match reader.read_byte()? {
                opcode::EXPIRE_TIME => {
                    let seconds = i64::from(reader.read_seconds()?);
                    expire_at_ms = unix_ms(seconds.saturating_mul(1000));
                    continue;
                }
                opcode::EXPIRE_TIME_MS => {
                    expire_at_ms = unix_ms(reader.read_millis()?);
                    continue;
                }
                opcode::IDLE => {
                    usage = Some(Usage::Idle(reader.read_length()?));
                    continue;
                }
                opcode::FREQUENCY => {
                    usage = Some(Usage::Frequency(reader.read_byte()?));
                    continue;
                }
                opcode::SLOT_INFO => {
                    for _ in 0..3 {
                        reader.read_length()?;
                    }
                    continue;
                }
                opcode::AUX => Part::Aux { name: reader.read_string()?, value: reader.read_string()? },
                opcode::SELECT_DB => Part::Select(reader.read_length()?),
                opcode::RESIZE_DB => {
                    Part::Resize { keys: reader.read_length()?, expiring_keys: reader.read_length()? }
                }
                opcode::FUNCTION => Part::Function(reader.read_string()?),
                opcode::FUNCTION_PRE_RELEASE => {
                    return Err(RdbError::Unsupported { offset, what: "a function of a release candidate" });
                }
                opcode::MODULE_AUX => {
                    return Err(RdbError::Unsupported { offset, what: "a module's data" });
                }
                opcode::EOF => {
                    reader.read_checksum(self.version, self.checksum)?;
                    return Ok(None);
                }
                value_type => return self.read_key(value_type, expire_at_ms, usage).map(Some),
            };
            return Ok(Some(part));
        }
    }

    /// Key and value. A string becomes an entry at once, without a copy in between.
    fn read_key(
        &mut self,
        value_type: u8,
        expire_at_ms: Option<u64>,
        usage: Option<Usage>,
    ) -> Result<Part, RdbError> {
        let (reader, key) = (&mut self.reader, &mut self.key);
        let offset = reader.offset();
        reader.with_string(|bytes| {
            key.clear();
            key.extend_from_slice(bytes);
        })?;
        if key.len() > KEY_BYTES_MAX {
            return Err(RdbError::TooLong { offset, length: key.len() as u64 });
        }
        let entry = if value_type == value_type::STRING {
            reader.with_string(|value| Entry::string(key, value, expire_at_ms))?
        } else {
            match read_value(reader, value_type)? {
                Some(value) => Entry::new(key, value, expire_at_ms),
                None => return Ok(Part::EmptyKey(std::mem::take(key))),
            }
        };
        Ok(Part::Key(LoadedKey { entry, usage }))
    }
}

/// -1 stands for no expiry; a time before 1970 is as good as its first moment.
fn unix_ms(millis: i64) -> Option<u64> {
    (millis != -1).then(|| u64::try_from(millis).unwrap_or(0))
}
