//! A Lua state: made, kept between runs, closed.
//!
//! It knows what it has compiled. A script is found by its address, which is not used again while the state remembers it; what nobody else
//! holds any more is forgotten now and then.

use std::collections::HashMap;
use std::ffi::c_int;
use std::ptr::NonNull;
use std::sync::{Arc, Weak};

use foldhash::fast::FixedState;
use mlua_sys::{
    LUA_GCRESTART, LUA_GCSETPAUSE, LUA_GCSETSTEPMUL, LUA_GCSTEP, LUA_GLOBALSINDEX, LUA_MASKCOUNT,
    LUA_REGISTRYINDEX, lua_State, lua_close, lua_gc, lua_gethookcount, lua_gettop, lua_newstate,
    lua_rawgeti_, lua_rawseti_, lua_replace, lua_sethook, lua_settop, luaL_ref, luaL_unref,
};

use super::bytecode::Globals;
use super::companion::{Companion, INSTRUCTIONS, Kind};
use super::compile::{By, compile, set_direct_environment};
use super::function::to_bytes;
use super::ground::{self, GROUND};
use super::{allocator, globals, look, random};
use crate::function::{Libraries, Library};
use crate::script::Script;

/// Lua's own defaults: garbage is collected when memory has doubled, at twice the speed of allocation.
const PAUSE: c_int = 200;
const STEP_FACTOR: c_int = 200;

/// Bytes beyond what a new state has from which on each run is followed by a slice of collection.
const SURPLUS_BYTES: usize = 1 << 20;

/// Kilobytes of that slice.
const SLICE_KB: c_int = 64;

/// Compiled scripts, and half as many as were left the last time, before it is looked which are not held any more.
const SCRIPTS_MIN: usize = 64;

/// What a state keeps for this crate, by number, in Lua's registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    /// What `getmetatable` of a string shows.
    StringMetatable = 1,
    /// The handler of errors.
    Handler,
    /// The globals of scripts, as scripts see them.
    ScriptGlobals,
    /// The table behind them.
    ScriptReal,
    /// The environment of libraries.
    FunctionGlobals,
    /// The table that it stands for while functions run.
    FunctionReal,
    /// The table that it stands for while a library is loaded.
    LoadReal,
}

/// Pushes what a slot has.
#[inline]
pub(crate) fn push_slot(L: *mut lua_State, slot: Slot) {
    // SAFETY: reads the registry.
    unsafe { lua_rawgeti_(L, LUA_REGISTRYINDEX, slot as c_int) }
}

/// Sets a slot to what is pushed.
pub(super) fn set_slot(L: *mut lua_State, slot: Slot, push: impl FnOnce(*mut lua_State)) {
    push(L);
    // SAFETY: a value was pushed; the state is being built.
    unsafe { lua_rawseti_(L, LUA_REGISTRYINDEX, slot as c_int) }
}

/// A compiled script.
struct Compiled {
    script: Weak<Script>,
    /// What it does with globals.
    globals: Globals,
    /// Where Lua's registry has the function.
    reference: c_int,
}

/// A library that was run here.
struct Loaded {
    library: Arc<Library>,
    /// Where Lua's registry has the functions, in the library's order.
    references: Vec<c_int>,
}

/// A state. It is given up with all that it has when it is dropped.
pub(crate) struct State {
    L: *mut lua_State,
    companion: NonNull<Companion>,
    /// Which set of globals is Lua's at the moment.
    globals: Slot,
    bytes_at_first: usize,
    scripts: HashMap<*const Script, Compiled, FixedState>,
    scripts_max: usize,
    libraries: HashMap<*const Library, Loaded, FixedState>,
    /// Of which libraries those are.
    of: Weak<Libraries>,
}

impl State {
    /// A new state, the `number`th of the process.
    pub(crate) fn new(number: u64) -> Self {
        let companion = NonNull::from(Box::leak(Box::new(Companion::new(random::beginning(number)))));
        // SAFETY: the companion lives until the state is closed; the allocator refuses nothing yet, so all goes well.
        unsafe {
            let L = lua_newstate(allocator::allocate, companion.as_ptr().cast());
            assert!(!L.is_null(), "an allocator that refuses nothing makes a state");
            globals::build(L);
            push_slot(L, Slot::Handler);
            push_slot(L, Slot::ScriptReal);
            ground::lay_names(L);
            debug_assert_eq!(lua_gettop(L), GROUND, "the ground is as it is numbered");
            lua_sethook(L, Some(look::on_count), LUA_MASKCOUNT, INSTRUCTIONS);
            companion.as_ref().set_running(L);
            Self {
                L,
                companion,
                globals: Slot::ScriptGlobals,
                bytes_at_first: companion.as_ref().used(),
                scripts: HashMap::default(),
                scripts_max: SCRIPTS_MIN,
                libraries: HashMap::default(),
                of: Weak::new(),
            }
        }
    }

    /// Lua's name for it.
    pub(crate) fn lua(&self) -> *mut lua_State {
        self.L
    }

    /// Its companion.
    #[inline]
    pub(crate) fn companion(&self) -> &Companion {
        // SAFETY: it lives until the state is closed, which is when this is dropped.
        unsafe { self.companion.as_ref() }
    }

    /// Where its companion is, as long as the state lives.
    pub(crate) fn companion_pointer(&self) -> NonNull<Companion> {
        self.companion
    }

    /// Makes it ready for a run of this kind.
    pub(crate) fn begin(&mut self, kind: Kind, limit_bytes: usize) {
        self.companion().begin(kind, limit_bytes);
        let globals = if kind == Kind::Script { Slot::ScriptGlobals } else { Slot::FunctionGlobals };
        if globals != self.globals {
            self.globals = globals;
            push_slot(self.L, globals);
            // SAFETY: a table was pushed.
            unsafe { lua_replace(self.L, LUA_GLOBALSINDEX) }
        }
    }

    /// Undoes what the run has changed beside its own values, and collects some garbage if there is much.
    pub(crate) fn end(&mut self) {
        let companion = self.companion();
        companion.set_yielder(std::ptr::null());
        // SAFETY: nothing runs in the state; no object has a finalizer. The allocator refuses nothing.
        unsafe {
            lua_settop(self.L, GROUND);
            if companion.take_set_up() {
                crate::library::reset(self.L);
                lua_gc(self.L, LUA_GCSETPAUSE, PAUSE);
                lua_gc(self.L, LUA_GCSETSTEPMUL, STEP_FACTOR);
            }
            if companion.used() > self.bytes_at_first + SURPLUS_BYTES {
                // A script may have stopped the collector.
                lua_gc(self.L, LUA_GCRESTART, 0);
                lua_gc(self.L, LUA_GCSTEP, SLICE_KB);
            }
            // What its functions keep may be long.
            let count = companion.instructions_max();
            if lua_gethookcount(self.L) != count || companion.instructions() != count {
                companion.set_instructions(count);
                lua_sethook(self.L, Some(look::on_count), LUA_MASKCOUNT, count);
            }
        }
    }

    /// Whether it must not be used again.
    pub(crate) fn is_spent(&self) -> bool {
        self.companion().is_killed() || self.companion().is_exhausted()
    }

    /// Pushes a script's function; what it does with globals.
    ///
    /// # Errors
    /// It does not compile: Lua's words.
    pub(crate) fn push_script(&mut self, script: &Arc<Script>) -> Result<Globals, Vec<u8>> {
        if let Some(compiled) = self.scripts.get(&Arc::as_ptr(script)) {
            // SAFETY: reads the registry.
            unsafe { lua_rawgeti_(self.L, LUA_REGISTRYINDEX, compiled.reference) }
            return Ok(compiled.globals);
        }
        if self.scripts.len() >= self.scripts_max {
            self.forget_scripts();
        }
        if !compile(self.L, script.body(), b"@user_script", By::Server) {
            return Err(self.take_text());
        }
        let globals = set_direct_environment(self.L, || push_slot(self.L, Slot::ScriptReal));
        // SAFETY: the function is on top, and stays there.
        let reference = unsafe {
            mlua_sys::lua_pushvalue(self.L, -1);
            luaL_ref(self.L, LUA_REGISTRYINDEX)
        };
        let compiled = Compiled { script: Arc::downgrade(script), globals, reference };
        self.scripts.insert(Arc::as_ptr(script), compiled);
        Ok(globals)
    }

    /// Forgets the scripts that nobody else holds.
    fn forget_scripts(&mut self) {
        let L = self.L;
        self.scripts.retain(|_, compiled| {
            let is_held = compiled.script.strong_count() > 0;
            if !is_held {
                // SAFETY: the reference is one of the registry, given up once.
                unsafe { luaL_unref(L, LUA_REGISTRYINDEX, compiled.reference) }
            }
            is_held
        });
        self.scripts_max = SCRIPTS_MIN.max(self.scripts.len() * 3 / 2);
    }

    /// Takes the text from the top of the stack.
    pub(crate) fn take_text(&self) -> Vec<u8> {
        let text = to_bytes(self.L, -1).unwrap_or(b"?").to_vec();
        // SAFETY: it is on top.
        unsafe { mlua_sys::lua_pop(self.L, 1) }
        text
    }

    /// Where the registry has the function of this number of a library; `None` if the library was not run here yet.
    pub(crate) fn function(&self, library: &Arc<Library>, index: usize) -> Option<c_int> {
        self.libraries.get(&Arc::as_ptr(library))?.references.get(index).copied()
    }

    /// Keeps the functions of a library, in its order.
    pub(crate) fn keep_library(&mut self, library: &Arc<Library>, references: Vec<c_int>) {
        self.libraries.insert(Arc::as_ptr(library), Loaded { library: Arc::clone(library), references });
    }

    /// Forgets what is not of these libraries any more. Costs a comparison if they are those of the last time.
    pub(crate) fn see_libraries(&mut self, libraries: &Arc<Libraries>) {
        if std::ptr::eq(self.of.as_ptr(), Arc::as_ptr(libraries)) {
            return;
        }
        self.of = Arc::downgrade(libraries);
        let L = self.L;
        self.libraries.retain(|_, loaded| {
            let is_there = libraries
                .get(&loaded.library.name)
                .is_some_and(|library| Arc::ptr_eq(library, &loaded.library));
            if !is_there {
                for reference in &loaded.references {
                    // SAFETY: the reference is one of the registry, given up once.
                    unsafe { luaL_unref(L, LUA_REGISTRYINDEX, *reference) }
                }
            }
            is_there
        });
    }
}

impl Drop for State {
    fn drop(&mut self) {
        // SAFETY: nothing runs in the state, and nobody has it any more; the companion is the one that was leaked for it.
        unsafe {
            self.companion.as_ref().begin_lenient();
            lua_close(self.L);
            debug_assert_eq!(self.companion.as_ref().used(), 0, "a closed state has given everything back");
            drop(Box::from_raw(self.companion.as_ptr()));
        }
    }
}
