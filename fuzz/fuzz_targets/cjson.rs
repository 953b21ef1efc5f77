//! cjson: any text is refused, or is a value that is written and read again the same.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../lua.rs"]
mod lua;

/// What is written of a value may differ in the order of its keys, so the lengths are compared.
const SCRIPT: &str = "
local is_read, value = pcall(cjson.decode, ARGV[1])
if not is_read then
    assert(value:find('at character %d+$') or value:find('UTF%-16'), value)
    return true
end
local is_written, text = pcall(cjson.encode, value)
if is_written then
    local again = cjson.encode(cjson.decode(text))
    assert(#again == #text, text)
else
    assert(text:find('NaN or Inf') or text:find('sparse'), text)
end
return true";

fuzz_target!(|input: &[u8]| lua::check(SCRIPT, &[input]));
