//! `table.sort`: quicksort in place, as Lua's own, so that equal elements end where they do in Redis and an order function is asked the same.
//!
//! An order that is none ends it with an error, or sorts in some way: each part is smaller than what it was part of, whatever the order says.
//! (Lua's own goes on for ever with some.) The bodies here hold nothing that drops, for an error of the order jumps over them.

use std::ffi::c_int;

use mlua_sys::{LUA_TNUMBER, LUA_TSTRING, lua_State};

use super::stack::{Stack, Steps};
use super::table::count;
use crate::lua::function::{Raise, lua_plain_function};

lua_plain_function!(sort, sort_body);

/// Values on the stack at most: the smaller part is sorted first, and its place is given back.
const VALUES_MAX: c_int = 40;

/// Bytes that are compared in a step.
const COMPARED_BYTES: usize = 16;

fn sort_body(L: *mut lua_State) -> Result<c_int, Raise> {
    let stack = Stack::of(L);
    // A shared one has no elements: nothing is written.
    stack.table_as_seen(1)?;
    let last = count(stack, 1);
    stack.need(VALUES_MAX, "")?;
    if !stack.is_absent(2) {
        stack.function(2)?;
    }
    stack.set_top(2);
    let has_function = !stack.is_nil(2);
    Sort { stack, steps: Steps::new(stack), has_function }.sort(1, i64::from(last))?;
    Ok(0)
}

struct Sort {
    stack: Stack,
    steps: Steps,
    /// Whether the second argument says what is less.
    has_function: bool,
}

impl Sort {
    fn sort(&mut self, mut low: i64, mut high: i64) -> Result<(), Raise> {
        while low < high {
            let Some(pivot) = self.divide(low, high)? else { return Ok(()) };
            // No deeper than the logarithm of the count.
            if pivot - low < high - pivot {
                self.sort(low, pivot - 1)?;
                low = pivot + 1;
            } else {
                self.sort(pivot + 1, high)?;
                high = pivot - 1;
            }
        }
        Ok(())
    }

    /// Puts an element where it belongs, with all before it not greater and all behind it not less, and says where; nothing if
    /// there are so few that they are in order.
    fn divide(&mut self, low: i64, high: i64) -> Result<Option<i64>, Raise> {
        self.order(low, high)?;
        if high - low == 1 {
            return Ok(None);
        }
        let middle = low + (high - low) / 2;
        self.get(middle);
        self.get(low);
        if self.is_less(-2, -1)? {
            self.set_two(middle, low);
        } else {
            self.stack.pop(1);
            self.get(high);
            if self.is_less(-1, -2)? {
                self.set_two(middle, high);
            } else {
                self.stack.pop(2);
            }
        }
        if high - low == 2 {
            return Ok(None);
        }
        // The middle one is the pivot, and waits at the last place but one.
        self.get(middle);
        self.stack.push_copy(-1);
        self.get(high - 1);
        self.set_two(middle, high - 1);
        let place = self.part(low, high)?;
        self.get(high - 1);
        self.get(place);
        self.set_two(high - 1, place);
        Ok(Some(place))
    }

    /// Moves what is less than the pivot to the front and what is greater to the back; the pivot is on top of the stack, and is popped.
    /// Says where the back begins.
    fn part(&mut self, low: i64, high: i64) -> Result<i64, Raise> {
        let (mut front, mut back) = (low, high - 1);
        loop {
            front += 1;
            self.get(front);
            while self.is_less(-1, -2)? {
                if front > high {
                    return Err(self.no_order());
                }
                self.stack.pop(1);
                front += 1;
                self.get(front);
            }
            back -= 1;
            self.get(back);
            while self.is_less(-3, -1)? {
                if back < low {
                    return Err(self.no_order());
                }
                self.stack.pop(1);
                back -= 1;
                self.get(back);
            }
            // Beyond the end, where Lua would go on with what is no element.
            if front > high {
                return Err(self.no_order());
            }
            if back < front {
                self.stack.pop(3);
                return Ok(front);
            }
            self.set_two(front, back);
        }
    }

    /// Puts the lesser of two elements first.
    fn order(&mut self, low: i64, high: i64) -> Result<(), Raise> {
        self.get(low);
        self.get(high);
        if self.is_less(-1, -2)? {
            self.set_two(low, high);
        } else {
            self.stack.pop(2);
        }
        Ok(())
    }

    #[cold]
    fn no_order(&self) -> Raise {
        self.stack.fail(b"invalid order function for sorting")
    }

    /// Pushes an element. What is beyond the end may be asked for by one.
    fn get(&self, index: i64) {
        self.stack.get_at(1, index as c_int);
    }

    /// Pops two values into the table, the topmost first.
    fn set_two(&self, first: i64, second: i64) {
        self.stack.set_at(1, first as c_int);
        self.stack.set_at(1, second as c_int);
    }

    /// Whether one value of the stack is less than another, counted from its top.
    fn is_less(&mut self, left: c_int, right: c_int) -> Result<bool, Raise> {
        self.steps.take(20)?;
        let stack = self.stack;
        if self.has_function {
            stack.push_copy(2);
            // What was pushed before them is in between.
            stack.push_copy(left - 1);
            stack.push_copy(right - 2);
            stack.call_through(2, 1);
            let is_less = stack.truth(-1);
            stack.pop(1);
            return Ok(is_less);
        }
        match (stack.kind(left), stack.kind(right)) {
            (LUA_TNUMBER, LUA_TNUMBER) => Ok(stack.number(left) < stack.number(right)),
            (LUA_TSTRING, LUA_TSTRING) => {
                let (left, right) =
                    (stack.bytes(left).unwrap_or_default(), stack.bytes(right).unwrap_or_default());
                self.steps.take(left.len().min(right.len()) / COMPARED_BYTES)?;
                Ok(left < right)
            }
            _ => Ok(stack.is_less_through(left, right)),
        }
    }
}
