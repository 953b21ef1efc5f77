//! struct: any format and any bytes are refused, or what is unpacked can be packed and is as long as the format says.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../lua.rs"]
mod lua;

const SCRIPT: &str = "
local format, bytes = ARGV[1], ARGV[2]
local has_size, size = pcall(struct.size, format)
local function again(is_read, ...)
    if not is_read then return end
    local count = select('#', ...)
    local ended = select(count, ...)
    assert(ended >= 1 and ended <= #bytes + 1)
    assert(not has_size or ended - 1 == size)
    if has_size and count < 4000 then
        local packed = struct.pack(format, ...)
        assert(#packed == size)
    end
end
again(pcall(struct.unpack, format, bytes))
pcall(struct.unpack, format, bytes, 3)
pcall(struct.pack, format, 1, -2.5, 'abc', '12', 1e300, bytes, 7, 8)
return true";

fuzz_target!(|input: (&[u8], &[u8])| lua::check(SCRIPT, &[input.0, input.1]));
