//! What stands beside a Lua state: its memory, its turn, and what it reaches outside.
//!
//! Lua hands its allocator one pointer, and gives it back to whoever asks: so it is found from any `lua_State` in a nanosecond. All of it is
//! cells, for the same thread has it in its hands again wherever Lua calls Rust; nothing here is ever borrowed while Lua runs.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::ffi::c_int;
use std::ptr::{self, NonNull};
use std::time::Instant;

use corosensei::Yielder;
use mlua_sys::{lua_State, lua_getallocf};
use rustredis_resp::Proto;

use super::spare::Spare;
use crate::function::Function;
use crate::host::Host;

/// Steps between two looks: some microseconds.
pub(crate) const STEPS: i32 = 2_000;

/// Instructions of Lua's between two looks: 5 to 10 microseconds of ordinary ones.
pub(crate) const INSTRUCTIONS: c_int = 2_000;

/// Bytes that a script may have allocated between two looks: an instruction that makes a long string or grows a table costs more than one.
pub(crate) const GROWN_BYTES_MAX: usize = 1 << 20;

/// Size from which on a block may be a string on which a single instruction takes long: `'1' + 1`, `a < b`.
const LONG_BYTES: usize = 8 << 10;

/// Sizes of long blocks that are told apart: each twice the one before.
const LONG_CLASSES: usize = 20;

/// What all instructions between two looks may take if each reads the longest string to its end, a nanosecond for a byte.
const LONG_NANOS: usize = 10_000_000;

/// The parts of tables are multiples of this many bytes; so is one string of sixteen.
const TABLE_BYTES: usize = 16;

/// Fewest instructions between two looks for what is a part of a table, as a rule.
const TABLE_INSTRUCTIONS_MIN: c_int = 64;

/// No limit, as a number: above it nothing is asked for that could be had.
const UNLIMITED_BYTES: usize = 1 << 42;

/// Longest single piece that is given where there is no limit.
const PIECE_BYTES_MAX: usize = 1 << 30;

/// Capacity from which on a buffer is not kept for the next call.
const KEPT_BYTES_MAX: usize = 64 << 10;

/// What runs in a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A script of EVAL.
    Script,
    /// A function of a library.
    Function,
    /// A library's text, on FUNCTION LOAD.
    Load,
}

/// Where in a script something happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The name of the text, `@user_script`.
    pub(crate) source: Vec<u8>,
    /// The line, from 1; -1 where there is none.
    pub(crate) line: i64,
}

/// A function that a library has registered.
pub(crate) struct Registered {
    /// What is known of it.
    pub(crate) function: Function,
    /// Where Lua's registry has it.
    pub(crate) reference: c_int,
}

/// See above.
pub(crate) struct Companion {
    // Memory.
    used: Cell<usize>,
    limit: Cell<usize>,
    /// Bytes in use from which on garbage is collected without waiting for Lua to do it.
    collect_at: Cell<usize>,
    grown: Cell<usize>,
    /// How many long blocks there are of each class: strings, and what may be parts of tables.
    long: [[Cell<u32>; LONG_CLASSES]; 2],
    /// Most instructions between two looks, for those.
    instructions_max: Cell<c_int>,
    /// Small blocks that Lua has given back.
    pub(super) spare: Spare,
    strict: Cell<bool>,
    refuses: Cell<bool>,
    exhausted: Cell<bool>,
    // The turn.
    steps: Cell<i32>,
    instructions: Cell<c_int>,
    cheap_looks: Cell<u32>,
    looked: Cell<Option<Instant>>,
    deadline: Cell<Option<Instant>>,
    killed: Cell<bool>,
    place: RefCell<Option<Place>>,
    panic: Cell<Option<Box<dyn Any + Send>>>,
    running: Cell<*mut lua_State>,
    yielder: Cell<*const Yielder<(), ()>>,
    host: Cell<Option<NonNull<dyn Host>>>,
    // What runs.
    kind: Cell<Kind>,
    is_set_up: Cell<bool>,
    proto: Cell<Proto>,
    random: Cell<u64>,
    registered: RefCell<Option<Vec<Registered>>>,
    // Buffers of calls, kept from one to the next.
    words: Cell<Vec<&'static [u8]>>,
    numbers: Cell<Vec<u8>>,
    reply: Cell<Vec<u8>>,
}

/// The companion of a state.
///
/// # Safety
/// The state was made with one (`state::State::new`), and is not closed while the reference is used.
#[inline]
pub(crate) unsafe fn companion<'l>(L: *mut lua_State) -> &'l Companion {
    let mut data = ptr::null_mut();
    // SAFETY: Lua only reads its own record; what it gives is what the state was made with, says the caller.
    unsafe {
        lua_getallocf(L, &mut data);
        &*data.cast::<Companion>()
    }
}

/// Whether a block of so many bytes may be a part of a table, and its class; none if it is not long.
fn long_class(bytes: usize) -> Option<(usize, usize)> {
    let class = (bytes / LONG_BYTES).checked_ilog2()? as usize;
    Some((usize::from(bytes.is_multiple_of(TABLE_BYTES)), class.min(LONG_CLASSES - 1)))
}

impl Companion {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            used: Cell::new(0),
            limit: Cell::new(UNLIMITED_BYTES),
            collect_at: Cell::new(UNLIMITED_BYTES),
            grown: Cell::new(0),
            long: Default::default(),
            instructions_max: Cell::new(INSTRUCTIONS),
            spare: Spare::default(),
            strict: Cell::new(false),
            refuses: Cell::new(false),
            exhausted: Cell::new(false),
            steps: Cell::new(STEPS),
            instructions: Cell::new(INSTRUCTIONS),
            cheap_looks: Cell::new(0),
            looked: Cell::new(None),
            deadline: Cell::new(None),
            killed: Cell::new(false),
            place: RefCell::new(None),
            panic: Cell::new(None),
            running: Cell::new(ptr::null_mut()),
            yielder: Cell::new(ptr::null()),
            host: Cell::new(None),
            kind: Cell::new(Kind::Script),
            is_set_up: Cell::new(false),
            proto: Cell::new(Proto::Resp2),
            random: Cell::new(seed),
            registered: RefCell::new(None),
            words: Cell::new(Vec::new()),
            numbers: Cell::new(Vec::new()),
            reply: Cell::new(Vec::new()),
        }
    }

    /// Begins a run of this kind, with so many bytes at most (0 for no limit).
    pub(crate) fn begin(&self, kind: Kind, limit: usize) {
        let limit = if limit == 0 { UNLIMITED_BYTES } else { limit };
        self.limit.set(limit);
        self.collect_at.set(limit / 2);
        self.kind.set(kind);
        self.proto.set(Proto::Resp2);
        self.steps.set(STEPS);
        self.grown.set(0);
        self.looked.set(None);
    }

    // Memory.

    /// Bytes that Lua has.
    #[inline]
    pub(crate) fn used(&self) -> usize {
        self.used.get()
    }

    /// Takes note that a block of `old` bytes becomes one of `new`; `false` if it may not. Shrinking is always allowed, as Lua expects.
    #[inline]
    pub(crate) fn resize(&self, old: usize, new: usize) -> bool {
        let used = self.used.get() - old + new;
        if new > old {
            if self.refuses.get() {
                self.refuses.set(false);
                return false;
            }
            if used > self.limit.get() && self.strict.get() {
                self.exhausted.set(true);
                return false;
            }
            self.grown.set(self.grown.get() + (new - old));
        }
        self.used.set(used);
        if old >= LONG_BYTES || new >= LONG_BYTES {
            self.count_long(old, new);
        }
        true
    }

    /// Counts a block in its class. If that makes instructions longer than they were reckoned to be, the next look is due.
    #[cold]
    fn count_long(&self, old: usize, new: usize) {
        if let Some((kind, class)) = long_class(old) {
            self.long[kind][class].update(|count| count - 1);
        }
        if let Some((kind, class)) = long_class(new) {
            self.long[kind][class].update(|count| count + 1);
        }
        self.instructions_max.set(self.reckon_instructions_max());
        if self.instructions_max() < self.instructions.get() {
            self.grown.set(GROWN_BYTES_MAX);
        }
    }

    /// Most instructions between two looks, for the longest blocks that there are.
    #[inline]
    pub(crate) fn instructions_max(&self) -> c_int {
        self.instructions_max.get()
    }

    fn reckon_instructions_max(&self) -> c_int {
        let most = |classes: &[Cell<u32>], least| {
            let class = classes.iter().rposition(|count| count.get() > 0);
            let count = class.map(|class| LONG_NANOS / (LONG_BYTES << class));
            count.map_or(INSTRUCTIONS, |count| (count as c_int).clamp(least, INSTRUCTIONS))
        };
        let [strings, tables] = &self.long;
        most(strings, 1).min(most(tables, TABLE_INSTRUCTIONS_MIN))
    }

    /// Takes back a [`Self::resize`] for which there was no memory; `false` if nothing may be refused now.
    pub(crate) fn undo_resize(&self, old: usize, new: usize) -> bool {
        self.used.set(self.used.get() - new + old);
        self.count_long(new, old);
        self.exhausted.set(true);
        self.strict.get()
    }

    /// Whether so much was allocated since the last look that another is due at the next instruction.
    #[inline]
    pub(crate) fn has_grown(&self) -> bool {
        self.grown.get() >= GROWN_BYTES_MAX
    }

    /// Counts what is allocated anew.
    pub(crate) fn forget_growth(&self) {
        self.grown.set(0);
    }

    /// From here on nothing is refused; gives what was so before.
    #[inline]
    pub(crate) fn begin_lenient(&self) -> bool {
        self.strict.replace(false)
    }

    /// Goes back to what [`Self::begin_lenient`] gave.
    #[inline]
    pub(crate) fn end_lenient(&self, strict: bool) {
        self.strict.set(strict);
    }

    /// Refuses the next block, whatever its size: so an error is raised that no handler sees.
    pub(crate) fn refuse_next(&self) {
        self.refuses.set(true);
    }

    /// Whether more memory is in use than may be.
    #[inline]
    pub(crate) fn is_over(&self) -> bool {
        self.used.get() > self.limit.get()
    }

    /// Whether so many bytes more may be had.
    #[inline]
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        let limit = self.limit.get();
        bytes <= PIECE_BYTES_MAX && bytes <= limit && self.used.get() <= limit - bytes
    }

    /// Whether so many bytes could be had if nothing else were in use.
    pub(crate) fn could_have(&self, bytes: usize) -> bool {
        bytes <= PIECE_BYTES_MAX && bytes <= self.limit.get()
    }

    /// Whether garbage is to be collected now, before memory runs out.
    #[inline]
    pub(crate) fn should_collect(&self) -> bool {
        self.used.get() >= self.collect_at.get()
    }

    /// After a collection: the next is due when a sixteenth of the limit has come back, and half of it is in use.
    pub(crate) fn set_collected(&self) {
        let limit = self.limit.get();
        self.collect_at.set((limit / 2).max(self.used.get() + limit / 16));
    }

    /// Takes note that memory ran out: the state is given up after the run.
    pub(crate) fn note_exhausted(&self) {
        self.exhausted.set(true);
    }

    /// Whether memory ran out.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.exhausted.get()
    }

    // The turn.

    /// Spends steps; `false` if a look is due.
    #[inline]
    pub(crate) fn spend(&self, steps: u32) -> bool {
        let left = self.steps.get().saturating_sub_unsigned(steps);
        self.steps.set(left);
        left > 0
    }

    /// As many steps again as between two looks.
    #[inline]
    pub(crate) fn renew(&self) {
        self.steps.set(STEPS);
    }

    /// Instructions between two looks.
    pub(crate) fn instructions(&self) -> c_int {
        self.instructions.get()
    }

    /// Sets how many instructions there are between two looks.
    pub(crate) fn set_instructions(&self, count: c_int) {
        self.instructions.set(count);
    }

    /// Counts looks that came soon enough: how many in a row.
    pub(crate) fn count_cheap(&self, is_cheap: bool) -> u32 {
        let count = if is_cheap { self.cheap_looks.get() + 1 } else { 0 };
        self.cheap_looks.set(count);
        count
    }

    /// When the hook last looked; `None` if something else took time since.
    pub(crate) fn looked(&self) -> Option<Instant> {
        self.looked.get()
    }

    /// Notes when the hook looks.
    #[inline]
    pub(crate) fn set_looked(&self, at: Option<Instant>) {
        self.looked.set(at);
    }

    /// When the script is killed whatever its host says.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline.get()
    }

    /// Sets that.
    pub(crate) fn set_deadline(&self, at: Option<Instant>) {
        self.deadline.set(at);
    }

    /// Whether the script is to end.
    #[inline]
    pub(crate) fn is_killed(&self) -> bool {
        self.killed.get()
    }

    /// The script is to end; the state is given up after it.
    pub(crate) fn kill(&self) {
        self.killed.set(true);
    }

    /// Whether a body that ends must be asked for more than its results.
    #[inline]
    pub(crate) fn is_due(&self) -> bool {
        self.killed.get() || self.is_over()
    }

    /// Notes where the script was when it was killed; the first place counts.
    pub(crate) fn note_place(&self, place: Option<Place>) {
        let mut noted = self.place.borrow_mut();
        if noted.is_none() {
            *noted = place;
        }
    }

    /// Whether it is noted.
    pub(crate) fn has_place(&self) -> bool {
        self.place.borrow().is_some()
    }

    /// Where the script was when it was killed.
    pub(crate) fn take_place(&self) -> Option<Place> {
        self.place.borrow_mut().take()
    }

    /// Keeps a panic for whoever resumed the script, which ends.
    pub(crate) fn keep_panic(&self, payload: Box<dyn Any + Send>) {
        self.panic.set(Some(payload));
        self.killed.set(true);
    }

    /// The panic that was kept.
    pub(crate) fn take_panic(&self) -> Option<Box<dyn Any + Send>> {
        self.panic.take()
    }

    /// The state (the main one, or a coroutine's) whose code runs.
    #[inline]
    pub(crate) fn running(&self) -> *mut lua_State {
        self.running.get()
    }

    /// Sets that.
    #[inline]
    pub(crate) fn set_running(&self, L: *mut lua_State) {
        self.running.set(L);
    }

    /// By what the stack is switched away; null where it cannot be.
    #[inline]
    pub(crate) fn yielder(&self) -> *const Yielder<(), ()> {
        self.yielder.get()
    }

    /// Sets that.
    #[inline]
    pub(crate) fn set_yielder(&self, yielder: *const Yielder<(), ()>) {
        self.yielder.set(yielder);
    }

    /// The host, while it is lent; whoever takes the reference has no other.
    #[inline]
    pub(crate) fn host(&self) -> Option<NonNull<dyn Host>> {
        self.host.get()
    }

    /// Lends the host until [`Self::take_host_back`].
    #[inline]
    pub(crate) fn lend_host(&self, host: &mut dyn Host) {
        let host = NonNull::from(host);
        // SAFETY: only the lifetime is forgotten; `take_host_back` is called before it ends.
        let host =
            unsafe { std::mem::transmute::<NonNull<dyn Host + '_>, NonNull<dyn Host + 'static>>(host) };
        self.host.set(Some(host));
    }

    /// The host is not there any more.
    #[inline]
    pub(crate) fn take_host_back(&self) {
        self.host.set(None);
    }

    // What runs.

    /// A script has set up what the next is not to find: the collector, a library.
    pub(crate) fn note_set_up(&self) {
        self.is_set_up.set(true);
    }

    /// Whether one has, since the last time that this was asked.
    #[inline]
    pub(crate) fn take_set_up(&self) -> bool {
        self.is_set_up.replace(false)
    }

    /// What runs.
    pub(crate) fn kind(&self) -> Kind {
        self.kind.get()
    }

    /// The protocol in which commands answer the script.
    #[inline]
    pub(crate) fn proto(&self) -> Proto {
        self.proto.get()
    }

    /// Sets it (`redis.setresp`).
    pub(crate) fn set_proto(&self, proto: Proto) {
        self.proto.set(proto);
    }

    /// The generator's state.
    #[inline]
    pub(crate) fn random(&self) -> u64 {
        self.random.get()
    }

    /// Sets it.
    #[inline]
    pub(crate) fn set_random(&self, state: u64) {
        self.random.set(state);
    }

    /// Functions may be registered from here on.
    pub(crate) fn begin_registering(&self) {
        *self.registered.borrow_mut() = Some(Vec::new());
    }

    /// Functions may not be registered any more; those that were.
    pub(crate) fn end_registering(&self) -> Vec<Registered> {
        self.registered.borrow_mut().take().unwrap_or_default()
    }

    /// What of a library's functions is registered, while that may be.
    pub(crate) fn registered(&self) -> &RefCell<Option<Vec<Registered>>> {
        &self.registered
    }

    // Buffers.

    /// Empty buffers for a call's words, for its numbers and for its reply.
    #[inline]
    pub(crate) fn take_buffers(&self) -> Buffers {
        Buffers { words: self.words.take(), numbers: self.numbers.take(), reply: self.reply.take() }
    }

    /// Gives them back.
    #[inline]
    pub(crate) fn keep_buffers(&self, buffers: Buffers) {
        let Buffers { mut words, mut numbers, mut reply } = buffers;
        words.clear();
        numbers.clear();
        reply.clear();
        if words.capacity() * size_of::<&[u8]>() <= KEPT_BYTES_MAX {
            self.words.set(words);
        }
        if numbers.capacity() <= KEPT_BYTES_MAX {
            self.numbers.set(numbers);
        }
        if reply.capacity() <= KEPT_BYTES_MAX {
            self.reply.set(reply);
        }
    }
}

/// Buffers of a call of `redis.call`.
#[derive(Default)]
pub(crate) struct Buffers {
    /// The words; they live on Lua's stack and in `numbers`.
    pub(crate) words: Vec<&'static [u8]>,
    /// The numbers among them, as text.
    pub(crate) numbers: Vec<u8>,
    /// The reply.
    pub(crate) reply: Vec<u8>,
}
