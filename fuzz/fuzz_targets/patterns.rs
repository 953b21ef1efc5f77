//! string.find, match, gmatch, gsub and format: any pattern is malformed, or matches a part of the text, and all of them say the same.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../lua.rs"]
mod lua;

const SCRIPT: &str = "
local text, pattern, other = ARGV[1], ARGV[2], ARGV[3]
local is_found, first, last = pcall(string.find, text, pattern)
if is_found and first then
    assert(first >= 1 and last <= #text and last >= first - 1)
end
local plain, plain_last = string.find(text, pattern, 1, true)
assert(not plain or text:sub(plain, plain_last) == pattern)
local is_matched, part = pcall(string.match, text, pattern)
if is_found and is_matched and not pattern:find('[^%w%s]') then
    assert((first == nil) == (part == nil))
end
local is_replaced, result, count = pcall(string.gsub, text, pattern, '')
if is_replaced then
    assert(#result <= #text and count <= #text + 1)
    -- A capture that is not closed is told only where it is used.
    local is_kept, same, times = pcall(string.gsub, text, pattern, function() end)
    assert(not is_kept or same == text and times == count)
end
pcall(string.gsub, text, pattern, other)
pcall(string.gsub, text, pattern, {[other] = 'x'})
local is_walked, walk = pcall(string.gmatch, text, pattern)
for _ = 1, 50 do
    local is_next, match = pcall(walk)
    if not is_next or match == nil then break end
end
pcall(string.format, pattern, text, 1, other, -2.5, 1e300)
pcall(string.format, other, 1, 2, 3, 4, 5, 6)
return true";

fuzz_target!(|input: (&[u8], &[u8], &[u8])| lua::check(SCRIPT, &[input.0, input.1, input.2]));
