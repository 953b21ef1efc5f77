//! Scripts made of random calls: a text of Lua from any bytes. It compiles, and does whatever it does.

/// Values without parts.
const ATOMS: [&str; 32] = [
    "nil",
    "true",
    "false",
    "0",
    "1",
    "-1",
    "2^53",
    "1/0",
    "0/0",
    "''",
    "'x'",
    "'%d'",
    "'(.-)%1'",
    "'\\0\\27'",
    "{}",
    "{1, 2, 3}",
    "{a = 1, 2}",
    "a",
    "b",
    "c",
    "d",
    "e",
    "...",
    "KEYS",
    "ARGV",
    "_G",
    "redis",
    "string",
    "math",
    "cjson.null",
    "function(...) return ... end",
    "('x'):rep(2000)",
];

/// What is called.
const FUNCTIONS: [&str; 96] = [
    "pcall",
    "pcall",
    "pcall",
    "xpcall",
    "error",
    "error",
    "assert",
    "select",
    "setmetatable",
    "setmetatable",
    "getmetatable",
    "rawset",
    "rawget",
    "rawequal",
    "next",
    "pairs",
    "ipairs",
    "tostring",
    "tonumber",
    "type",
    "unpack",
    "load",
    "loadstring",
    "collectgarbage",
    "gcinfo",
    "coroutine.wrap",
    "coroutine.wrap",
    "coroutine.create",
    "coroutine.resume",
    "coroutine.yield",
    "coroutine.status",
    "coroutine.running",
    "string.gsub",
    "string.gsub",
    "string.find",
    "string.match",
    "string.gmatch",
    "string.rep",
    "string.format",
    "string.byte",
    "string.char",
    "string.sub",
    "string.upper",
    "string.reverse",
    "string.dump",
    "table.sort",
    "table.sort",
    "table.insert",
    "table.remove",
    "table.concat",
    "table.foreach",
    "table.foreachi",
    "table.getn",
    "table.maxn",
    "redis.call",
    "redis.call",
    "redis.call",
    "redis.pcall",
    "redis.pcall",
    "redis.error_reply",
    "redis.status_reply",
    "redis.sha1hex",
    "redis.log",
    "redis.setresp",
    "redis.set_repl",
    "redis.acl_check_cmd",
    "redis.breakpoint",
    "redis.replicate_commands",
    "cjson.encode",
    "cjson.decode",
    "cjson.new",
    "cjson.encode_max_depth",
    "cjson.encode_sparse_array",
    "cmsgpack.pack",
    "cmsgpack.unpack",
    "cmsgpack.unpack_limit",
    "struct.pack",
    "struct.unpack",
    "struct.size",
    "bit.band",
    "bit.tohex",
    "bit.lshift",
    "math.random",
    "math.floor",
    "math.max",
    "math.randomseed",
    "os.clock",
    "__redis__err__handler",
    "a",
    "b",
    "c",
    "d",
    "e",
    "server.call",
    "string.len",
    "table.setn",
];

const OPERATORS: [&str; 14] = ["+", "-", "*", "/", "%", "^", "..", "==", "<", "<=", "~=", "and", "or", ">"];

const EVENTS: [&str; 12] = [
    "__index",
    "__newindex",
    "__call",
    "__add",
    "__concat",
    "__lt",
    "__eq",
    "__len",
    "__tostring",
    "__metatable",
    "__mode",
    "__gc",
];

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

/// Statements and values in one another.
const DEPTH_MAX: usize = 6;

/// Bytes of a script from which on nothing is begun any more.
const TEXT_BYTES_MAX: usize = 4_000;

/// Makes scripts of the bytes that it is given.
pub(super) struct Words<'b, B: FnMut() -> u8> {
    byte: &'b mut B,
    text: String,
}

/// A script.
pub(super) fn script(mut byte: impl FnMut() -> u8) -> String {
    let mut words = Words { byte: &mut byte, text: String::new() };
    words.text.push_str("local a, b, c, d, e = {}, 'x', function(...) return ... end, 1, nil\n");
    words.block(0);
    words.text
}

impl<B: FnMut() -> u8> Words<'_, B> {
    fn pick<'t>(&mut self, from: &[&'t str]) -> &'t str {
        from[usize::from((self.byte)()) % from.len()]
    }

    fn add(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn is_over(&self, depth: usize) -> bool {
        depth >= DEPTH_MAX || self.text.len() >= TEXT_BYTES_MAX
    }

    fn block(&mut self, depth: usize) {
        for _ in 0..1 + (self.byte)() % 4 {
            // Most errors are caught, so that something comes after them.
            if (self.byte)().is_multiple_of(8) {
                self.statement(depth);
            } else {
                self.add("pcall(function(...) ");
                self.statement(depth);
                self.add(" end, a, e)");
            }
            self.add("\n");
        }
    }

    fn statement(&mut self, depth: usize) {
        let name = self.pick(&NAMES);
        match (self.byte)() % 12 {
            _ if self.is_over(depth) => self.add("d = 1"),
            0 | 1 => {
                self.add(&format!("{name} = "));
                self.value(depth + 1);
            }
            2 => {
                self.add("if ");
                self.value(depth + 1);
                self.add(" then ");
                self.block(depth + 1);
                self.add("end");
            }
            3 => {
                let last = self.pick(&["3", "100", "1e9"]);
                self.add(&format!("for i = 1, {last} do "));
                self.block(depth + 1);
                self.add("end");
            }
            4 => {
                self.add("while ");
                self.value(depth + 1);
                self.add(" do ");
                self.block(depth + 1);
                self.add("end");
            }
            5 => {
                self.add("for k, v in pairs(");
                self.value(depth + 1);
                self.add(") do ");
                self.block(depth + 1);
                self.add("end");
            }
            6 => {
                self.add("do return ");
                self.value(depth + 1);
                self.add(" end");
            }
            7 => {
                self.add(&format!("pcall(function(...) {name}["));
                self.value(depth + 1);
                self.add("] = ");
                self.value(depth + 1);
                self.add(" end)");
            }
            _ => {
                self.add(&format!("{name} = "));
                self.call(depth);
            }
        }
    }

    fn value(&mut self, depth: usize) {
        match (self.byte)() % 10 {
            _ if self.is_over(depth) => {
                let atom = self.pick(&ATOMS);
                self.add(&format!("({atom})"));
            }
            0..=3 => {
                let atom = self.pick(&ATOMS);
                self.add(&format!("({atom})"));
            }
            4 | 5 => self.call(depth),
            6 => {
                self.add("function(...) ");
                self.block(depth + 1);
                self.add("end");
            }
            7 => {
                let operator = self.pick(&OPERATORS);
                self.add("(");
                self.value(depth + 1);
                self.add(&format!(" {operator} "));
                self.value(depth + 1);
                self.add(")");
            }
            8 => {
                let event = self.pick(&EVENTS);
                self.add(&format!("setmetatable({{1, a = 2}}, {{{event} = "));
                self.value(depth + 1);
                self.add("})");
            }
            _ => {
                self.add("{x = ");
                self.value(depth + 1);
                self.add(", ");
                self.value(depth + 1);
                self.add("}");
            }
        }
    }

    fn call(&mut self, depth: usize) {
        let function = self.pick(&FUNCTIONS);
        self.add(&format!("{function}("));
        for argument in 0..(self.byte)() % 4 {
            if argument > 0 {
                self.add(", ");
            }
            self.value(depth + 1);
        }
        self.add(")");
    }
}
