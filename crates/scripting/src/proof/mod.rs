//! Whether a script can be proven to touch no keys but those that its caller declares.
//!
//! A script that is proven runs beside whatever does not touch its keys; any other holds everything. The proof reads the text as Lua 5.1
//! ([`parse`]), finds out what is known of each value ([`values`]), and asks of each `redis.call` and `redis.pcall` whether what stands at its
//! command's key positions is an element of KEYS. What it does not understand is not proven, and told with its line.
//!
//! It decides how a script runs, never what it may do: each call's keys are compared with what is held, so a proof that is wrong is a script
//! that runs again, or an error, and never a race.

mod parse;
mod syntax;
mod token;
mod values;

use values::{Knowledge, Value};

/// Longest text that is read; a longer one is not proven.
pub const TEXT_BYTES_MAX: usize = 1 << 20;

/// What a call's argument is known to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Argument<'t> {
    /// An element of KEYS.
    Key,
    /// These bytes.
    Text(&'t [u8]),
    /// Nothing is known of it.
    Unknown,
}

/// A call of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call<'t> {
    /// The command's name, then its arguments as far as they are counted.
    pub arguments: Vec<Argument<'t>>,
    /// What each of any number of further arguments is; `None` if there are none. If there may be some, the last argument may be missing.
    pub further: Option<Argument<'t>>,
}

/// Why a script is not proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unproven {
    /// The line, from 1.
    pub line: u32,
    /// The reason, a sentence's end: "it ...".
    pub why: String,
}

/// Proves that a script touches declared keys alone. `touches` tells of each call whether it does, or why not; it knows the commands.
///
/// Costs some microseconds per line of the text.
///
/// # Errors
/// What is not understood, or touches other keys: the first in the text.
pub fn prove(text: &[u8], mut touches: impl FnMut(&Call<'_>) -> Result<(), String>) -> Result<(), Unproven> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(Unproven { line: 1, why: format!("it is longer than {TEXT_BYTES_MAX} bytes") });
    }
    let chunk = parse::parse(text).map_err(|fault| Unproven {
        line: fault.line,
        why: "it is nested too deep, or is no Lua 5.1".to_owned(),
    })?;
    let calls =
        Knowledge::of(&chunk).map_err(|obstacle| Unproven { line: obstacle.line, why: obstacle.why })?;
    for called in &calls {
        let call = Call {
            arguments: called.arguments.iter().map(argument).collect(),
            further: called.rest.as_ref().map(argument),
        };
        touches(&call).map_err(|why| Unproven { line: called.line, why })?;
    }
    Ok(())
}

fn argument<'t>(value: &Value<'t>) -> Argument<'t> {
    match value {
        // nil ends a call with an error before it touches anything.
        Value::Key | Value::Nothing => Argument::Key,
        Value::Text(text) => Argument::Text(text),
        Value::Keys | Value::Command | Value::Function(_) | Value::Other => Argument::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Commands whose first argument is their key, and MGET, all of whose are.
    fn touches(call: &Call<'_>) -> Result<(), String> {
        let (keys, further) = match &call.arguments[..] {
            [Argument::Text(name), rest @ ..] if name.eq_ignore_ascii_case(b"mget") => (rest, call.further),
            [Argument::Text(name), ..] if *name == b"PING" => (&[][..], None),
            [Argument::Text(_), key, ..] => (std::slice::from_ref(key), None),
            [Argument::Text(_)] => (&[][..], call.further),
            _ => return Err("it calls a command whose name is not known".to_owned()),
        };
        if keys.iter().chain(&further).all(|key| *key == Argument::Key) {
            Ok(())
        } else {
            Err("it touches a key that is not in KEYS".to_owned())
        }
    }

    #[track_caller]
    fn check(text: &str, expected: Result<(), (u32, &str)>) {
        let found = prove(text.as_bytes(), touches);
        let found = found.as_ref().map_err(|unproven| (unproven.line, unproven.why.as_str()));
        assert_eq!(found.copied(), expected, "{text}");
    }

    const UNDECLARED: &str = "it touches a key that is not in KEYS";

    #[test]
    fn keys_are_proven_through_locals_loops_and_functions() {
        for text in [
            "return 1",
            "return redis.call('GET', KEYS[1])",
            "return redis.pcall('GET', KEYS[ARGV[1]])",
            "local k = KEYS[1] local v = redis.call('get', k) if v then redis.call('SET', k, v .. ARGV[1]) end return KEYS",
            "for i = 1, #KEYS do redis.call('DEL', KEYS[i]) end",
            "for i, key in ipairs(KEYS) do redis.call('DEL', key) end",
            "local all = KEYS for _, key in pairs(all) do redis.call('DEL', key) end",
            "return redis.call('MGET', unpack(KEYS))",
            "return redis.call('MGET', KEYS[1], unpack(KEYS, 2, 3))",
            "local a, b = unpack(KEYS) return redis.call('MGET', a, b)",
            "local call = redis.call return call('SET', KEYS[1], unpack(ARGV))",
            "local k = ARGV[1] == 'x' and KEYS[1] or KEYS[2] return server.call('GET', k)",
            "local function get(key) return redis.call('GET', key) end return get(KEYS[1]) .. get(KEYS[2])",
            "local function key() return KEYS[1] end return redis.call('GET', key())",
            "local f f = function(n, key) if n > 0 then f(n - 1, key) end redis.call('GET', key) end f(3, KEYS[1])",
            "local ok, err = pcall(redis.call, 'GET', KEYS[1])",
            "local ok = pcall(function() return redis.call('GET', KEYS[1]) end)",
            "redis.log(redis.LOG_NOTICE, 'x') return redis.sha1hex(redis.call('PING'))",
            "local name = 'GET' return redis.call(name, KEYS[1])",
            "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) else return 0 end",
            "local t = {} for i = 1, 10 do t[#t + 1] = redis.call('GET', KEYS[1]) end table.sort(t) return cjson.encode(t)",
            "local s = ('x'):rep(3) return s:upper()",
        ] {
            check(text, Ok(()));
        }
    }

    #[test]
    fn what_touches_other_keys_is_told_with_its_line() {
        check("\nreturn redis.call('GET', 'x')", Err((2, UNDECLARED)));
        check("return redis.call('GET', KEYS[1] .. ':x')", Err((1, UNDECLARED)));
        check("return redis.call('GET', ARGV[1])", Err((1, UNDECLARED)));
        check("local k = KEYS[1]\nk = ARGV[1]\nreturn redis.call('GET', k)", Err((3, UNDECLARED)));
        check(
            "local k = KEYS[1]\nredis.call('GET', k)\nlocal function f() k = 'x' end f()",
            Err((2, UNDECLARED)),
        );
        check("return redis.call('MGET', KEYS[1], unpack(ARGV))", Err((1, UNDECLARED)));
        check("local t = {unpack(KEYS)} t[1] = 'x' return redis.call('GET', t[1])", Err((1, UNDECLARED)));
        check(
            "local function get(key) return redis.call('GET', key) end get(KEYS[1]) get('x')",
            Err((1, UNDECLARED)),
        );
        check("local t = {} t.f = function(key) redis.call('GET', key) end t.f('x')", Err((1, UNDECLARED)));
        check(
            "local f = function(key) redis.call('GET', key) end table.foreach({}, f) f(KEYS[1])",
            Err((1, UNDECLARED)),
        );
        check("return redis.call('GET', KEYS[1] or 'x')", Err((1, UNDECLARED)));
        check("for i, key in ipairs(ARGV) do redis.call('GET', key) end", Err((1, UNDECLARED)));
        check("for key in pairs(KEYS) do redis.call('GET', key) end", Err((1, UNDECLARED)));
        check("local function f(...) return redis.call('GET', ...) end f(KEYS[1])", Err((1, UNDECLARED)));
        check("local KEYS = ARGV return redis.call('GET', KEYS[1])", Err((1, UNDECLARED)));
        check("return redis.call(ARGV[1], KEYS[1])", Err((1, "it calls a command whose name is not known")));
    }

    #[test]
    fn what_is_not_understood_is_not_proven() {
        check("KEYS[1] = 'x' return redis.call('GET', KEYS[1])", Err((1, "it changes KEYS")));
        check("local k = KEYS k[1] = 'x'", Err((1, "it changes KEYS")));
        check("local k = KEYS\nif x then k = {} end", Err((1, "it gives KEYS away")));
        check("local t = {KEYS}", Err((1, "it gives KEYS away")));
        check("table.insert(KEYS, 'x')", Err((1, "it gives KEYS away")));
        check("local _, t = ipairs(KEYS) t[1] = 'x'", Err((1, "it gives KEYS away")));
        check("local function f() return KEYS end local g = f g()[1] = 'x'", Err((1, "it changes KEYS")));
        check("(KEYS or {})[1] = 'x'", Err((1, "it gives KEYS away")));
        check("local r = redis", Err((1, "it uses redis as a value")));
        check("redis.call = 1", Err((1, "it uses redis as a value")));
        check("redis['call']('GET', 'x')", Err((1, UNDECLARED)));
        check("redis[ARGV[1]]('GET', 'x')", Err((1, "it uses something of redis that is not known")));
        check("local t = {call = redis.call}", Err((1, "it gives redis.call away")));
        check("xpcall(redis.call, tostring)", Err((1, "it gives redis.call away")));
        check("coroutine.wrap(redis.call)('GET', 'x')", Err((1, "it gives redis.call away")));
        check("_G.redis.call('GET', 'x')", Err((1, "it uses the global _G")));
        check("loadstring('x')()", Err((1, "it uses the global loadstring")));
        check("x = 1", Err((1, "it assigns the global x")));
        check("return", Ok(()));
        check("return )", Err((1, "it is nested too deep, or is no Lua 5.1")));
    }

    #[test]
    fn nesting_and_chains_cost_no_more_than_their_length() {
        for inner in ["unpack(", "pcall(", "(KEYS or ", "ipairs(", "f(function() return "] {
            let close = if inner.starts_with('f') { " end)" } else { ")" };
            let text = format!("local x = {}1{}", inner.repeat(40), close.repeat(40));
            // It ends: what it says does not matter.
            let _ = prove(text.as_bytes(), touches);
        }
        let names: Vec<String> = (0..190).map(|index| format!("local a{index} = a{} ", index + 1)).collect();
        let _ = prove(names.concat().as_bytes(), touches);
    }
}
