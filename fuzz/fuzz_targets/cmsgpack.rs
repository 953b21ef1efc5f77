//! cmsgpack: any bytes are refused, or are values that are packed and unpacked again the same.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../lua.rs"]
mod lua;

/// What is packed may differ in the order of its keys, so the lengths are compared; but not where a nil may be in a table, for what is nested too deep.
const SCRIPT: &str = "
local function again(is_read, ...)
    if not is_read then return false end
    if select('#', ...) == 0 or select('#', ...) > 4000 then return true end
    local packed = cmsgpack.pack(...)
    local is_read, size = pcall(function() return #cmsgpack.pack(cmsgpack.unpack(packed)) end)
    if not packed:find('\\192') then
        assert(is_read and size == #packed, size)
    else
        assert(is_read or size == 'table index is nil', size)
    end
    return true
end
local is_all = again(pcall(cmsgpack.unpack, ARGV[1]))
local offset = 0
repeat
    local is_read, next = pcall(cmsgpack.unpack_one, ARGV[1], offset)
    assert(is_read or not is_all, next)
    assert(not is_read or next == -1 or next > offset)
    offset = next
until not is_read or offset == -1
return true";

fuzz_target!(|input: &[u8]| lua::check(SCRIPT, &[input]));
