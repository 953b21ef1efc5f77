//! What a batch needs besides its connection: the commands, resolved and hashed, and room for their effects.

use std::ops::{Deref, DerefMut};

use rustredis_acl::User;
use rustredis_commands::{Args, CommandError, Flags, KeyRef, Recent, Registry, Row, Rules};
use rustredis_keyspace::Effects;
use rustredis_resp::Batch;

/// A command of the batch, ready to run.
#[derive(Clone, Copy, Debug)]
pub struct Prepared {
    /// Its row, or [`NO_ROW`].
    pub row: u16,
    first_key: u32,
    /// Its keys.
    pub keys: u32,
}

/// Stands for the row of a command that is none; `Scratch::errors` knows why.
pub const NO_ROW: u16 = u16::MAX;

/// The commands of a batch, ready to run.
#[derive(Debug, Default)]
pub struct Commands {
    /// Complete commands of the input.
    pub batch: Batch,
    /// The commands, ready to run.
    pub prepared: Vec<Prepared>,
    /// Why a command has no row, by its index.
    errors: Vec<(usize, CommandError)>,
    keys: Vec<KeyRef>,
    /// Behind the last command that the caller is known to be allowed: the short way ends there.
    allowed: usize,
}

/// What executing needs besides the connection; lent by the worker for the time of a batch.
#[derive(Debug, Default)]
pub struct Scratch {
    /// The commands, apart from the rest: other threads may read them.
    pub commands: Commands,
    /// Effects of the command that runs; none while they are lent.
    effects: Option<Box<Effects>>,
    /// Room for the shards of a plan.
    pub shards: Vec<u32>,
    /// Room for whose each command is.
    pub owners: Vec<u16>,
}

impl Deref for Scratch {
    type Target = Commands;

    #[inline]
    fn deref(&self) -> &Commands {
        &self.commands
    }
}

impl DerefMut for Scratch {
    #[inline]
    fn deref_mut(&mut self) -> &mut Commands {
        &mut self.commands
    }
}

impl Scratch {
    /// Lends the effects, as a pointer: to move them out and in again is two copies and a drop in each batch.
    #[inline]
    pub fn take_effects(&mut self) -> Box<Effects> {
        self.effects.take().unwrap_or_default()
    }

    /// Takes the effects back.
    #[inline]
    pub fn give_effects(&mut self, effects: Box<Effects>) {
        self.effects = Some(effects);
    }
}

impl Commands {
    /// Resolves and hashes the commands of the batch.
    pub fn prepare(&mut self, registry: &Registry, input: &[u8]) {
        self.prepared.clear();
        self.errors.clear();
        self.allowed = 0;
        self.keys.clear();
        let mut recent = Recent::default();
        for index in 0..self.batch.len() {
            let (text, spans) = self.batch.command(index, input);
            let args = Args::new(text, spans, &[]);
            let first_key = self.keys.len() as u32;
            let row = match registry.resolve_next(args, &mut recent) {
                Ok(row) => {
                    row.hash_keys(args, &mut self.keys);
                    row.id
                }
                Err(error) => {
                    self.errors.push((index, error));
                    NO_ROW
                }
            };
            let keys = self.keys.len() as u32 - first_key;
            self.prepared.push(Prepared { row, first_key, keys });
        }
    }

    /// Whether a command of the batch may change the data set.
    pub fn writes(&self, registry: &Registry) -> bool {
        let writes = |row: &Row| {
            let (flags, rules) = (row.command.flags, row.command.rules);
            let runs_writes = rules.has_any(Rules::RUNS_QUEUE.with(Rules::RUNS_SCRIPT));
            flags.has(Flags::WRITE) || runs_writes && !flags.has(Flags::READONLY)
        };
        self.prepared.iter().any(|prepared| prepared.row != NO_ROW && writes(registry.row(prepared.row)))
    }

    /// The row of a command, or why there is none.
    pub fn row(&self, index: usize) -> Result<u16, &CommandError> {
        match self.prepared[index].row {
            NO_ROW => {
                let error = self.errors.iter().find(|(of, _)| *of == index).map(|(_, error)| error);
                Err(error.expect("a command without a row has an error"))
            }
            row => Ok(row),
        }
    }

    /// Takes all commands for allowed.
    #[inline]
    pub fn allow_all(&mut self) {
        self.allowed = self.prepared.len();
    }

    /// Forgets which commands the caller is allowed.
    #[inline]
    pub fn forget_allowed(&mut self) {
        self.allowed = 0;
    }

    /// Looks how far from `first` on there are only plain commands that this user may run in this database; whether the first is one.
    pub fn allow(&mut self, registry: &Registry, user: &User, db: usize, first: usize, input: &[u8]) -> bool {
        if first < self.allowed {
            return true;
        }
        let mut end = first;
        while let Some(Prepared { row, .. }) = self.prepared.get(end).filter(|next| next.row != NO_ROW) {
            let row = registry.row(*row);
            if !row.is_plain || user.check(row, self.args(end, input), db).is_err() {
                break;
            }
            end += 1;
        }
        self.allowed = end;
        end > first
    }

    /// The commands up to the last that may go the short way.
    #[inline]
    pub fn allowed(&self) -> &[Prepared] {
        &self.prepared[..self.allowed]
    }

    /// The command at `index` with its row, if it may go the short way.
    #[inline]
    pub fn plain<'a>(
        &'a self,
        registry: &'a Registry,
        index: usize,
        input: &'a [u8],
    ) -> Option<(&'a Row, Args<'a>)> {
        let Prepared { row, .. } = *self.allowed().get(index)?;
        let row = Some(row).filter(|row| *row != NO_ROW).map(|row| registry.row(row))?;
        row.is_plain.then(|| (row, self.args(index, input)))
    }

    /// The keys of some commands in a row.
    pub fn keys_of(&self, range: std::ops::Range<usize>) -> &[KeyRef] {
        let first = self.prepared[range.start].first_key as usize;
        let last = &self.prepared[range.end - 1];
        &self.keys[first..(last.first_key + last.keys) as usize]
    }

    /// The hash of a command's first key.
    #[inline]
    pub fn first_key(&self, index: usize) -> Option<u64> {
        let Prepared { first_key, keys, .. } = self.prepared[index];
        (keys > 0).then(|| self.keys[first_key as usize].hash)
    }

    /// The command at `index` with its row, if it runs a script.
    #[inline]
    pub fn script<'a>(
        &'a self,
        registry: &'a Registry,
        index: usize,
        input: &'a [u8],
    ) -> Option<(&'a Row, Args<'a>)> {
        let Prepared { row, .. } = *self.prepared.get(index)?;
        let row = Some(row).filter(|row| *row != NO_ROW).map(|row| registry.row(row))?;
        row.command.rules.has(Rules::RUNS_SCRIPT).then(|| (row, self.args(index, input)))
    }

    /// The arguments of a command, with their keys.
    #[inline]
    pub fn args<'a>(&'a self, index: usize, input: &'a [u8]) -> Args<'a> {
        let (text, spans) = self.batch.command(index, input);
        let Prepared { first_key, keys, .. } = self.prepared[index];
        Args::new(text, spans, &self.keys[first_key as usize..(first_key + keys) as usize])
    }
}
