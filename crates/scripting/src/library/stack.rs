//! Lua's stack, as the functions of the library use it.
//!
//! What is unsafe about Lua's API stands here and in [`super::buffer`], so that the library itself is plain Rust. An index is one of a value that
//! is there, or of an argument that may be missing; whoever pushes more than a handful asks [`Stack::need`] before.
//!
//! The methods whose names end in `_through` run Lua's code with nothing in between, and an error of it jumps over the frames of Rust above:
//! they are for bodies of `lua_plain_function` alone, which hold nothing that drops.

use std::ffi::{CStr, c_int, c_void};
use std::ptr;

use mlua_sys::{
    LUA_REGISTRYINDEX, LUA_TNIL, LUA_TNONE, lua_CFunction, lua_State, lua_call, lua_checkstack,
    lua_createtable, lua_gettable_, lua_gettop, lua_insert, lua_isnumber, lua_lessthan, lua_newuserdata,
    lua_next, lua_objlen, lua_pushboolean, lua_pushcclosure, lua_pushlightuserdata, lua_pushnil,
    lua_pushnumber, lua_pushvalue, lua_rawget_, lua_rawgeti_, lua_rawset, lua_rawseti_, lua_replace,
    lua_setmetatable, lua_settop, lua_toboolean, lua_tonumber, lua_touserdata, lua_type, lua_typename,
};

use crate::lua::companion::companion;
use crate::lua::function::{self, Raise};
use crate::lua::sandbox;

/// As many values are on the stack while an error is worded.
const ERROR_VALUES: c_int = 5;

/// The stack of the function that runs.
#[derive(Clone, Copy)]
pub(super) struct Stack(*mut lua_State);

impl Stack {
    /// The stack of a state while it calls a function of this crate's, or while it is built.
    pub(super) fn of(L: *mut lua_State) -> Self {
        Self(L)
    }

    // Order.

    /// The index of the topmost value.
    pub(super) fn top(self) -> c_int {
        // SAFETY: only looks at the stack.
        unsafe { lua_gettop(self.0) }
    }

    /// Drops what is above this index, or fills up to it with nil.
    pub(super) fn set_top(self, index: c_int) {
        // SAFETY: there is room for as many as were asked for (see the module).
        unsafe { lua_settop(self.0, index) }
    }

    pub(super) fn pop(self, count: c_int) {
        self.set_top(-count - 1);
    }

    /// Moves the topmost value here.
    pub(super) fn insert(self, index: c_int) {
        // SAFETY: the index is one of a value.
        unsafe { lua_insert(self.0, index) }
    }

    /// Puts the topmost value in the place of this one, and pops it.
    pub(super) fn replace(self, index: c_int) {
        // SAFETY: the index is one of a value, or of an upvalue.
        unsafe { lua_replace(self.0, index) }
    }

    /// Whether there is room for so many values more; afterwards there is.
    pub(super) fn has_place(self, count: c_int) -> bool {
        // SAFETY: the stack grows under Lua's own protection.
        unsafe { lua_checkstack(self.0, count) != 0 }
    }

    /// Makes room for so many values.
    ///
    /// # Errors
    /// "stack overflow", and why.
    pub(super) fn need(self, count: c_int, why: &str) -> Result<(), Raise> {
        if self.has_place(count) {
            return Ok(());
        }
        Err(self.fail(format!("stack overflow ({why})").as_bytes()))
    }

    // What values are.

    pub(super) fn kind(self, index: c_int) -> c_int {
        // SAFETY: only looks at the stack.
        unsafe { lua_type(self.0, index) }
    }

    /// The name of a value's type, "no value" if it is missing.
    pub(super) fn type_name(self, index: c_int) -> &'static str {
        // SAFETY: Lua's names of types are constants.
        let name = unsafe { CStr::from_ptr(lua_typename(self.0, self.kind(index))) };
        name.to_str().unwrap_or("?")
    }

    pub(super) fn is_nil(self, index: c_int) -> bool {
        self.kind(index) == LUA_TNIL
    }

    pub(super) fn is_missing(self, index: c_int) -> bool {
        self.kind(index) == LUA_TNONE
    }

    /// Whether it is missing, or nil.
    pub(super) fn is_absent(self, index: c_int) -> bool {
        self.kind(index) <= LUA_TNIL
    }

    /// Whether it is a number, or a string that spells one.
    pub(super) fn is_numeric(self, index: c_int) -> bool {
        // SAFETY: only looks at the stack.
        unsafe { lua_isnumber(self.0, index) != 0 }
    }

    /// The number, or the one that a string spells; 0 for everything else.
    pub(super) fn number(self, index: c_int) -> f64 {
        // SAFETY: only looks at the stack.
        unsafe { lua_tonumber(self.0, index) }
    }

    /// Everything is true but false and nil.
    pub(super) fn truth(self, index: c_int) -> bool {
        // SAFETY: only looks at the stack.
        unsafe { lua_toboolean(self.0, index) != 0 }
    }

    /// The bytes of a string, or of a number, which becomes one in its place. Valid while the value stays on the stack.
    pub(super) fn bytes<'l>(self, index: c_int) -> Option<&'l [u8]> {
        function::to_bytes(self.0, index)
    }

    /// Where a block of bytes of Lua's stands; null for other values.
    pub(super) fn block(self, index: c_int) -> *mut c_void {
        // SAFETY: only looks at the stack.
        unsafe { lua_touserdata(self.0, index) }
    }

    // Arguments.

    /// # Errors
    /// The argument is no string and no number.
    pub(super) fn string<'l>(self, index: c_int) -> Result<&'l [u8], Raise> {
        function::string_argument(self.0, index)
    }

    /// # Errors
    /// The argument spells no number.
    pub(super) fn number_argument(self, index: c_int) -> Result<f64, Raise> {
        function::number_argument(self.0, index)
    }

    /// # Errors
    /// The argument spells no number.
    pub(super) fn integer(self, index: c_int) -> Result<i64, Raise> {
        function::integer_argument(self.0, index)
    }

    /// # Errors
    /// The argument is there and spells no number.
    pub(super) fn integer_or(self, index: c_int, default: i64) -> Result<i64, Raise> {
        function::optional_integer(self.0, index, default)
    }

    /// A number of 32 bits, of which Lua takes the lowest.
    ///
    /// # Errors
    /// The argument spells no number.
    pub(super) fn int(self, index: c_int) -> Result<i32, Raise> {
        Ok(self.integer(index)? as i32)
    }

    /// # Errors
    /// The argument is there and spells no number.
    pub(super) fn int_or(self, index: c_int, default: i32) -> Result<i32, Raise> {
        if self.is_absent(index) { Ok(default) } else { self.int(index) }
    }

    /// A table to be walked: a shared one is seen through.
    ///
    /// # Errors
    /// The argument is no table.
    pub(super) fn table(self, index: c_int) -> Result<(), Raise> {
        function::table_argument(self.0, index)?;
        self.see_through(index);
        Ok(())
    }

    /// A table as the script sees it: a shared one is empty.
    ///
    /// # Errors
    /// The argument is no table.
    pub(super) fn table_as_seen(self, index: c_int) -> Result<(), Raise> {
        function::table_argument(self.0, index)
    }

    /// A table to be changed.
    ///
    /// # Errors
    /// The argument is no table, or a shared one.
    pub(super) fn own_table(self, index: c_int) -> Result<(), Raise> {
        function::changeable_table_argument(self.0, index)
    }

    /// # Errors
    /// The argument is no function.
    pub(super) fn function(self, index: c_int) -> Result<(), Raise> {
        function::function_argument(self.0, index)
    }

    /// Puts the shared table itself in the place of what scripts see of it; leaves all other values alone.
    pub(super) fn see_through(self, index: c_int) {
        sandbox::see_through(self.0, index);
    }

    // Pushing.

    pub(super) fn push(self, bytes: &[u8]) {
        function::push(self.0, bytes);
    }

    pub(super) fn push_number(self, number: f64) {
        // SAFETY: there is room (see the module), as for all that are pushed below.
        unsafe { lua_pushnumber(self.0, number) }
    }

    /// A position or a count; they are exact up to 2^53.
    pub(super) fn push_count(self, count: usize) {
        self.push_number(count as f64);
    }

    pub(super) fn push_truth(self, truth: bool) {
        // SAFETY: as for a number.
        unsafe { lua_pushboolean(self.0, c_int::from(truth)) }
    }

    pub(super) fn push_nil(self) {
        // SAFETY: as for a number.
        unsafe { lua_pushnil(self.0) }
    }

    /// An address as a value.
    pub(super) fn push_address(self, address: *const c_void) {
        // SAFETY: as for a number; nobody reads what is there.
        unsafe { lua_pushlightuserdata(self.0, address.cast_mut()) }
    }

    pub(super) fn push_copy(self, index: c_int) {
        // SAFETY: as for a number.
        unsafe { lua_pushvalue(self.0, index) }
    }

    /// A function that keeps so many of the topmost values, which are popped.
    pub(super) fn push_function(self, function: lua_CFunction, kept: c_int) {
        // SAFETY: the values are there; the function is a shell.
        unsafe { lua_pushcclosure(self.0, function, kept) }
    }

    /// A block of so many bytes, which lives as long as Lua knows it.
    pub(super) fn push_block(self, bytes: usize) -> *mut c_void {
        // SAFETY: as for a number; what is too much was refused by `room`.
        unsafe { lua_newuserdata(self.0, bytes) }
    }

    /// A table with place for so many elements and names. What a peer says is no such number.
    pub(super) fn push_table(self, elements: c_int, names: c_int) {
        // SAFETY: as for a number.
        unsafe { lua_createtable(self.0, elements, names) }
    }

    // Tables, never with their metatables' help.

    /// A table's length, as `#` says it.
    pub(super) fn length(self, index: c_int) -> usize {
        // SAFETY: only looks at the value.
        unsafe { lua_objlen(self.0, index) }
    }

    /// Pushes an element of a table.
    pub(super) fn get_at(self, index: c_int, element: c_int) {
        // SAFETY: the value at the index is a table.
        unsafe { lua_rawgeti_(self.0, index, element) }
    }

    /// Makes the topmost value an element of a table, and pops it.
    pub(super) fn set_at(self, index: c_int, element: c_int) {
        // SAFETY: the value at the index is a table.
        unsafe { lua_rawseti_(self.0, index, element) }
    }

    /// Puts what the table has under the topmost value in that one's place.
    pub(super) fn get(self, index: c_int) {
        // SAFETY: the value at the index is a table.
        unsafe { lua_rawget_(self.0, index) }
    }

    /// Pops a value and the key below it, which is not nil and not NaN, into a table.
    pub(super) fn set(self, index: c_int) {
        // SAFETY: the value at the index is a table, and the key is one that tables take.
        unsafe { lua_rawset(self.0, index) }
    }

    /// Pops a key, and pushes the next one with its value; says false behind the last. Nobody changes the table meanwhile.
    pub(super) fn next(self, index: c_int) -> bool {
        // SAFETY: the value at the index is a table, and the key is nil or one of its keys.
        unsafe { lua_next(self.0, index) != 0 }
    }

    /// Pops a table, and makes it the metatable of a value.
    pub(super) fn set_metatable(self, index: c_int) {
        // SAFETY: a table is on top.
        unsafe { lua_setmetatable(self.0, index) };
    }

    /// Pushes what the registry has under an address.
    pub(super) fn get_registered(self, address: *const c_void) {
        self.push_address(address);
        self.get(LUA_REGISTRYINDEX);
    }

    /// Pops a value into the registry, under an address.
    pub(super) fn register(self, address: *const c_void) {
        self.push_address(address);
        self.insert(-2);
        self.set(LUA_REGISTRYINDEX);
    }

    // Running Lua's code (see the module).

    /// Calls a function with arguments, all of which are popped, and pushes so many results.
    pub(super) fn call_through(self, arguments: c_int, results: c_int) {
        // SAFETY: the function and its arguments are there; the caller's frames hold nothing that drops. The allocator is strict while Lua's
        // code runs, and stays so if this does not return.
        unsafe {
            companion(self.0).end_lenient(true);
            lua_call(self.0, arguments, results);
            companion(self.0).begin_lenient();
        }
    }

    /// Puts what a table has under the topmost value in that one's place, or what its metatable says.
    pub(super) fn get_through(self, index: c_int) {
        // SAFETY: as for a call.
        unsafe {
            companion(self.0).end_lenient(true);
            lua_gettable_(self.0, index);
            companion(self.0).begin_lenient();
        }
    }

    /// Whether a value is less than another.
    pub(super) fn is_less_through(self, left: c_int, right: c_int) -> bool {
        // SAFETY: as for a call.
        unsafe {
            companion(self.0).end_lenient(true);
            let is_less = lua_lessthan(self.0, left, right) != 0;
            companion(self.0).begin_lenient();
            is_less
        }
    }

    /// As [`Stack::next`], where the table may have been changed: Lua knows no next key then.
    pub(super) fn next_through(self, index: c_int) -> bool {
        // SAFETY: as for a call.
        unsafe {
            companion(self.0).end_lenient(true);
            let is_there = lua_next(self.0, index) != 0;
            companion(self.0).begin_lenient();
            is_there
        }
    }

    /// Says that a library is set up as the next script is not to find it.
    pub(super) fn note_set_up(self) {
        // SAFETY: a state of this crate's.
        unsafe { companion(self.0) }.note_set_up();
    }

    // Errors and limits.

    /// Pushes an error's text behind the place where the function was called.
    #[cold]
    pub(super) fn fail(self, text: &[u8]) -> Raise {
        self.clear_place();
        function::fail(self.0, text)
    }

    /// Pushes an error's text as it is.
    #[cold]
    pub(super) fn fail_bare(self, text: &[u8]) -> Raise {
        self.clear_place();
        self.push(text);
        Raise
    }

    #[cold]
    pub(super) fn fail_argument(self, index: c_int, text: &str) -> Raise {
        self.clear_place();
        function::fail_argument(self.0, index, text)
    }

    /// Makes room for an error's text, in the place of values if the stack is full: they are not needed any more.
    fn clear_place(self) {
        if !self.has_place(ERROR_VALUES) {
            self.pop(ERROR_VALUES);
        }
    }

    /// # Errors
    /// There is no room for so many bytes.
    pub(super) fn room(self, bytes: usize) -> Result<(), Raise> {
        function::room(self.0, bytes)
    }

    /// # Errors
    /// The script was killed.
    pub(super) fn tick(self, steps: u32) -> Result<(), Raise> {
        function::tick(self.0, steps)
    }
}

/// So many steps are done between two looks.
const STEPS: u32 = 1000;

/// Counts the steps of what may run long or make much, and looks now and then whether it may go on.
pub(super) struct Steps {
    stack: Stack,
    done: u32,
}

impl Steps {
    pub(super) fn new(stack: Stack) -> Self {
        Self { stack, done: 0 }
    }

    /// Counts steps of a nanosecond or two each.
    ///
    /// # Errors
    /// The script was killed, or has more memory than it may.
    #[inline]
    pub(super) fn take(&mut self, steps: usize) -> Result<(), Raise> {
        self.done = self.done.saturating_add(u32::try_from(steps).unwrap_or(u32::MAX));
        if self.done < STEPS { Ok(()) } else { self.look() }
    }

    fn look(&mut self) -> Result<(), Raise> {
        let done = std::mem::take(&mut self.done);
        self.stack.tick(done)?;
        self.stack.room(0)
    }
}

/// The address of a static, which is a key of the registry that nobody else has.
pub(super) fn address_of<T>(key: &'static T) -> *const c_void {
    ptr::from_ref(key).cast()
}
