//! A state's memory: the process's own allocator, with a count and a limit.
//!
//! The limit is strict while Lua's code runs (a refused block is Lua's "not enough memory") and nothing is refused while a function in Rust
//! does: see [`super::function`].

use std::alloc::{Layout, handle_alloc_error};
use std::ffi::{c_int, c_void};
use std::ptr;

use mlua_sys::{LUA_MASKCOUNT, lua_sethook};

use super::companion::Companion;
use super::look;
use super::spare::{STEP, layout};

/// An instruction: the hook is called before the next.
const NEXT: c_int = 1;

/// Lua's allocator; `data` is the state's companion.
///
/// # Safety
/// Lua calls it with blocks that it got here, and their sizes.
pub(super) unsafe extern "C" fn allocate(
    data: *mut c_void,
    block: *mut c_void,
    old: usize,
    new: usize,
) -> *mut c_void {
    // SAFETY: the state was made with its companion, which lives longer.
    let companion = unsafe { &*data.cast::<Companion>() };
    if Layout::from_size_align(new, STEP).is_err() || !companion.resize(old, new) {
        return ptr::null_mut();
    }
    // SAFETY: each size is that of the block's layout, and none is zero where it must not be.
    let given = unsafe {
        match (old, new) {
            (0, 0) => return ptr::null_mut(),
            (0, new) => companion.spare.take(new),
            (old, 0) => {
                companion.spare.give(block.cast(), old);
                return ptr::null_mut();
            }
            (old, new) => companion.spare.resize(block.cast(), old, new),
        }
    };
    if given.is_null() {
        if !companion.undo_resize(old, new) {
            // A function in Rust runs, where an error cannot be raised: as everywhere, this ends the process.
            handle_alloc_error(layout(new));
        }
        return ptr::null_mut();
    }
    if companion.has_grown() && !companion.running().is_null() {
        companion.forget_growth();
        // SAFETY: the state runs, and Lua lets its hook be set at any moment.
        unsafe { lua_sethook(companion.running(), Some(look::on_count), LUA_MASKCOUNT, NEXT) };
    }
    given.cast()
}
