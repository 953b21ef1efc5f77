//! What compiled code does with globals: Lua 5.1's dump of a function, read for one instruction and for names.
//!
//! Only dumps that Lua has just made are read, never a script's; what cannot be read counts as doing all.

/// `OP_SETGLOBAL`.
const SET_GLOBAL: u32 = 7;

/// Bits of an instruction that say which it is.
const OPERATION: u32 = 0x3f;

/// Bytes of the head: signature, version, and the sizes of C's types, which are those of the process.
const HEAD_BYTES: usize = 12;

/// The globals by which code finds others whose names it does not hold: the table of all, and what compiles further code.
const WAYS: [&[u8]; 3] = [b"_G", b"load", b"loadstring"];

/// What a function, or one in it, may do with globals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Globals {
    /// Assign one.
    pub(super) assigns: bool,
    /// Read KEYS.
    pub(crate) reads_keys: bool,
    /// Read ARGV.
    pub(crate) reads_arguments: bool,
}

impl Globals {
    const NONE: Self = Self { assigns: false, reads_keys: false, reads_arguments: false };
    /// Whatever can be done.
    pub(super) const ALL: Self = Self { assigns: true, reads_keys: true, reads_arguments: true };

    /// What the function in this dump may do. A global is read by its name, which is one of the function's constants, so whoever has neither
    /// the name nor another way to it does not read it.
    pub(super) fn of(code: &[u8]) -> Self {
        let mut reader = Reader { rest: code.get(HEAD_BYTES..).unwrap_or_default(), globals: Self::NONE };
        match reader.function(0) {
            Some(()) => reader.globals,
            None => Self::ALL,
        }
    }

    /// Takes note of a string among the constants.
    fn note(&mut self, text: &[u8]) {
        let finds_all = WAYS.contains(&text);
        self.reads_keys |= finds_all || text == b"KEYS";
        self.reads_arguments |= finds_all || text == b"ARGV";
    }
}

/// Functions in functions; Lua's compiler allows 200.
const DEPTH_MAX: u32 = 250;

struct Reader<'c> {
    rest: &'c [u8],
    globals: Globals,
}

impl<'c> Reader<'c> {
    /// Reads the function that begins here; `None` if it cannot be read.
    fn function(&mut self, depth: u32) -> Option<()> {
        if depth > DEPTH_MAX {
            return None;
        }
        self.text()?;
        // The lines, and four counts of a byte each.
        self.skip(2 * size_of::<i32>() + 4)?;
        let count = self.count()?;
        let code = self.take(count.checked_mul(size_of::<u32>())?)?;
        // What follows some instructions is data; at worst it is mistaken for an assignment.
        self.globals.assigns |= code.chunks_exact(size_of::<u32>()).any(|instruction| {
            let instruction = instruction.try_into().map_or(SET_GLOBAL, u32::from_ne_bytes);
            instruction & OPERATION == SET_GLOBAL
        });
        for _ in 0..self.count()? {
            match self.take(1)? {
                [0] => {}
                [1] => self.skip(1)?,
                [3] => self.skip(size_of::<f64>())?,
                [4] => {
                    let text = self.text()?;
                    self.globals.note(text.strip_suffix(b"\0").unwrap_or(text));
                }
                _ => return None,
            }
        }
        for _ in 0..self.count()? {
            self.function(depth + 1)?;
        }
        // Lines of instructions, names of locals, names of upvalues.
        let lines = self.count()?;
        self.skip(lines.checked_mul(size_of::<i32>())?)?;
        for _ in 0..self.count()? {
            self.text()?;
            self.skip(2 * size_of::<i32>())?;
        }
        for _ in 0..self.count()? {
            self.text()?;
        }
        Some(())
    }

    fn take(&mut self, bytes: usize) -> Option<&'c [u8]> {
        let (taken, rest) = self.rest.split_at_checked(bytes)?;
        self.rest = rest;
        Some(taken)
    }

    fn skip(&mut self, bytes: usize) -> Option<()> {
        self.take(bytes).map(|_| ())
    }

    fn count(&mut self) -> Option<usize> {
        let bytes = self.take(size_of::<i32>())?.try_into().ok()?;
        usize::try_from(i32::from_ne_bytes(bytes)).ok()
    }

    /// A string, with the zero byte behind it.
    fn text(&mut self) -> Option<&'c [u8]> {
        let bytes = self.take(size_of::<usize>())?.try_into().ok()?;
        self.take(usize::from_ne_bytes(bytes))
    }
}
