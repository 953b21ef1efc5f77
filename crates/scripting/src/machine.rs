//! Machines: the Lua states of a thread, and what runs in them.
//!
//! A thread has one state that is idle, more while scripts are paused. Each run has a state and a stack to itself until it is over; then both
//! are kept for the next, unless the script was killed or ran out of memory. What was compiled is kept with the state.

mod library;
mod run;
#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::panic::resume_unwind;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use corosensei::stack::DefaultStack;
use rustredis_resp::Proto;

use crate::function::{Libraries, Library, read_first_line};
use crate::host::Host;
use crate::lua::companion::{Companion, Kind};
use crate::lua::state::State;
use crate::script::Script;
pub use run::{Progress, Run};

/// Bytes of a script's stack. Lua nests 200 calls of functions in C or Rust, each with its interpreter's frame: a few kilobytes in a build that
/// is not optimised; on the last of them a command may run. What is never reached costs addresses alone, no memory.
const STACK_BYTES: usize = 2 << 20;

/// Idle states that a thread keeps, and idle stacks.
const IDLE_MAX: usize = 2;

/// Bytes of a state that is closed at once: some milliseconds.
const CLOSED_HERE_BYTES: usize = 4 << 20;

/// How long a library's text may run on FUNCTION LOAD.
const LOAD_TIME_MAX: Duration = Duration::from_millis(500);

/// States that the process has made.
static STATES: AtomicU64 = AtomicU64::new(0);

/// What scripts may use.
#[derive(Debug, Default)]
pub struct Limits {
    /// Bytes that a state may have, Lua's own included; 0 for no limit. A run has the limit of its beginning.
    pub memory_bytes: AtomicUsize,
}

/// What is to be run.
#[derive(Clone, Copy, Debug)]
pub enum What<'w> {
    /// A script of EVAL.
    Script(&'w Arc<Script>),
    /// A function of a library, by its name in any case.
    Function {
        /// All libraries.
        libraries: &'w Arc<Libraries>,
        /// The function's name.
        name: &'w [u8],
    },
}

/// The states of one thread, and what they have compiled. A clone is the same machines.
#[derive(Clone)]
pub struct Machines {
    inner: Rc<Inner>,
}

struct Inner {
    limits: Arc<Limits>,
    #[expect(clippy::vec_box, reason = "a state goes to a run and back by its address")]
    idle: RefCell<Vec<Box<State>>>,
    stacks: RefCell<Vec<DefaultStack>>,
    /// Counts the flushes: a state of before is not kept.
    generation: Cell<u64>,
    /// All states, running ones too.
    states: RefCell<Vec<NonNull<Companion>>>,
}

impl Machines {
    /// No states yet; the first is made when it is needed.
    pub fn new(limits: Arc<Limits>) -> Self {
        let inner = Inner {
            limits,
            idle: RefCell::default(),
            stacks: RefCell::default(),
            generation: Cell::new(0),
            states: RefCell::default(),
        };
        Self { inner: Rc::new(inner) }
    }

    /// Says whether a script can be compiled. If it can, this thread will run it without compiling it again, as a rule.
    ///
    /// # Errors
    /// It cannot: Redis's error, with its code.
    pub fn check(&self, script: &Arc<Script>) -> Result<(), Vec<u8>> {
        let generation = self.inner.generation.get();
        let mut state = self.inner.take();
        state.begin(Kind::Script, self.inner.limit_bytes());
        let pushed = state.push_script(script);
        self.inner.give_back(state, generation);
        pushed.map(drop).map_err(|text| compile_error(&text))
    }

    /// Runs a library's text, for half a second at most, in a state of its own, and says what it registers. A look at the host that says
    /// [`crate::Look::Pause`] is as one that says [`crate::Look::GoOn`].
    ///
    /// # Errors
    /// The text is no library, or what it registers is not allowed: Redis's error, with its code.
    pub fn load(&self, code: &[u8], host: &mut dyn Host) -> Result<Library, Vec<u8>> {
        let (name, body) = read_first_line(code)?;
        let mut state = State::new(STATES.fetch_add(1, Ordering::Relaxed));
        state.begin(Kind::Load, self.inner.limit_bytes());
        state.companion().set_deadline(Instant::now().checked_add(LOAD_TIME_MAX));
        state.companion().lend_host(host);
        let registered = library::run_text(&state, &code[body..]);
        state.companion().take_host_back();
        if let Some(panic) = state.companion().take_panic() {
            drop(state);
            resume_unwind(panic);
        }
        let functions = registered.map_err(|failure| failure.text)?;
        let functions = functions.into_iter().map(|registered| registered.function).collect();
        Ok(Library { name, code: code.into(), functions })
    }

    /// Begins a run, whose reply is in this protocol. Nothing of the script has run yet.
    pub fn begin(&self, what: What<'_>, keys: &[&[u8]], arguments: &[&[u8]], proto: Proto) -> Run {
        Run::begin(Rc::clone(&self.inner), what, keys, arguments, proto)
    }

    /// Bytes that all states of the thread have, but for those that are being given up.
    pub fn memory_bytes(&self) -> usize {
        // SAFETY: a state is taken from the list before it is closed.
        self.inner.states.borrow().iter().map(|companion| unsafe { companion.as_ref() }.used()).sum()
    }

    /// How many states there are, running ones too.
    pub fn states(&self) -> usize {
        self.inner.states.borrow().len()
    }

    /// Gives up the states and what is compiled (SCRIPT FLUSH): the next run compiles again. Runs under way keep theirs until they are over.
    pub fn flush(&self) {
        self.inner.generation.set(self.inner.generation.get() + 1);
        let idle = self.inner.idle.take();
        idle.into_iter().for_each(|state| self.inner.close(state));
    }
}

/// A state in which nothing runs any more.
struct Ended(Box<State>);

// SAFETY: nothing runs in the state, and nobody else has it or anything of it: no host, no stack, no reference. What it holds of Rust's
// (scripts, libraries, buffers) may go to another thread, and Lua has nothing that belongs to one.
unsafe impl Send for Ended {}

impl Ended {
    fn close(self) {
        drop(self.0);
    }
}

impl Inner {
    fn limit_bytes(&self) -> usize {
        self.limits.memory_bytes.load(Ordering::Relaxed)
    }

    /// An idle state, or a new one.
    fn take(&self) -> Box<State> {
        if let Some(state) = self.idle.borrow_mut().pop() {
            return state;
        }
        let state = Box::new(State::new(STATES.fetch_add(1, Ordering::Relaxed)));
        self.states.borrow_mut().push(state.companion_pointer());
        state
    }

    /// Keeps a state, which was taken at this generation, for the next run, or closes it.
    fn give_back(&self, mut state: Box<State>, generation: u64) {
        let is_current = generation == self.generation.get();
        if state.is_spent() || !is_current || self.idle.borrow().len() >= IDLE_MAX {
            self.close(state);
        } else {
            state.end();
            self.idle.borrow_mut().push(state);
        }
    }

    /// Gives up a state. Where that takes long another thread does it, so that nobody waits for the end of what was killed.
    fn close(&self, state: Box<State>) {
        let companion = state.companion_pointer();
        self.states.borrow_mut().retain(|other| *other != companion);
        if state.companion().used() > CLOSED_HERE_BYTES {
            let ended = Ended(state);
            // If there is no thread to be had, the state is dropped with what was to run.
            let _ = thread::Builder::new().name("lua-close".to_owned()).spawn(move || ended.close());
        }
    }

    fn take_stack(&self) -> DefaultStack {
        let idle = self.stacks.borrow_mut().pop();
        idle.unwrap_or_else(|| DefaultStack::new(STACK_BYTES).expect("there is address space for a stack"))
    }

    fn give_stack_back(&self, stack: DefaultStack) {
        let mut stacks = self.stacks.borrow_mut();
        if stacks.len() < IDLE_MAX {
            stacks.push(stack);
        }
    }
}

/// What EVAL and SCRIPT LOAD say of a text that does not compile.
fn compile_error(text: &[u8]) -> Vec<u8> {
    [b"ERR Error compiling script (new function): ", text].concat()
}
