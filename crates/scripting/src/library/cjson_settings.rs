//! What can be set of `cjson`, and where it stands: in a block of Lua's that each function keeps.

use std::ffi::c_int;

use mlua_sys::lua_upvalueindex;

use super::stack::Stack;

/// What `encode` and `decode` keep a block of bytes in while they run.
pub(super) const PLACE: c_int = lua_upvalueindex(2);

/// Where each function keeps them.
const SETTINGS: c_int = lua_upvalueindex(1);

/// What `encode` makes of NaN and the infinities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Invalid {
    Refused,
    Written,
    Null,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    pub(super) encode_depth_max: i32,
    pub(super) decode_depth_max: i32,
    /// How many digits of a number are written.
    pub(super) digits: i32,
    /// Says nothing here: a buffer is never kept.
    pub(super) keeps_buffer: bool,
    pub(super) invalid_encoded: Invalid,
    pub(super) are_invalid_decoded: bool,
    /// Whether an array with many holes is written as an object, and not refused.
    pub(super) is_sparse_object: bool,
    /// An array has many holes if it is more than so many times as long as it has elements; 0 if none has ...
    pub(super) sparse_ratio: i32,
    /// ... and longer than this.
    pub(super) sparse_safe: i32,
}

impl Settings {
    pub(super) const DEFAULT: Self = Self {
        encode_depth_max: 1000,
        decode_depth_max: 1000,
        digits: 14,
        keeps_buffer: true,
        invalid_encoded: Invalid::Refused,
        are_invalid_decoded: true,
        is_sparse_object: false,
        sparse_ratio: 2,
        sparse_safe: 10,
    };

    /// What is set for the function that runs.
    pub(super) fn of(stack: Stack) -> Self {
        let block = stack.block(SETTINGS).cast::<Self>();
        // SAFETY: each function of the library keeps such a block, which scripts cannot reach.
        unsafe { block.read() }
    }

    /// Sets them for it, and for all of its library.
    pub(super) fn keep(self, stack: Stack) {
        stack.note_set_up();
        let block = stack.block(SETTINGS).cast::<Self>();
        // SAFETY: as in `of`.
        unsafe { block.write(self) }
    }
}
