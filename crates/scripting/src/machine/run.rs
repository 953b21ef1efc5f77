//! A run of a script or a function, which can be paused.

use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::{self, NonNull};
use std::rc::Rc;
use std::sync::Arc;

use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};
use mlua_sys::{
    LUA_OK, LUA_REGISTRYINDEX, lua_State, lua_createtable, lua_insert, lua_pcall, lua_pushvalue,
    lua_rawgeti_, lua_rawset, lua_rawseti_, lua_settop,
};
use rustredis_resp::Proto;

use super::{Inner, What, compile_error, library};
use crate::function::Library;
use crate::host::Host;
use crate::lua::companion::{Buffers, Companion, Kind};
use crate::lua::errors::{self, Failure, failure};
use crate::lua::function::push;
use crate::lua::ground::{GROUND, Ground};
use crate::lua::reply::{self, Written};
use crate::lua::state::State;

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It gave its turn to others: [`Run::resume`] goes on.
    Paused,
    /// It is over, and its reply is written.
    Done {
        /// Whether the reply is an error.
        is_error: bool,
        /// Whether that error is one of a command of the script's, which the server counted when the command ended.
        is_counted: bool,
    },
}

/// A run. It has a state and a stack until it is over. One that is dropped before ends, as if it were killed.
pub struct Run {
    inner: Rc<Inner>,
    stage: Stage,
}

enum Stage {
    /// It failed before it began.
    Failed(Failure),
    /// It has begun, or will.
    Running(Running),
    Over,
}

struct Running {
    coroutine: Coroutine<(), (), Outcome, DefaultStack>,
    /// It lives as long as the state, which the coroutine has.
    companion: NonNull<Companion>,
    /// The flushes when it began.
    generation: u64,
}

/// What the coroutine leaves.
struct Outcome {
    state: Box<State>,
    /// Among them the reply.
    buffers: Buffers,
    written: Written,
}

/// What the coroutine is to do; what it needs of values stands on Lua's stack.
enum Task {
    /// The function is there.
    Script { sha: [u8; 40] },
    /// Keys and arguments are there.
    Function { library: Arc<Library>, index: usize },
}

impl Run {
    pub(super) fn begin(
        inner: Rc<Inner>,
        what: What<'_>,
        keys: &[&[u8]],
        arguments: &[&[u8]],
        proto: Proto,
    ) -> Self {
        let generation = inner.generation.get();
        let mut state = inner.take();
        match prepare(&mut state, what, keys, arguments, inner.limit_bytes()) {
            Ok(task) => {
                let companion = state.companion_pointer();
                let coroutine = Coroutine::with_stack(inner.take_stack(), move |yielder, ()| {
                    run(yielder, state, &task, proto)
                });
                Self { inner, stage: Stage::Running(Running { coroutine, companion, generation }) }
            }
            Err(text) => {
                inner.give_back(state, generation);
                Self { inner, stage: Stage::Failed(Failure { text, is_counted: false }) }
            }
        }
    }

    /// Goes on until the run pauses or is over. When it is over, its reply stands behind what `reply` held before: what the script
    /// returned, or an error. A pause leaves `reply` alone.
    ///
    /// # Panics
    /// A function of the host's panicked, or the run was over.
    pub fn resume(&mut self, host: &mut dyn Host, reply: &mut Vec<u8>) -> Progress {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Over => panic!("a run that is over is not resumed"),
            Stage::Failed(failure) => {
                errors::write(&failure.text, reply);
                Progress::Done { is_error: true, is_counted: failure.is_counted }
            }
            Stage::Running(mut running) => {
                // SAFETY: the state lives while the coroutine does, and in its outcome.
                unsafe { running.companion.as_ref() }.lend_host(host);
                let result = running.coroutine.resume(());
                // SAFETY: as above.
                unsafe { running.companion.as_ref() }.take_host_back();
                match result {
                    CoroutineResult::Yield(()) => {
                        self.stage = Stage::Running(running);
                        Progress::Paused
                    }
                    CoroutineResult::Return(outcome) => {
                        reply.extend_from_slice(&outcome.buffers.reply);
                        self.end(running, outcome)
                    }
                }
            }
        }
    }

    /// Gives back what the run had.
    fn end(&self, running: Running, outcome: Outcome) -> Progress {
        let Outcome { state, buffers, written } = outcome;
        state.companion().keep_buffers(buffers);
        let panic = state.companion().take_panic();
        self.inner.give_stack_back(running.coroutine.into_stack());
        self.inner.give_back(state, running.generation);
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
        match written {
            Written::Value => Progress::Done { is_error: false, is_counted: false },
            Written::Error { is_counted } => Progress::Done { is_error: true, is_counted },
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let Stage::Running(mut running) = std::mem::replace(&mut self.stage, Stage::Over) else {
            return;
        };
        // SAFETY: as in `resume`.
        unsafe { running.companion.as_ref() }.kill();
        loop {
            if let CoroutineResult::Return(outcome) = running.coroutine.resume(()) {
                // Who drops a run does not want to hear of it.
                drop(outcome.state.companion().take_panic());
                self.end(running, outcome);
                return;
            }
        }
    }
}

/// Puts what the run needs on Lua's stack, on its ground.
///
/// # Errors
/// The script does not compile, or there is no such function: Redis's error, with its code.
fn prepare(
    state: &mut State,
    what: What<'_>,
    keys: &[&[u8]],
    arguments: &[&[u8]],
    limit_bytes: usize,
) -> Result<Task, Vec<u8>> {
    let L = state.lua();
    match what {
        What::Script(script) => {
            state.begin(Kind::Script, limit_bytes);
            let globals = state.push_script(script).map_err(|text| compile_error(&text))?;
            // What it does not read is what the last one left.
            if globals.reads_keys {
                set_list(L, Ground::Keys, keys);
            }
            if globals.reads_arguments {
                set_list(L, Ground::Arguments, arguments);
            }
            Ok(Task::Script { sha: *script.sha() })
        }
        What::Function { libraries, name } => {
            state.begin(Kind::Function, limit_bytes);
            state.see_libraries(libraries);
            let (library, index) =
                libraries.find_index(name).ok_or_else(|| b"ERR Function not found".to_vec())?;
            push_list(L, keys);
            push_list(L, arguments);
            Ok(Task::Function { library: Arc::clone(library), index })
        }
    }
}

/// Sets a global of scripts to a list.
fn set_list(L: *mut lua_State, name: Ground, words: &[&[u8]]) {
    // SAFETY: pushes; the table of the globals stands where it says.
    unsafe {
        lua_pushvalue(L, name as c_int);
        push_list(L, words);
        lua_rawset(L, Ground::ScriptReal as c_int);
    }
}

fn push_list(L: *mut lua_State, words: &[&[u8]]) {
    // SAFETY: nothing runs, so the allocator refuses nothing; there is room for two values.
    unsafe {
        lua_createtable(L, c_int::try_from(words.len()).unwrap_or(0), 0);
        for (index, word) in words.iter().enumerate() {
            push(L, word);
            lua_rawseti_(L, -2, index as c_int + 1);
        }
    }
}

/// The coroutine.
fn run(yielder: &Yielder<(), ()>, mut state: Box<State>, task: &Task, proto: Proto) -> Outcome {
    state.companion().set_yielder(ptr::from_ref(yielder));
    let ended = catch_unwind(AssertUnwindSafe(|| {
        let ended = execute(&mut state, task);
        let mut buffers = state.companion().take_buffers();
        let written = write(&state, ended, task, proto, &mut buffers.reply);
        (buffers, written)
    }));
    let (buffers, written) = ended.unwrap_or_else(|panic| {
        state.companion().keep_panic(panic);
        (Buffers::default(), Written::Error { is_counted: false })
    });
    Outcome { state, buffers, written }
}

/// Runs what is to be run; its result, or the value of its error, is on top of Lua's stack then.
///
/// # Errors
/// A library does not load.
fn execute(state: &mut State, task: &Task) -> Result<bool, Failure> {
    let L = state.lua();
    if state.companion().is_killed() {
        // It was dropped before it began.
        return Ok(false);
    }
    let arguments = match task {
        Task::Script { .. } => 0,
        Task::Function { library, index } => {
            let reference = match state.function(library, *index) {
                Some(reference) => reference,
                None => load(state, library, *index)?,
            };
            // SAFETY: keys and arguments are on the stack.
            unsafe {
                lua_rawgeti_(L, LUA_REGISTRYINDEX, reference);
                lua_insert(L, -3);
            }
            2
        }
    };
    let companion = state.companion();
    // SAFETY: function and arguments are on the stack, the handler stands on its ground; no error passes.
    unsafe {
        companion.set_running(L);
        companion.end_lenient(true);
        let status = lua_pcall(L, arguments, 1, Ground::Handler as c_int);
        companion.begin_lenient();
        companion.set_running(L);
        Ok(status == LUA_OK)
    }
}

/// Runs a library's text in this state, and keeps what it registers; where the registry has the function of this number.
fn load(state: &mut State, library: &Arc<Library>, index: usize) -> Result<c_int, Failure> {
    let (_, body) = crate::function::read_first_line(&library.code)
        .map_err(|text| Failure { text, is_counted: false })?;
    let registered = library::run_text(state, &library.code[body..])?;
    let find = |name: &[u8]| registered.iter().find(|registered| *registered.function.name == *name);
    let mut references = Vec::with_capacity(library.functions.len());
    for function in &library.functions {
        // A library may register other functions each time that it is run; those that it had on FUNCTION LOAD count.
        let Some(registered) = find(&function.name) else {
            return Err(Failure { text: b"ERR Function not found".to_vec(), is_counted: false });
        };
        references.push(registered.reference);
    }
    let reference = references[index];
    state.keep_library(library, references);
    Ok(reference)
}

/// Writes the reply of what has ended.
fn write(
    state: &State,
    ended: Result<bool, Failure>,
    task: &Task,
    proto: Proto,
    out: &mut Vec<u8>,
) -> Written {
    let L = state.lua();
    let companion = state.companion();
    let name: &[u8] = match task {
        Task::Script { sha } => sha,
        Task::Function { library, index } => &library.functions[*index].name,
    };
    let failure = match ended {
        Ok(true) if !companion.is_killed() => match reply::write(L, companion, proto, out) {
            Ok(written) => return written,
            Err(_) => {
                out.clear();
                failure(L, companion, name)
            }
        },
        Ok(_) => failure(L, companion, name),
        Err(failure) => failure,
    };
    // SAFETY: nothing of what is left is needed.
    unsafe { lua_settop(L, GROUND) }
    errors::write(&failure.text, out);
    Written::Error { is_counted: failure.is_counted }
}
