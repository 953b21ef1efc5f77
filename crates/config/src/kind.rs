//! The kinds of values that directives accept, and how arguments become a value.
//!
//! A value is parsed once, when it is set; what is read later is typed. The strictness is Redis's: integers have no
//! plus sign and no leading zeros, words ignore case, memory sizes saturate. A trait per kind was rejected: the kinds
//! are a closed set, and a `match` shows all of them side by side.

use crate::error::ValueError;
use crate::events::EventClasses;
use crate::value::{BufferLimit, ClientClass, SavePoint, Value};

/// What a directive accepts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ValueKind {
    /// `yes` or `no`.
    Bool,
    /// A decimal integer; both ends are allowed.
    Int {
        /// The least value.
        min: i64,
        /// The greatest value.
        max: i64,
    },
    /// An integer from 0 that is moved to the nearest end of the range instead of refused (`hz`).
    Clamped {
        /// The least effective value.
        min: i64,
        /// The greatest effective value.
        max: i64,
    },
    /// A power of two from 1.
    PowerOfTwo {
        /// The greatest value.
        max: i64,
    },
    /// File permissions in octal.
    Octal {
        /// The greatest value.
        max: u32,
    },
    /// Bytes, with an optional unit: `k m g` are powers of 1,000, `kb mb gb` powers of 1,024, `b` is one.
    Memory {
        /// The least value in bytes.
        min: u64,
        /// The greatest value in bytes.
        max: u64,
    },
    /// Bytes as above, or a percentage of `maxmemory`.
    MemoryOrPercent,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Any of these words but the first, which stands for none of them. At most eight words.
    Flags(&'static [&'static str]),
    /// Text.
    Text(TextRule),
    /// Addresses to listen on.
    Bind,
    /// `host port` of the server to replicate, or `no one`.
    Primary,
    /// Pairs of seconds and changes.
    Save,
    /// Output buffer limits per class of clients.
    BufferLimits,
    /// Classes of keyspace events.
    Events,
    /// The three `oom_score_adj` values.
    OomScores,
    /// Percentiles from 0 to 100.
    Percentiles,
    /// Lines that a configuration file may repeat; `CONFIG SET` does not know them.
    Lines {
        /// The least number of arguments.
        min: usize,
        /// The greatest number of arguments.
        max: usize,
    },
}

/// What a text must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextRule {
    /// Anything; the empty text is a value.
    Any,
    /// Anything; the empty text means that nothing is set.
    Nullable,
    /// The name of a file in the working directory: no path.
    FileName {
        /// The reason given for a path.
        not_a_path: &'static str,
        /// The reason given for an empty name, if that is refused.
        not_empty: Option<&'static str>,
    },
    /// A host name, or nothing.
    Hostname,
    /// A node name for people, or nothing.
    NodeName,
    /// A template of the process title with `{variables}`.
    ProcessTitle,
}

const BIND_ADDRESSES_MAX: usize = 16;
const HOSTNAME_BYTES_MAX: usize = 255;

impl ValueKind {
    /// Whether the directive takes several arguments, so that `CONFIG SET` splits its value at spaces.
    pub fn takes_many(&self) -> bool {
        matches!(
            self,
            Self::Flags(_)
                | Self::Bind
                | Self::Primary
                | Self::Save
                | Self::BufferLimits
                | Self::OomScores
                | Self::Percentiles
                | Self::Lines { .. }
        )
    }

    /// The value that these arguments stand for. `current` is the value so far: buffer limits keep the classes that
    /// are not named, and lines are added to it.
    pub fn parse(&self, arguments: &[&[u8]], current: &Value) -> Result<Value, ValueError> {
        if self.takes_many() {
            return self.parse_many(arguments, current);
        }
        match arguments {
            [argument] => self.parse_one(argument),
            _ => Err(ValueError::WrongArgumentCount),
        }
    }

    fn parse_one(&self, argument: &[u8]) -> Result<Value, ValueError> {
        match *self {
            Self::Bool if argument.eq_ignore_ascii_case(b"yes") => Ok(Value::Bool(true)),
            Self::Bool if argument.eq_ignore_ascii_case(b"no") => Ok(Value::Bool(false)),
            Self::Bool => Err(ValueError::NotYesOrNo),
            Self::Int { min, max } => parse_int(argument, min, max).map(Value::Int),
            Self::Clamped { min, max } => {
                parse_int(argument, 0, i32::MAX.into()).map(|value| Value::Int(value.clamp(min, max)))
            }
            Self::PowerOfTwo { max } => match parse_int(argument, 1, max)? {
                value if value & (value - 1) == 0 => Ok(Value::Int(value)),
                _ => Err(ValueError::NotPowerOfTwo),
            },
            Self::Octal { max } => parse_octal(argument, max).map(Value::Octal),
            Self::Memory { min, max } => match parse_memory(argument) {
                None => Err(ValueError::NotMemory),
                Some(bytes) => in_range(bytes, min, max).map(Value::Memory),
            },
            Self::MemoryOrPercent => parse_memory_or_percent(argument),
            Self::Choice(names) => one_of(names, argument).map(|index| Value::Choice(names[index])),
            Self::Events => match EventClasses::parse(argument) {
                Some(classes) => Ok(Value::Events(classes)),
                None => Err(ValueError::Reason("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")),
            },
            Self::Text(rule) => rule.check(argument).map(|()| Value::Text(argument.to_vec())),
            _ => Err(ValueError::WrongArgumentCount),
        }
    }

    fn parse_many(&self, arguments: &[&[u8]], current: &Value) -> Result<Value, ValueError> {
        let is_empty = matches!(arguments, [] | [b""]);
        match *self {
            Self::Flags(names) => parse_flags(names, arguments),
            Self::Bind if is_empty => Ok(Value::Words(Vec::new())),
            Self::Bind if arguments.len() > BIND_ADDRESSES_MAX => {
                Err(ValueError::Reason("Too many bind addresses specified."))
            }
            Self::Bind => Ok(Value::Words(arguments.iter().map(|word| word.to_vec()).collect())),
            Self::Primary => parse_primary(arguments),
            Self::Save if is_empty => Ok(Value::Save(Vec::new())),
            Self::Save => parse_save(arguments),
            Self::BufferLimits => parse_buffer_limits(arguments, current),
            Self::OomScores => parse_oom_scores(arguments),
            Self::Percentiles if is_empty => Ok(Value::Percentiles(Vec::new())),
            Self::Percentiles => parse_percentiles(arguments),
            Self::Lines { min, max } if (min..=max).contains(&arguments.len()) => {
                let mut lines = match current {
                    Value::Lines(lines) => lines.clone(),
                    _ => Vec::new(),
                };
                lines.push(arguments.iter().map(|argument| argument.to_vec()).collect());
                Ok(Value::Lines(lines))
            }
            _ => Err(ValueError::BadDirective),
        }
    }

    /// What the directive accepts, in a few words, for `--help` and the reference page.
    pub fn describe(&self) -> String {
        match *self {
            Self::Bool => "yes|no".into(),
            Self::Int { max: i64::MAX, min } => format!("integer from {min}"),
            Self::Int { min: min @ 0.., max } if max == i64::from(i32::MAX) => format!("integer from {min}"),
            Self::Int { min, .. } if min == i64::from(i32::MIN) => "integer".into(),
            Self::Int { min, max } | Self::Clamped { min, max } => format!("{min}..{max}"),
            Self::PowerOfTwo { max } => format!("power of two, 1..{max}"),
            Self::Octal { max } => format!("octal, 0..{max:o}"),
            Self::Memory { .. } => "bytes".into(),
            Self::MemoryOrPercent => "bytes or percentage".into(),
            Self::Choice(names) => names.join("|"),
            Self::Flags(names) => format!("any of {}", names.join(", ")),
            Self::Text(TextRule::FileName { .. }) => "file name".into(),
            Self::Text(_) => "text".into(),
            Self::Bind => "address ...".into(),
            Self::Primary => "host port".into(),
            Self::Save => "seconds changes ...".into(),
            Self::BufferLimits => "class hard soft seconds ...".into(),
            Self::Events => "event classes".into(),
            Self::OomScores => "three integers".into(),
            Self::Percentiles => "percentile ...".into(),
            Self::Lines { .. } => "may be repeated".into(),
        }
    }
}

impl TextRule {
    fn check(self, text: &[u8]) -> Result<(), ValueError> {
        let reason = match self {
            Self::Any | Self::Nullable => None,
            Self::FileName { not_empty, .. } if text.is_empty() => not_empty,
            Self::FileName { not_a_path, .. } => {
                text.iter().any(|byte| matches!(byte, b'/' | b'\\')).then_some(not_a_path)
            }
            Self::Hostname if text.len() > HOSTNAME_BYTES_MAX => {
                Some("Hostnames must be less than 256 characters")
            }
            Self::Hostname => text
                .iter()
                .any(|byte| !byte.is_ascii_alphanumeric() && !matches!(byte, b'-' | b'.'))
                .then_some("Hostnames may only contain alphanumeric characters, hyphens or dots"),
            Self::NodeName => text
                .iter()
                .any(|byte| b"!#$%&()*+:;<>?@[]^{|}~".contains(byte))
                .then_some("Announced human node name contained invalid character"),
            Self::ProcessTitle => (!is_process_title(text))
                .then_some("template format is invalid or contains unknown variables"),
        };
        reason.map_or(Ok(()), |reason| Err(ValueError::Reason(reason)))
    }
}

/// Whether each `{variable}` is known and closed; `{{` is a brace.
fn is_process_title(template: &[u8]) -> bool {
    const VARIABLES: [&[u8]; 7] =
        [b"title", b"listen-addr", b"server-mode", b"port", b"tls-port", b"unixsocket", b"config-file"];
    let mut rest = template;
    while let Some(open) = rest.iter().position(|&byte| byte == b'{') {
        rest = &rest[open + 1..];
        if let [b'{', after @ ..] = rest {
            rest = after;
            continue;
        }
        match rest.iter().position(|&byte| byte == b'}') {
            Some(close) if VARIABLES.contains(&&rest[..close]) => rest = &rest[close + 1..],
            _ => return false,
        }
    }
    !template.is_empty()
}

/// An integer as Redis writes it: no plus sign, no leading zeros, no `-0`.
fn canonical_int(argument: &[u8]) -> Option<i64> {
    let digits = argument.strip_prefix(b"-").unwrap_or(argument);
    let is_canonical = match digits {
        [b'0'] => digits.len() == argument.len(),
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if !is_canonical {
        return None;
    }
    std::str::from_utf8(argument).ok()?.parse().ok()
}

fn parse_int(argument: &[u8], min: i64, max: i64) -> Result<i64, ValueError> {
    in_range(canonical_int(argument).ok_or(ValueError::NotInteger)?, min, max)
}

fn in_range<T: PartialOrd + ToString>(value: T, min: T, max: T) -> Result<T, ValueError> {
    if value < min || value > max {
        return Err(ValueError::OutOfRange { min: min.to_string(), max: max.to_string() });
    }
    Ok(value)
}

fn parse_octal(argument: &[u8], max: u32) -> Result<u32, ValueError> {
    let is_octal = !argument.is_empty() && argument.iter().all(|digit| (b'0'..=b'7').contains(digit));
    let value = std::str::from_utf8(argument).ok().filter(|_| is_octal).ok_or(ValueError::NotOctal)?;
    match u32::from_str_radix(value, 8) {
        Ok(value) if value <= max => Ok(value),
        _ => Err(ValueError::OutOfRange { min: "0".into(), max: format!("{max:o}") }),
    }
}

/// Bytes of `123`, `1kb` and so on. No digits are zero and too many are `u64::MAX`, as in Redis.
pub fn parse_memory(argument: &[u8]) -> Option<u64> {
    const UNITS: [(&[u8], u64); 8] = [
        (b"", 1),
        (b"b", 1),
        (b"k", 1_000),
        (b"kb", 1 << 10),
        (b"m", 1_000_000),
        (b"mb", 1 << 20),
        (b"g", 1_000_000_000),
        (b"gb", 1 << 30),
    ];
    let digits = argument.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, unit) = argument.split_at(digits);
    let &(_, factor) = UNITS.iter().find(|(name, _)| unit.eq_ignore_ascii_case(name))?;
    let number = number
        .iter()
        .fold(0u64, |number, digit| number.saturating_mul(10).saturating_add(u64::from(digit - b'0')));
    Some(number.saturating_mul(factor))
}

fn parse_memory_or_percent(argument: &[u8]) -> Result<Value, ValueError> {
    if let [number @ .., b'%'] = argument {
        return match canonical_int(number) {
            Some(0) => Ok(Value::Memory(0)),
            Some(percent @ 1..=100) => Ok(Value::Percent(percent as u8)),
            Some(101..) => Err(ValueError::PercentTooLarge),
            _ => Err(ValueError::NotMemoryOrPercent),
        };
    }
    let bytes = parse_memory(argument).ok_or(ValueError::NotMemoryOrPercent)?;
    in_range(bytes, 0, i64::MAX as u64).map(Value::Memory)
}

fn one_of(names: &'static [&'static str], argument: &[u8]) -> Result<usize, ValueError> {
    names
        .iter()
        .position(|name| argument.eq_ignore_ascii_case(name.as_bytes()))
        .ok_or(ValueError::NotOneOf(names))
}

fn parse_flags(names: &'static [&'static str], arguments: &[&[u8]]) -> Result<Value, ValueError> {
    if arguments.is_empty() {
        return Err(ValueError::NotOneOf(names));
    }
    let mut bits = 0;
    for argument in arguments {
        bits |= 1u8 << one_of(names, argument)?;
    }
    bits &= !1;
    let has =
        |name: &str| names.iter().position(|known| *known == name).is_some_and(|bit| bits & (1 << bit) != 0);
    if has("save") && has("nosave") {
        return Err(ValueError::Reason("shutdown options SAVE and NOSAVE can't be used simultaneously"));
    }
    Ok(Value::Flags(names, bits))
}

fn parse_primary(arguments: &[&[u8]]) -> Result<Value, ValueError> {
    let [host, port] = arguments else {
        return Err(ValueError::WrongArgumentCount);
    };
    if host.eq_ignore_ascii_case(b"no") && port.eq_ignore_ascii_case(b"one") {
        return Ok(Value::Primary(None));
    }
    match canonical_int(port).and_then(|port| u16::try_from(port).ok()) {
        Some(port) => Ok(Value::Primary(Some((host.to_vec(), port)))),
        None => Err(ValueError::Reason("Invalid master port")),
    }
}

fn parse_save(arguments: &[&[u8]]) -> Result<Value, ValueError> {
    const INVALID: ValueError = ValueError::Reason("Invalid save parameters");
    let (pairs, []) = arguments.as_chunks::<2>() else {
        return Err(INVALID);
    };
    let mut points = Vec::with_capacity(pairs.len());
    for [seconds, changes] in pairs {
        let seconds = canonical_int(seconds).filter(|&seconds| seconds >= 1).ok_or(INVALID)?;
        let changes = canonical_int(changes)
            .filter(|changes| (0..=i64::from(i32::MAX)).contains(changes))
            .ok_or(INVALID)?;
        points.push(SavePoint { seconds: seconds as u64, changes: changes as u64 });
    }
    Ok(Value::Save(points))
}

fn parse_buffer_limits(arguments: &[&[u8]], current: &Value) -> Result<Value, ValueError> {
    const NOT_A_LIMIT: ValueError =
        ValueError::Reason("Error in hard, soft or soft_seconds setting in buffer limit configuration.");
    let (quads, []) = arguments.as_chunks::<4>() else {
        return Err(ValueError::Reason("Wrong number of arguments in buffer limit configuration."));
    };
    let mut limits = match current {
        Value::BufferLimits(limits) => *limits,
        _ => [BufferLimit { hard_bytes: 0, soft_bytes: 0, soft_seconds: 0 }; 3],
    };
    for [class, hard, soft, seconds] in quads {
        let class = ClientClass::from_name(class)
            .ok_or(ValueError::Reason("Invalid client class specified in buffer limit configuration."))?;
        let seconds = canonical_int(seconds)
            .filter(|seconds| (0..=i64::from(i32::MAX)).contains(seconds))
            .ok_or(NOT_A_LIMIT)?;
        limits[class as usize] = BufferLimit {
            hard_bytes: parse_memory(hard).ok_or(NOT_A_LIMIT)?,
            soft_bytes: parse_memory(soft).ok_or(NOT_A_LIMIT)?,
            soft_seconds: seconds as u64,
        };
    }
    Ok(Value::BufferLimits(limits))
}

fn parse_oom_scores(arguments: &[&[u8]]) -> Result<Value, ValueError> {
    if arguments.len() != 3 {
        return Err(ValueError::WrongArgumentCount);
    }
    let mut scores = [0; 3];
    for (score, argument) in scores.iter_mut().zip(arguments) {
        *score = canonical_int(argument).filter(|value| (-2000..=2000).contains(value)).ok_or(
            ValueError::Reason("Invalid oom-score-adj-values, elements must be between -2000 and 2000."),
        )? as i32;
    }
    Ok(Value::OomScores(scores))
}

fn parse_percentiles(arguments: &[&[u8]]) -> Result<Value, ValueError> {
    let mut percentiles = Vec::with_capacity(arguments.len());
    for argument in arguments {
        let percentile = std::str::from_utf8(argument).ok().and_then(|text| text.parse::<f64>().ok());
        match percentile {
            Some(percentile) if (0.0..=100.0).contains(&percentile) => percentiles.push(percentile),
            Some(percentile) if !percentile.is_nan() => {
                return Err(ValueError::Reason(
                    "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]",
                ));
            }
            _ => return Err(ValueError::Reason("Invalid latency-tracking-info-percentiles parameters")),
        }
    }
    Ok(Value::Percentiles(percentiles))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAGS: ValueKind = ValueKind::Flags(&["default", "save", "nosave", "now", "force"]);

    /// Parses the arguments (split at spaces for kinds that take many) and shows the value or the reason.
    fn check(kind: ValueKind, input: &str, expected: &str) {
        let arguments: Vec<&[u8]> = match kind.takes_many() {
            true => input.split(' ').map(str::as_bytes).collect(),
            false => vec![input.as_bytes()],
        };
        let shown = match kind.parse(&arguments, &Value::Bool(false)) {
            Ok(value) => String::from_utf8(value.shown()).unwrap(),
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expected, "{kind:?} {input:?}");
    }

    #[test]
    fn numbers() {
        let kind = ValueKind::Int { min: -5, max: 10 };
        check(kind, "10", "10");
        check(kind, "-5", "-5");
        check(kind, "-6", "argument must be between -5 and 10 inclusive");
        for input in ["", "+1", "01", "-0", "1 ", "0x1", "99999999999999999999"] {
            check(kind, input, "argument couldn't be parsed into an integer");
        }
        check(ValueKind::Clamped { min: 1, max: 500 }, "0", "1");
        check(ValueKind::Clamped { min: 1, max: 500 }, "100000", "500");
        check(ValueKind::PowerOfTwo { max: 64 }, "64", "64");
        check(ValueKind::PowerOfTwo { max: 64 }, "48", "argument must be a power of two");
        check(ValueKind::PowerOfTwo { max: 64 }, "128", "argument must be between 1 and 64 inclusive");
        check(ValueKind::Octal { max: 0o777 }, "0700", "700");
        check(ValueKind::Octal { max: 0o777 }, "1777", "argument must be between 0 and 777 inclusive");
        check(ValueKind::Octal { max: 0o777 }, "999", "argument couldn't be parsed as an octal number");
    }

    #[test]
    fn memory() {
        let kind = ValueKind::Memory { min: 0, max: u64::MAX };
        for (input, expected) in [
            ("100", "100"),
            ("1B", "1"),
            ("2k", "2000"),
            ("2kb", "2048"),
            ("3M", "3000000"),
            ("3mB", "3145728"),
            ("1g", "1000000000"),
            ("1gb", "1073741824"),
            ("", "0"),
            ("99999999999999999999gb", "18446744073709551615"),
        ] {
            check(kind, input, expected);
        }
        for input in ["-1", "+1", "1xb", "1.5gb", "1 gb", "5%", " 5"] {
            check(kind, input, "argument must be a memory value");
        }
        check(ValueKind::Memory { min: 1, max: 9 }, "10", "argument must be between 1 and 9 inclusive");
        check(ValueKind::MemoryOrPercent, "5%", "5%");
        check(ValueKind::MemoryOrPercent, "0%", "0");
        check(ValueKind::MemoryOrPercent, "1kb", "1024");
        check(ValueKind::MemoryOrPercent, "101%", "percentage argument must be less or equal to 100");
        check(ValueKind::MemoryOrPercent, "-5%", "argument must be a memory or percent value");
    }

    #[test]
    fn words() {
        check(ValueKind::Bool, "YES", "yes");
        check(ValueKind::Bool, "", "argument must be 'yes' or 'no'");
        check(ValueKind::Choice(&["a", "b"]), "B", "b");
        check(ValueKind::Choice(&["a", "b"]), "c", "argument(s) must be one of the following: a, b");
        check(FLAGS, "now SAVE", "save now");
        check(FLAGS, "default", "default");
        check(FLAGS, "default save", "save");
        check(FLAGS, "save nosave", "shutdown options SAVE and NOSAVE can't be used simultaneously");
        check(FLAGS, "x", "argument(s) must be one of the following: default, save, nosave, now, force");
    }

    #[test]
    fn texts() {
        let file = TextRule::FileName { not_a_path: "path", not_empty: Some("empty") };
        check(ValueKind::Text(file), "a.rdb", "a.rdb");
        check(ValueKind::Text(file), "a/b", "path");
        check(ValueKind::Text(file), "", "empty");
        let invalid = "template format is invalid or contains unknown variables";
        check(ValueKind::Text(TextRule::ProcessTitle), "{{a {title} {port}", "{{a {title} {port}");
        for template in ["", "{foo}", "{title", "{title} {"] {
            check(ValueKind::Text(TextRule::ProcessTitle), template, invalid);
        }
        check(ValueKind::Text(TextRule::Hostname), "a-b.c", "a-b.c");
        check(
            ValueKind::Text(TextRule::Hostname),
            "a_b",
            "Hostnames may only contain alphanumeric characters, hyphens or dots",
        );
        check(
            ValueKind::Text(TextRule::Hostname),
            &"x".repeat(256),
            "Hostnames must be less than 256 characters",
        );
    }

    #[test]
    fn lists() {
        check(ValueKind::Save, "3600 1 300 100", "3600 1 300 100");
        check(ValueKind::Save, "", "");
        check(ValueKind::Save, "1 0", "1 0");
        for input in ["900", "900 1 3", "0 1", "1 -1", "1 x", "10 20  30 40", " 1 2"] {
            check(ValueKind::Save, input, "Invalid save parameters");
        }
        check(ValueKind::Bind, "127.0.0.1 -::1", "127.0.0.1 -::1");
        check(ValueKind::Bind, &["x"; 17].join(" "), "Too many bind addresses specified.");
        check(ValueKind::Primary, "no ONE", "");
        check(ValueKind::Primary, "host 6379", "host 6379");
        check(ValueKind::Primary, "host", "wrong number of arguments");
        check(ValueKind::Primary, "host 70000", "Invalid master port");
        check(ValueKind::OomScores, "3 -2000 2000", "3 -2000 2000");
        check(ValueKind::OomScores, "1 2", "wrong number of arguments");
        check(
            ValueKind::OomScores,
            "1 2 3000",
            "Invalid oom-score-adj-values, elements must be between -2000 and 2000.",
        );
        check(ValueKind::Percentiles, "99.99999 1e1 50.0 0", "99.99999 10 50 0");
        check(ValueKind::Percentiles, "50 x", "Invalid latency-tracking-info-percentiles parameters");
        check(ValueKind::Percentiles, "nan", "Invalid latency-tracking-info-percentiles parameters");
        check(
            ValueKind::Percentiles,
            "101",
            "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]",
        );
    }

    #[test]
    fn buffer_limits() {
        check(
            ValueKind::BufferLimits,
            "REPLICA 1mb 2 3 pubsub 4  6",
            "normal 0 0 0 slave 1048576 2 3 pubsub 4 0 6",
        );
        check(
            ValueKind::BufferLimits,
            "normal 1 2",
            "Wrong number of arguments in buffer limit configuration.",
        );
        check(
            ValueKind::BufferLimits,
            "master 1 2 3",
            "Invalid client class specified in buffer limit configuration.",
        );
        for input in ["normal a 2 3", "normal 1 2 -3", "normal 1 x 3"] {
            check(
                ValueKind::BufferLimits,
                input,
                "Error in hard, soft or soft_seconds setting in buffer limit configuration.",
            );
        }
    }
}
