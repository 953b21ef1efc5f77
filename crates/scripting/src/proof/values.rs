//! What a proof knows of values, without running anything.
//!
//! It does not follow the order of statements: a local variable has all the values that any statement writes to it, the declaration's among
//! them. So nothing is missed by a loop, a branch or a function that is called later, and what is known is known at every place.

use super::parse::Chunk;
use super::syntax::{Expression, Field, Function, Kind, Local, Statement};

/// What is known of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value<'t> {
    /// Nothing is written there: nil, or what is never reached.
    Nothing,
    /// An element of KEYS, or nil.
    Key,
    /// This string.
    Text(&'t [u8]),
    /// The table KEYS itself.
    Keys,
    /// `redis.call` or `redis.pcall`.
    Command,
    /// The function of this number: what is given to it is given to its parameters.
    Function(usize),
    /// Anything else, but none of the above.
    Other,
}

impl<'t> Value<'t> {
    /// What is known of a value that is one of two.
    fn or(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Nothing, value) | (value, Self::Nothing) => value.clone(),
            (one, two) if one == two => one.clone(),
            _ => Self::Other,
        }
    }

    /// Whether it matters where it goes: a table that could be changed there, or what could be called.
    fn is_followed(&self) -> bool {
        matches!(self, Self::Keys | Self::Command | Self::Function(_))
    }
}

/// What stands in the way of a proof: a line, and the reason in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Obstacle {
    pub(super) line: u32,
    pub(super) why: String,
}

/// A call of `redis.call` or `redis.pcall`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Called<'t> {
    pub(super) line: u32,
    pub(super) arguments: Vec<Value<'t>>,
    /// What of any number of further arguments is known; with some, the last argument may be missing.
    pub(super) rest: Option<Value<'t>>,
}

/// Functions of Lua that KEYS may be given to: they change nothing in it, and give nobody the table.
const KEEP_KEYS: [&str; 7] =
    ["unpack", "next", "type", "table.concat", "table.getn", "table.maxn", "cjson.encode"];
/// Globals that reach no command and no other global.
const HARMLESS: [&str; 22] = [
    "ARGV",
    "string",
    "table",
    "math",
    "cjson",
    "cmsgpack",
    "struct",
    "bit",
    "os",
    "tonumber",
    "tostring",
    "type",
    "pairs",
    "ipairs",
    "next",
    "unpack",
    "select",
    "error",
    "assert",
    "pcall",
    "xpcall",
    "coroutine",
];
/// What `redis` has beside its calls, none of which touches a key.
const BESIDE_CALLS: [&str; 23] = [
    "error_reply",
    "status_reply",
    "sha1hex",
    "log",
    "setresp",
    "set_repl",
    "replicate_commands",
    "breakpoint",
    "debug",
    "acl_check_cmd",
    "LOG_DEBUG",
    "LOG_VERBOSE",
    "LOG_NOTICE",
    "LOG_WARNING",
    "REPL_ALL",
    "REPL_AOF",
    "REPL_SLAVE",
    "REPL_REPLICA",
    "REPL_NONE",
    "REDIS_VERSION",
    "REDIS_VERSION_NUM",
    "SERVER_NAME",
    "VALKEY_VERSION",
];

/// How often variables are gone through until what is known no longer changes. Each can change twice; a chain as long as this is given up.
const ROUNDS_MAX: usize = 64;

/// What is known of a function.
struct Known<'t> {
    function: &'t Function<'t>,
    /// Whether it may be called by who is not followed, with anything.
    is_lost: bool,
    /// What it gives first.
    gives: Value<'t>,
}

/// What is known of a script.
pub(super) struct Knowledge<'t> {
    locals: Vec<Value<'t>>,
    functions: Vec<Option<Known<'t>>>,
    /// The functions that are being gone through, the innermost last.
    within: Vec<usize>,
    calls: Vec<Called<'t>>,
    obstacle: Option<Obstacle>,
    has_changed: bool,
}

impl<'t> Knowledge<'t> {
    /// Looks through a script until nothing new is found; its calls, or what stands in the way.
    pub(super) fn of(chunk: &'t Chunk<'t>) -> Result<Vec<Called<'t>>, Obstacle> {
        let mut known = Self {
            locals: vec![Value::Nothing; chunk.locals],
            functions: (0..chunk.functions).map(|_| None).collect(),
            within: Vec::new(),
            calls: Vec::new(),
            obstacle: None,
            has_changed: false,
        };
        for _ in 0..ROUNDS_MAX {
            (known.has_changed, known.obstacle) = (false, None);
            known.calls.clear();
            known.block(&chunk.body);
            if !known.has_changed {
                return known.obstacle.map_or(Ok(known.calls), Err);
            }
        }
        Err(Obstacle { line: 1, why: "its variables depend on each other in too many steps".to_owned() })
    }

    fn fails(&mut self, line: u32, why: impl Into<String>) {
        self.obstacle.get_or_insert_with(|| Obstacle { line, why: why.into() });
    }

    fn write(&mut self, line: u32, local: Local, value: &Value<'t>) {
        let joined = self.locals[local].or(value);
        if joined != self.locals[local] {
            let old = std::mem::replace(&mut self.locals[local], joined);
            self.has_changed = true;
            self.lose_into(line, &old, local);
        }
        self.lose_into(line, value, local);
    }

    fn lose_into(&mut self, line: u32, value: &Value<'t>, local: Local) {
        if self.locals[local] == Value::Other {
            self.lose(line, value);
        }
    }

    /// A value goes where it is not followed.
    fn lose(&mut self, line: u32, value: &Value<'t>) {
        match value {
            Value::Keys => self.fails(line, "it gives KEYS away"),
            Value::Command => self.fails(line, "it gives redis.call away"),
            Value::Function(number) => {
                if let Some(known) = &mut self.functions[*number]
                    && !known.is_lost
                {
                    known.is_lost = true;
                    self.has_changed = true;
                }
            }
            _ => {}
        }
    }

    fn lose_all(&mut self, line: u32, values: &Values<'t>) {
        values.known.iter().for_each(|value| self.lose(line, value));
    }

    fn block(&mut self, body: &'t [Statement<'t>]) {
        body.iter().for_each(|statement| self.statement(statement));
    }

    fn statement(&mut self, statement: &'t Statement<'t>) {
        match statement {
            Statement::Declare(line, locals, values) => {
                let known = self.values(values);
                for (index, local) in locals.iter().enumerate() {
                    self.write(*line, *local, &known.get(index));
                }
            }
            Statement::Assign(targets, values) => {
                let known = self.values(values);
                for (index, target) in targets.iter().enumerate() {
                    self.assign(target, &known.get(index));
                }
            }
            Statement::Call(call) => {
                self.value(call);
            }
            Statement::Return(line, values) => self.give(*line, values),
            Statement::Blocks(conditions, blocks) => {
                for condition in conditions {
                    self.value(condition);
                }
                blocks.iter().for_each(|block| self.block(block));
            }
            Statement::Count(line, counter, limits, body) => {
                self.values(limits);
                self.write(*line, *counter, &Value::Other);
                self.block(body);
            }
            Statement::Each(line, names, over, body) => self.each(*line, names, over, body),
        }
    }

    /// The script's own results become a reply; a function's go to who calls it.
    fn give(&mut self, line: u32, values: &'t [Expression<'t>]) {
        let values = self.values(values);
        let Some(number) = self.within.last().copied() else { return };
        let Some(known) = &self.functions[number] else { return };
        let first = values.get(0);
        let gives = known.gives.or(&first);
        let (is_lost, has_new, old) = (known.is_lost, gives != known.gives, known.gives.clone());
        if is_lost || gives == Value::Other {
            self.lose(line, &first);
            self.lose(line, &old);
        }
        values.known.iter().skip(1).for_each(|value| self.lose(line, value));
        if has_new && let Some(known) = &mut self.functions[number] {
            known.gives = gives;
            self.has_changed = true;
        }
    }

    /// `for index, key in ipairs(KEYS)` gives the keys a name.
    fn each(&mut self, line: u32, names: &[Local], over: &'t [Expression<'t>], body: &'t [Statement<'t>]) {
        let goes_over_keys = match over {
            [Expression { kind: Kind::Call(function, arguments), .. }] => {
                matches!(function.kind, Kind::Global("ipairs" | "pairs"))
                    && arguments.len() == 1
                    && self.is_keys(&arguments[0])
            }
            _ => false,
        };
        if !goes_over_keys {
            let values = self.values(over);
            self.lose_all(line, &values);
        }
        for (index, name) in names.iter().enumerate() {
            let value = if goes_over_keys && index == 1 { Value::Key } else { Value::Other };
            self.write(line, *name, &value);
        }
        self.block(body);
    }

    fn assign(&mut self, target: &'t Expression<'t>, value: &Value<'t>) {
        match &target.kind {
            Kind::Local(local) => self.write(target.line, *local, value),
            Kind::Global(name) => self.fails(target.line, format!("it assigns the global {name}")),
            Kind::Index(table, index) => {
                let known = self.value(index);
                self.lose(target.line, &known);
                if self.value(table) == Value::Keys {
                    self.fails(target.line, "it changes KEYS");
                }
                self.lose(target.line, value);
            }
            _ => {}
        }
    }

    /// Whether a name, or one in parentheses, is the table KEYS. Looks no deeper: what is evaluated is evaluated once, for else what is nested
    /// a hundred times would be evaluated 2^100 times.
    fn is_keys(&self, expression: &Expression<'t>) -> bool {
        match &expression.kind {
            Kind::Global(name) => *name == "KEYS",
            Kind::Local(local) => self.locals[*local] == Value::Keys,
            _ => false,
        }
    }

    /// The same for what is called under `pcall`.
    fn is_guarded(&self, expression: &Expression<'t>) -> bool {
        match &expression.kind {
            Kind::Local(local) => matches!(self.locals[*local], Value::Command | Value::Function(_)),
            Kind::Index(table, _) => matches!(table.kind, Kind::Global("redis" | "server")),
            Kind::Function(_) => true,
            _ => false,
        }
    }

    fn values(&mut self, expressions: &'t [Expression<'t>]) -> Values<'t> {
        let known: Vec<Value<'t>> = expressions.iter().map(|expression| self.value(expression)).collect();
        let rest = expressions.last().and_then(|last| self.rest_of(last));
        Values { known, rest }
    }

    /// What of any number of values is known that an expression gives at a list's end.
    fn rest_of(&self, expression: &Expression<'t>) -> Option<Value<'t>> {
        match &expression.kind {
            Kind::Rest | Kind::Method(..) => Some(Value::Other),
            Kind::Call(function, arguments) if self.is_unpacked_keys(function, arguments) => Some(Value::Key),
            Kind::Call(..) => Some(Value::Other),
            _ => None,
        }
    }

    fn is_unpacked_keys(&self, function: &Expression<'t>, arguments: &[Expression<'t>]) -> bool {
        matches!(function.kind, Kind::Global("unpack"))
            && arguments.first().is_some_and(|first| self.is_keys(first))
    }

    fn value(&mut self, expression: &'t Expression<'t>) -> Value<'t> {
        let line = expression.line;
        match &expression.kind {
            Kind::Nil => Value::Nothing,
            Kind::True | Kind::False | Kind::Number | Kind::Rest => Value::Other,
            Kind::Text(text) => Value::Text(text),
            Kind::Local(local) => self.locals[*local].clone(),
            Kind::Global(name) => self.global(line, name),
            Kind::Function(function) => self.function(function),
            Kind::Table(fields) => self.table(fields),
            Kind::Index(table, index) => self.index(line, table, index),
            Kind::Call(function, arguments) => self.call(line, function, arguments),
            Kind::Method(object, arguments) => {
                let object = self.value(object);
                self.lose(line, &object);
                let values = self.values(arguments);
                self.lose_all(line, &values);
                Value::Other
            }
            // If it is not the second value it is nil or false, which no command takes.
            Kind::And(condition, value) => {
                self.value(condition);
                self.value(value)
            }
            Kind::Or(first, second) => {
                let (first, second) = (self.value(first), self.value(second));
                let either = first.or(&second);
                if either == Value::Other {
                    self.lose(line, &first);
                    self.lose(line, &second);
                }
                either
            }
            Kind::Operator(operands) => {
                for operand in operands {
                    self.value(operand);
                }
                Value::Other
            }
            Kind::One(inner) => self.value(inner),
        }
    }

    fn global(&mut self, line: u32, name: &str) -> Value<'t> {
        match name {
            "KEYS" => return Value::Keys,
            "redis" | "server" => self.fails(line, format!("it uses {name} as a value")),
            name if HARMLESS.contains(&name) => {}
            name => self.fails(line, format!("it uses the global {name}")),
        }
        Value::Other
    }

    fn function(&mut self, function: &'t Function<'t>) -> Value<'t> {
        let number = function.number;
        let known =
            self.functions[number].get_or_insert(Known { function, is_lost: false, gives: Value::Nothing });
        if known.is_lost {
            self.fill(number, &Values { known: Vec::new(), rest: Some(Value::Other) });
        }
        self.within.push(number);
        self.block(&function.body);
        self.within.pop();
        Value::Function(number)
    }

    /// Gives values to a function's parameters.
    fn fill(&mut self, number: usize, values: &Values<'t>) {
        let Some(Known { function, .. }) = self.functions[number] else { return };
        for (index, parameter) in function.parameters.iter().enumerate() {
            self.write(function.line, *parameter, &values.get(index));
        }
        // What is left over is `...`, which is not followed.
        values.known.iter().skip(function.parameters.len()).for_each(|value| self.lose(function.line, value));
    }

    fn table(&mut self, fields: &'t [Field<'t>]) -> Value<'t> {
        for Field { key, value } in fields {
            for part in key.iter().chain([value]) {
                let known = self.value(part);
                self.lose(part.line, &known);
            }
        }
        Value::Other
    }

    fn index(&mut self, line: u32, table: &'t Expression<'t>, index: &'t Expression<'t>) -> Value<'t> {
        if let Kind::Global(library @ ("redis" | "server")) = table.kind {
            return match &index.kind {
                Kind::Text(name) if matches!(&**name, b"call" | b"pcall") => Value::Command,
                Kind::Text(name) if BESIDE_CALLS.iter().any(|known| known.as_bytes() == &**name) => {
                    Value::Other
                }
                _ => {
                    self.fails(line, format!("it uses something of {library} that is not known"));
                    Value::Other
                }
            };
        }
        self.value(index);
        match self.value(table) {
            Value::Keys => Value::Key,
            _ => Value::Other,
        }
    }

    fn call(
        &mut self,
        line: u32,
        function: &'t Expression<'t>,
        arguments: &'t [Expression<'t>],
    ) -> Value<'t> {
        // `pcall(redis.call, ...)` is the call that it guards, but for what it gives.
        if let (Kind::Global("pcall"), [guarded, arguments @ ..]) = (&function.kind, arguments)
            && self.is_guarded(guarded)
        {
            let given = self.call(line, guarded, arguments);
            self.lose(line, &given);
            return Value::Other;
        }
        match self.value(function) {
            Value::Command => {
                let Values { known, rest } = self.values(arguments);
                if known.iter().any(Value::is_followed) {
                    self.fails(line, "it gives a table or a function to a command");
                }
                self.calls.push(Called { line, arguments: known, rest });
                Value::Other
            }
            Value::Function(number) => {
                let values = self.values(arguments);
                self.fill(number, &values);
                self.functions[number].as_ref().map_or(Value::Nothing, |known| known.gives.clone())
            }
            _ => {
                let values = self.values(arguments);
                let keeps_keys = keeps_keys(function);
                let lost = values.known.iter().filter(|value| !(keeps_keys && **value == Value::Keys));
                lost.for_each(|value| self.lose(line, value));
                if self.is_unpacked_keys(function, arguments) { Value::Key } else { Value::Other }
            }
        }
    }
}

/// Values of a list of expressions.
struct Values<'t> {
    known: Vec<Value<'t>>,
    /// What of any number of further ones is known.
    rest: Option<Value<'t>>,
}

impl<'t> Values<'t> {
    fn get(&self, index: usize) -> Value<'t> {
        self.known.get(index).or(self.rest.as_ref()).cloned().unwrap_or(Value::Nothing)
    }
}

fn keeps_keys(function: &Expression<'_>) -> bool {
    let name = match &function.kind {
        Kind::Global(name) => (*name).to_owned(),
        Kind::Index(table, field) => match (&table.kind, &field.kind) {
            (Kind::Global(table), Kind::Text(field)) => format!("{table}.{}", String::from_utf8_lossy(field)),
            _ => return false,
        },
        _ => return false,
    };
    KEEP_KEYS.contains(&name.as_str())
}
