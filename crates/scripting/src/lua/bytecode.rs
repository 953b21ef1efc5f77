//! What compiled code does with globals: Lua 5.1's dump of a function, read for one instruction.
//!
//! Only dumps that Lua has just made are read, never a script's; what cannot be read counts as assigning.

/// `OP_SETGLOBAL`.
const SET_GLOBAL: u32 = 7;

/// Bits of an instruction that say which it is.
const OPERATION: u32 = 0x3f;

/// Bytes of the head: signature, version, and the sizes of C's types, which are those of the process.
const HEAD_BYTES: usize = 12;

/// Whether the function in this dump, or one in it, may assign a global.
pub(super) fn assigns_globals(code: &[u8]) -> bool {
    let mut reader = Reader { rest: code.get(HEAD_BYTES..).unwrap_or_default() };
    reader.function(0).unwrap_or(true)
}

/// Functions in functions; Lua's compiler allows 200.
const DEPTH_MAX: u32 = 250;

struct Reader<'c> {
    rest: &'c [u8],
}

impl<'c> Reader<'c> {
    /// Whether the function that begins here assigns a global; `None` if it cannot be read.
    fn function(&mut self, depth: u32) -> Option<bool> {
        if depth > DEPTH_MAX {
            return None;
        }
        self.text()?;
        // The lines, and four counts of a byte each.
        self.skip(2 * size_of::<i32>() + 4)?;
        let count = self.count()?;
        let code = self.take(count.checked_mul(size_of::<u32>())?)?;
        // What follows some instructions is data; at worst it is mistaken for an assignment.
        let mut assigns = code.chunks_exact(size_of::<u32>()).any(|instruction| {
            let instruction = instruction.try_into().map_or(SET_GLOBAL, u32::from_ne_bytes);
            instruction & OPERATION == SET_GLOBAL
        });
        for _ in 0..self.count()? {
            match self.take(1)? {
                [0] => {}
                [1] => self.skip(1)?,
                [3] => self.skip(size_of::<f64>())?,
                [4] => self.text()?,
                _ => return None,
            }
        }
        for _ in 0..self.count()? {
            assigns |= self.function(depth + 1)?;
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
        Some(assigns)
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

    fn text(&mut self) -> Option<()> {
        let bytes = self.take(size_of::<usize>())?.try_into().ok()?;
        self.skip(usize::from_ne_bytes(bytes))
    }
}
