//! Whether a script goes on: the looks, and how it ends when it must.
//!
//! Lua calls [`on_count`] after so many instructions, and [`super::function::tick`] counts the steps of functions in Rust; both ask the host.
//! A pause switches the stack away, right here, with all that stands above it. A kill is raised as an error of memory, which no error
//! handler of Lua's sees: not `xpcall`'s, which would run without hooks. What catches errors for a script (`pcall`, `xpcall`,
//! `coroutine.resume`, `coroutine.wrap`, and all that ends in a shell) raises it again.
//!
//! Instructions are not alike: one may compare two strings of 20 MB. So there are fewer between two looks the longer the longest string is
//! that the state has, down to one; the hook looks at the clock as well, and comes after fewer if the last took long; and what
//! allocates much makes it come with the next ([`super::allocator`]).

use std::ffi::{CStr, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use mlua_sys::{
    LUA_GCSTEP, LUA_MASKCOUNT, lua_Debug, lua_State, lua_gc, lua_gethookcount, lua_getinfo, lua_getstack,
    lua_newuserdata, lua_sethook,
};

use super::companion::{Companion, Place, companion};
use super::raise::Raise;
use crate::host::Look;

/// A time between two looks that is too long: then there are fewer instructions between them.
const LONG: Duration = Duration::from_micros(200);

/// Fewest instructions between two looks while a script is not killed.
const INSTRUCTIONS_MIN: c_int = 16;

/// Looks in a row that came soon enough before there are more instructions between them again.
const CHEAP_LOOKS: u32 = 256;

/// Kilobytes of a slice of a collection: about 200 microseconds.
const SLICE_KB: c_int = 16;

/// Levels of the stack that are searched for a script's line.
const LEVELS_MAX: c_int = 64;

/// The hook: looks after some thousand instructions.
///
/// # Safety
/// Lua calls it for a state of this crate's.
pub(super) unsafe extern "C-unwind" fn on_count(L: *mut lua_State, _record: *mut lua_Debug) {
    // SAFETY: as this function's caller says.
    let companion = unsafe { companion(L) };
    let strict = companion.begin_lenient();
    let goes_on = look_at_clock(L, companion);
    companion.end_lenient(strict);
    if !goes_on {
        // SAFETY: nothing in this frame drops.
        unsafe { raise_kill(L) }
    }
    if companion.is_over() {
        // SAFETY: as above.
        unsafe { raise_memory(L) }
    }
}

/// What the hook does, but for raising.
fn look_at_clock(L: *mut lua_State, companion: &Companion) -> bool {
    if companion.is_killed() {
        return false;
    }
    let now = Instant::now();
    let most = companion.instructions_max();
    let least = INSTRUCTIONS_MIN.min(most);
    let mut count = companion.instructions();
    if let Some(looked) = companion.looked() {
        let took = now.saturating_duration_since(looked);
        let cheap = companion.count_cheap(took <= LONG);
        if took > LONG && count > least {
            let times = took.as_micros() / LONG.as_micros() + 1;
            count = (i64::from(count) / i64::try_from(times).unwrap_or(i64::MAX)) as c_int;
            count = count.max(least);
        } else if cheap >= CHEAP_LOOKS && count < most {
            companion.count_cheap(false);
            count *= 2;
        }
    }
    count = count.min(most);
    companion.set_instructions(count);
    // SAFETY: the state runs, and Lua lets its hook be set at any moment.
    unsafe {
        if lua_gethookcount(L) != count {
            lua_sethook(L, Some(on_count), LUA_MASKCOUNT, count);
        }
    }
    companion.forget_growth();
    companion.set_looked(Some(now));
    if look(L, companion).is_err() {
        return false;
    }
    !companion.should_collect() || collect(L, companion).is_ok()
}

/// Asks the host whether the script goes on; it may be paused in here.
///
/// # Errors
/// It is to end.
#[cold]
pub(super) fn look(_L: *mut lua_State, companion: &Companion) -> Result<(), Raise> {
    companion.renew();
    if companion.is_killed() {
        return Err(Raise);
    }
    if let Some(deadline) = companion.deadline()
        && Instant::now() >= deadline
    {
        companion.kill();
        return Err(Raise);
    }
    let Some(mut host) = companion.host() else {
        companion.kill();
        return Err(Raise);
    };
    // SAFETY: the host is lent for as long as the script runs, and nothing else of the script has a reference to it now.
    let said = catch_unwind(AssertUnwindSafe(|| unsafe { host.as_mut() }.look()));
    match said {
        Ok(Look::GoOn) => Ok(()),
        Ok(Look::Pause) => pause(companion),
        Ok(Look::Kill) => {
            companion.kill();
            Err(Raise)
        }
        Err(payload) => {
            companion.keep_panic(payload);
            Err(Raise)
        }
    }
}

/// Switches the stack away, until the script is resumed.
fn pause(companion: &Companion) -> Result<(), Raise> {
    let yielder = companion.yielder();
    if yielder.is_null() {
        return Ok(());
    }
    // SAFETY: the yielder is that of the coroutine that runs, and lives at the root of its stack.
    unsafe { (*yielder).suspend(()) };
    companion.set_looked(Some(Instant::now()));
    if companion.is_killed() { Err(Raise) } else { Ok(()) }
}

/// Collects garbage until so many bytes more may be had; `false` if they are not there then.
#[cold]
pub(super) fn collect_down(L: *mut lua_State, bytes: usize) -> bool {
    // SAFETY: whoever has a state of this crate's has one with a companion.
    let companion = unsafe { companion(L) };
    companion.could_have(bytes) && collect(L, companion).is_ok() && companion.has_room(bytes)
}

/// Collects all garbage, in slices with looks between them. No block is refused meanwhile.
///
/// # Errors
/// The script is to end.
pub(super) fn collect(L: *mut lua_State, companion: &Companion) -> Result<(), Raise> {
    // What became garbage after the first cycle had passed it is found by the second.
    for _ in 0..2 {
        // SAFETY: no object of a state has a finalizer, so this runs no code of Lua's; the allocator is lenient.
        while unsafe { lua_gc(L, LUA_GCSTEP, SLICE_KB) } == 0 {
            look(L, companion)?;
        }
    }
    companion.set_collected();
    Ok(())
}

/// Ends the script: raises what no handler sees, and asks again at each instruction.
///
/// # Safety
/// No frame between here and Lua's holds anything that drops.
#[cold]
pub(super) unsafe fn raise_kill(L: *mut lua_State) -> ! {
    // SAFETY: as this function's caller says.
    unsafe {
        note_place(L, companion(L));
        lua_sethook(L, Some(on_count), LUA_MASKCOUNT, 1);
        raise_refused(L)
    }
}

/// Raises "not enough memory" as Lua does.
///
/// # Safety
/// As for [`raise_kill`].
#[cold]
pub(super) unsafe fn raise_memory(L: *mut lua_State) -> ! {
    // SAFETY: as this function's caller says.
    unsafe {
        companion(L).note_exhausted();
        raise_refused(L)
    }
}

/// Asks Lua for a block that it does not get.
///
/// # Safety
/// As for [`raise_kill`].
unsafe fn raise_refused(L: *mut lua_State) -> ! {
    // SAFETY: as this function's caller says; Lua's reaction to a refused block is to jump.
    unsafe {
        companion(L).refuse_next();
        lua_newuserdata(L, 1);
    }
    unreachable!("Lua goes on without the memory that it was refused");
}

/// Notes at which line of a script the state is.
fn note_place(L: *mut lua_State, companion: &Companion) {
    if !companion.has_place() {
        companion
            .note_place((0..LEVELS_MAX).map_while(|level| place(L, level)).find(|place| place.line >= 0));
    }
}

/// What runs at a level of the stack, 0 being the function that runs; `None` if there is none.
pub(super) fn place(L: *mut lua_State, level: c_int) -> Option<Place> {
    // SAFETY: a zeroed record is one of numbers and null pointers; Lua fills it, and the source lives as long as the function.
    unsafe {
        let mut record: lua_Debug = std::mem::zeroed();
        if lua_getstack(L, level, &mut record) == 0 || lua_getinfo(L, c"Sl".as_ptr(), &mut record) == 0 {
            return None;
        }
        let source = CStr::from_ptr(record.source).to_bytes().to_vec();
        Some(Place { source, line: i64::from(record.currentline) })
    }
}

/// Whether the function at a level of the stack is one of C or Rust.
pub(super) fn is_native(L: *mut lua_State, level: c_int) -> bool {
    // SAFETY: as in `place`.
    unsafe {
        let mut record: lua_Debug = std::mem::zeroed();
        lua_getstack(L, level, &mut record) != 0
            && lua_getinfo(L, c"S".as_ptr(), &mut record) != 0
            && CStr::from_ptr(record.what) == c"C"
    }
}
