//! INCREX: a number that is counted within bounds, with its expiry, in one step.
//!
//! What would leave the bounds, or those of the type, changes nothing, and the answer says that nothing was added; with SATURATE
//! it ends at the bound. A float is added in 80 bits, as by INCRBYFLOAT. The journal gets the result as a SET, for a file may
//! be replayed by a server that knows no INCREX, or that computes otherwise.

use std::cmp::Ordering;

use rustredis_keyspace::{EventClass, Key, View};
use rustredis_resp::long_double::LongDouble;
use rustredis_resp::{Reply, number};

use crate::args::Args;
use crate::command::{Categories, Command, Flags, Group, KeyFlags, KeySpec};
use crate::deadline::TimeForm;
use crate::error::{CommandError, Outcome};
use crate::rewrite;
use crate::syntax::ArgumentKind;

/// The rows of the family.
pub const ROWS: &[Command] =
    &[Command::new("increx", -2, Flags::WRITE.with(Flags::DENYOOM).with(Flags::FAST), increx)
        .value_kinds(&[("float", ArgumentKind::Double), ("integer", ArgumentKind::Integer)])
        .keys(&[KeySpec::one(KeyFlags::RW.with(KeyFlags::ACCESS).with(KeyFlags::UPDATE), 1)])
        .acl(Categories::STRING)
        .docs(
            Group::String,
            "8.8.0",
            "O(1)",
            "key [BYFLOAT float | BYINT integer] [SATURATE] [LBOUND lowerbound] [UBOUND upperbound] [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST] [ENX]",
            "Adds to the number at a key within bounds, and says when the key expires; a missing key counts as 0.",
        )];

/// What is counted: the two kinds differ in how they are read, written and overflow.
trait Number: Copy {
    const LEAST: Self;
    const GREATEST: Self;
    const EVENT: &'static str;

    fn zero() -> Self;
    fn one() -> Self;
    /// The string that is stored at a key.
    fn stored(text: &[u8]) -> Result<Self, CommandError>;
    /// The increment that a client gives.
    fn increment(text: &[u8]) -> Result<Self, CommandError>;
    /// A bound that a client gives.
    fn bound(text: &[u8]) -> Option<Self>;
    fn is_below_zero(self) -> bool;
    fn compare(self, other: Self) -> Ordering;
    /// `None` if the sum leaves the type.
    fn plus(self, other: Self) -> Option<Self>;
    /// What must be added to `other` to make this; an error if that leaves the type.
    fn since(self, other: Self) -> Result<Self, CommandError>;
    fn write(self, buffer: &mut Vec<u8>);
    fn answer(self, reply: &mut Reply<'_>);
}

impl Number for i64 {
    const LEAST: Self = Self::MIN;
    const GREATEST: Self = Self::MAX;
    const EVENT: &'static str = "incrby";

    fn zero() -> Self {
        0
    }

    fn one() -> Self {
        1
    }

    fn stored(text: &[u8]) -> Result<Self, CommandError> {
        number::parse_i64(text).ok_or(CommandError::NotInteger)
    }

    fn increment(text: &[u8]) -> Result<Self, CommandError> {
        let error = CommandError::text("ERR Increment is not an integer or out of range");
        number::parse_i64(text).ok_or(error)
    }

    fn bound(text: &[u8]) -> Option<Self> {
        number::parse_i64(text)
    }

    fn is_below_zero(self) -> bool {
        self < 0
    }

    fn compare(self, other: Self) -> Ordering {
        self.cmp(&other)
    }

    fn plus(self, other: Self) -> Option<Self> {
        self.checked_add(other)
    }

    fn since(self, other: Self) -> Result<Self, CommandError> {
        self.checked_sub(other).ok_or(CommandError::text("ERR applied increment would overflow"))
    }

    fn write(self, buffer: &mut Vec<u8>) {
        buffer.extend_from_slice(itoa::Buffer::new().format(self).as_bytes());
    }

    fn answer(self, reply: &mut Reply<'_>) {
        reply.int(self);
    }
}

impl Number for LongDouble {
    const LEAST: Self = Self::MIN;
    const GREATEST: Self = Self::MAX;
    const EVENT: &'static str = "incrbyfloat";

    fn zero() -> Self {
        Self::from_i64(0)
    }

    fn one() -> Self {
        Self::from_i64(1)
    }

    fn stored(text: &[u8]) -> Result<Self, CommandError> {
        match Self::parse(text) {
            None => Err(CommandError::NotFloat),
            Some(number) if number.is_infinite() => Err(CommandError::text("ERR value cannot be Infinity")),
            Some(number) => Ok(number),
        }
    }

    fn increment(text: &[u8]) -> Result<Self, CommandError> {
        match Self::parse(text) {
            None => Err(CommandError::text("ERR Increment is not a valid float")),
            Some(number) if number.is_infinite() => {
                Err(CommandError::text("ERR BYFLOAT increment cannot be Infinity"))
            }
            Some(number) => Ok(number),
        }
    }

    fn bound(text: &[u8]) -> Option<Self> {
        Self::parse(text)
    }

    fn is_below_zero(self) -> bool {
        self.is_below_zero()
    }

    fn compare(self, other: Self) -> Ordering {
        self.compare(other)
    }

    fn plus(self, other: Self) -> Option<Self> {
        self.checked_add(other)
    }

    fn since(self, other: Self) -> Result<Self, CommandError> {
        self.checked_add(other.negated()).ok_or(CommandError::NanOrInfinity)
    }

    fn write(self, buffer: &mut Vec<u8>) {
        self.write(buffer);
    }

    /// A double in RESP3, and in RESP2 the digits that are stored.
    fn answer(self, reply: &mut Reply<'_>) {
        let mut text = Vec::new();
        self.write(&mut text);
        match number::parse_f64_of_c(&text) {
            Some(number) if reply.is_resp3() => reply.double(number),
            _ => reply.bulk(&text),
        }
    }
}

/// The bounds of a count.
#[derive(Clone, Copy, Debug)]
struct Bounds<T> {
    least: T,
    greatest: T,
    /// Whether what would leave them ends at them.
    saturates: bool,
}

impl<T: Number> Bounds<T> {
    fn of(args: Args<'_>, options: &Options) -> Result<Self, CommandError> {
        let bound = |index: Option<usize>, missing, error| match index {
            Some(index) => T::bound(args.get(index)).ok_or(error),
            None => Ok(missing),
        };
        let bounds = Self {
            least: bound(options.least, T::LEAST, options.no_number("LBOUND"))?,
            greatest: bound(options.greatest, T::GREATEST, options.no_number("UBOUND"))?,
            saturates: options.saturates,
        };
        if bounds.least.compare(bounds.greatest).is_gt() {
            return Err(CommandError::text("ERR LBOUND can't be greater than UBOUND"));
        }
        Ok(bounds)
    }

    /// The new number and what was added to the old one; none if nothing is to change.
    fn sum(&self, old: T, increment: T) -> Result<Option<(T, T)>, CommandError> {
        let sum = old.plus(increment);
        let bound = match sum {
            Some(sum) if sum.compare(self.least).is_lt() => self.least,
            Some(sum) if sum.compare(self.greatest).is_gt() => self.greatest,
            Some(sum) => return Ok(Some((sum, increment))),
            None if increment.is_below_zero() => self.least,
            None => self.greatest,
        };
        if self.saturates { bound.since(old).map(|added| Some((bound, added))) } else { Ok(None) }
    }
}

fn increx(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let options = Options::parse(args)?;
    if options.is_float {
        add::<LongDouble>(view, args, &options, reply)
    } else {
        add::<i64>(view, args, &options, reply)
    }
}

fn add<T: Number>(view: &mut View<'_>, args: Args<'_>, options: &Options, reply: &mut Reply<'_>) -> Outcome {
    let key = args.key(1);
    let increment = options.increment.map_or(Ok(T::one()), |index| T::increment(args.get(index)))?;
    let bounds = Bounds::<T>::of(args, options)?;
    let deadline_ms = match options.lifetime {
        Some(Lifetime::Until(form, index)) => Some(form.deadline_ms(args, index, view.now_ms(), "increx")?),
        Some(Lifetime::Persist) | None => None,
    };
    let (old, expires) = match view.string_mut(key)? {
        Some(entry) => (T::stored(entry.bytes())?, entry.expire_at_ms().is_some()),
        None => (T::zero(), false),
    };
    let sum = bounds.sum(old, increment)?;
    let (new, added) = sum.unwrap_or((old, T::zero()));
    reply.array(2);
    new.answer(reply);
    added.answer(reply);
    if sum.is_none() {
        return Ok(());
    }
    let deadline_ms = deadline_ms.filter(|_| !(options.only_new_expiry && expires));
    if deadline_ms.is_some_and(|at_ms| at_ms <= view.now_ms()) {
        if view.delete(key) {
            view.changed(key, EventClass::GENERIC, "del");
            rewrite::del(view, key);
        }
        return Ok(());
    }
    store(view, key, new)?;
    let mut text = Vec::new();
    new.write(&mut text);
    if let Some(at_ms) = deadline_ms {
        view.set_expiry(key, Some(at_ms));
        view.notify(EventClass::GENERIC, "expire", key.bytes);
        let mut buffer = itoa::Buffer::new();
        rewrite::instead(view, &[b"SET", key.bytes, &text, b"PXAT", buffer.format(at_ms).as_bytes()]);
    } else if expires && matches!(options.lifetime, Some(Lifetime::Persist)) {
        view.set_expiry(key, None);
        view.notify(EventClass::GENERIC, "persist", key.bytes);
        rewrite::instead(view, &[b"SET", key.bytes, &text]);
    } else {
        rewrite::instead(view, &[b"SET", key.bytes, &text, b"KEEPTTL"]);
    }
    Ok(())
}

/// Stores a number where the key is or is not, and reports the change; the expiry stays.
fn store<T: Number>(view: &mut View<'_>, key: Key<'_>, number: T) -> Outcome {
    let mut text = Vec::new();
    number.write(&mut text);
    match view.string_mut(key)? {
        Some(entry) => entry.set_bytes(&text),
        None => view.set_string(key, &text, None),
    }
    view.changed(key, EventClass::STRING, T::EVENT);
    Ok(())
}

/// What happens to the expiry.
#[derive(Clone, Copy, Debug)]
enum Lifetime {
    Persist,
    /// As this argument says.
    Until(TimeForm, usize),
}

/// The options: where their values stand.
#[derive(Debug, Default)]
struct Options {
    is_float: bool,
    increment: Option<usize>,
    least: Option<usize>,
    greatest: Option<usize>,
    saturates: bool,
    lifetime: Option<Lifetime>,
    /// Whether an expiry that the key has stays (`ENX`).
    only_new_expiry: bool,
}

impl Options {
    /// Reads the options from argument 2 on, which stand in any order; none may be repeated.
    fn parse(args: Args<'_>) -> Result<Self, CommandError> {
        let mut options = Self::default();
        let mut index = 2;
        while index < args.len() {
            index += options.take(args, index).ok_or(CommandError::Syntax)?;
        }
        match options.lifetime {
            Some(Lifetime::Persist) if options.only_new_expiry => Err(CommandError::Syntax),
            None if options.only_new_expiry => Err(CommandError::text("ERR ENX flag requires an expiration")),
            _ => Ok(options),
        }
    }

    /// Takes the option at `index`; how many arguments it has.
    fn take(&mut self, args: Args<'_>, index: usize) -> Option<usize> {
        let flag = |flag: &mut bool| (!std::mem::replace(flag, true)).then_some(1);
        let value = |place: &mut Option<usize>| {
            (place.replace(index + 1).is_none() && index + 1 < args.len()).then_some(2)
        };
        if args.is(index, "SATURATE") {
            return flag(&mut self.saturates);
        }
        if args.is(index, "ENX") {
            return flag(&mut self.only_new_expiry);
        }
        if args.is(index, "LBOUND") {
            return value(&mut self.least);
        }
        if args.is(index, "UBOUND") {
            return value(&mut self.greatest);
        }
        if args.is(index, "BYINT") || args.is(index, "BYFLOAT") {
            self.is_float = args.is(index, "BYFLOAT");
            return value(&mut self.increment);
        }
        let (lifetime, width) = if args.is(index, "PERSIST") {
            (Lifetime::Persist, 1)
        } else {
            (Lifetime::Until(TimeForm::by_option(args.get(index))?, index + 1), 2)
        };
        (self.lifetime.replace(lifetime).is_none() && index + width <= args.len()).then_some(width)
    }

    /// What is said of a bound that is no number.
    fn no_number(&self, bound: &str) -> CommandError {
        let kind = if self.is_float { "a valid float" } else { "an integer or out of range" };
        CommandError::owned(format!("ERR {bound} is not {kind}"))
    }
}

#[cfg(test)]
mod tests {
    use rustredis_resp::Proto;

    use crate::testing::{Harness, check};

    #[test]
    fn numbers_are_counted_within_bounds() {
        let mut harness = Harness::new();
        for (value, options, expected) in [
            ("0", "", ":1 :1"),
            ("100", "BYINT -10", ":90 :-10"),
            ("95", "BYINT 0", ":95 :0"),
            ("50", "BYINT 100 UBOUND 80", ":50 :0"),
            ("50", "byint 100 ubound 80 saturate", ":80 :30"),
            ("5", "LBOUND 0 BYINT -10 SATURATE UBOUND 10", ":0 :-5"),
            ("5", "BYINT 5 UBOUND 10", ":10 :5"),
            ("50", "BYINT 5 UBOUND 30", ":50 :0"),
            ("50", "BYINT 5 UBOUND 30 SATURATE", ":30 :-20"),
            ("50", "BYINT -25 UBOUND 30", ":25 :-25"),
            ("9223372036854775800", "BYINT 9223372036854775800", ":9223372036854775800 :0"),
            ("9223372036854775800", "BYINT 9223372036854775800 SATURATE", ":9223372036854775807 :7"),
            ("-9223372036854775800", "BYINT -9223372036854775800 SATURATE", ":-9223372036854775808 :-8"),
            ("1.5", "BYFLOAT 0.25", "$4 1.75 $4 0.25"),
            ("6", "BYFLOAT 0.5", "$3 6.5 $3 0.5"),
            ("5", "BYFLOAT 2.5 UBOUND 7.4", "$1 5 $1 0"),
            ("5", "BYFLOAT 2.5 UBOUND 7.4 SATURATE", "$3 7.4 $3 2.4"),
            ("-50.5", "BYFLOAT -5.5 LBOUND -30 SATURATE", "$3 -30 $4 20.5"),
            ("1", "BYFLOAT 1 UBOUND inf", "$1 2 $1 1"),
        ] {
            harness.run(&format!("SET n {value}"));
            check(&mut harness, &format!("INCREX n {options}"), &format!("*2 {expected}"));
        }
        harness.run("SET n 1.5");
        harness.proto = Proto::Resp3;
        check(&mut harness, "INCREX n BYFLOAT 0.25", "*2 ,1.75 ,0.25");
    }

    #[test]
    fn what_is_refused_changes_nothing() {
        let mut harness = Harness::new();
        check(&mut harness, "INCREX n BYINT 10 UBOUND 5 EX 10", "*2 :0 :0");
        check(&mut harness, "INCREX n BYFLOAT -0.5 UBOUND -1.5", "*2 $1 0 $1 0");
        check(&mut harness, "EXISTS n", ":0");
        harness.run("SET n 10 PX 500");
        check(&mut harness, "INCREX n UBOUND 10 EX 100", "*2 :10 :0");
        assert_eq!((harness.effects.dirty, harness.events().len()), (0, 0));
        check(&mut harness, "PTTL n", ":500");
        check(&mut harness, "INCREX n UBOUND 10 PERSIST SATURATE", "*2 :10 :0");
        assert_eq!(harness.events(), ["incrby n", "persist n"]);
    }

    #[test]
    fn the_journal_has_the_result_and_the_events_say_what_was_done() {
        let mut harness = Harness::new();
        for (before, options, journal, events) in [
            ("SET n 10", "BYINT 5", "SET n 15 KEEPTTL", "incrby n"),
            ("SET n 10", "BYFLOAT 0.5", "SET n 10.5 KEEPTTL", "incrbyfloat n"),
            ("SET n 10 EX 9", "PERSIST", "SET n 11", "incrby n,persist n"),
            ("SET n 10", "PERSIST", "SET n 11 KEEPTTL", "incrby n"),
            ("SET n 10", "EX 100", "SET n 11 PXAT 1700000100000", "incrby n,expire n"),
            ("SET n 10 EX 9", "PX 100", "SET n 11 PXAT 1700000000100", "incrby n,expire n"),
            ("SET n 10 EX 9", "PX 100 ENX", "SET n 11 KEEPTTL", "incrby n"),
            ("SET n 10", "PX 100 ENX", "SET n 11 PXAT 1700000000100", "incrby n,expire n"),
            ("DEL n", "PX 100 ENX BYINT 7", "SET n 7 PXAT 1700000000100", "incrby n,expire n"),
            ("SET n 10", "EXAT 1", "DEL n", "del n"),
            ("SET n 10 EX 9", "EXAT 1 ENX", "SET n 11 KEEPTTL", "incrby n"),
            ("DEL n", "EXAT 1", "", ""),
        ] {
            harness.run(before);
            let reply = harness.run(&format!("INCREX n {options}"));
            assert!(reply.starts_with("*2"), "{options}: {reply}");
            assert_eq!(harness.journal(), journal, "{before} {options}");
            assert_eq!(harness.events().join(","), events, "{before} {options}");
        }
        check(&mut harness, "EXISTS n", ":0");
    }

    #[test]
    fn wrong_options_and_numbers_are_refused() {
        let mut harness = Harness::new();
        for options in [
            "FOO",
            "BYINT",
            "BYINT 1 BYFLOAT 1.5",
            "BYINT 1 BYINT 1",
            "LBOUND",
            "LBOUND 0 LBOUND 1",
            "SATURATE SATURATE",
            "EX 1 PX 1",
            "EX 1 EX 1",
            "EX",
            "EX 1 PERSIST",
            "PERSIST PERSIST",
            "PERSIST ENX",
            "ENX ENX EX 1",
        ] {
            check(&mut harness, &format!("INCREX n {options}"), "-ERR syntax error");
        }
        harness.run("SET n 9223372036854775800");
        harness.run("SET text hello");
        harness.run("SET far inf");
        harness.run("SET big -1.1e4932");
        harness.run("SET float 1.5");
        harness.run("RPUSH l a");
        for (line, error) in [
            ("n ENX", "ENX flag requires an expiration"),
            ("n BYINT 1.5", "Increment is not an integer or out of range"),
            ("n BYFLOAT abc", "Increment is not a valid float"),
            ("n BYFLOAT +inf", "BYFLOAT increment cannot be Infinity"),
            ("n LBOUND 1.5", "LBOUND is not an integer or out of range"),
            ("n BYFLOAT 1 UBOUND abc", "UBOUND is not a valid float"),
            ("n LBOUND 10 UBOUND 5", "LBOUND can't be greater than UBOUND"),
            ("n BYFLOAT 1 LBOUND 10.5 UBOUND 1.5", "LBOUND can't be greater than UBOUND"),
            ("n EX 0", "invalid expire time in 'increx' command"),
            ("n EX x", "value is not an integer or out of range"),
            ("n SATURATE UBOUND -9223372036854775808", "applied increment would overflow"),
            ("n BYFLOAT 1 UBOUND -inf", "LBOUND can't be greater than UBOUND"),
            ("big BYFLOAT 1 SATURATE LBOUND 1.1e4932", "increment would produce NaN or Infinity"),
            ("text", "value is not an integer or out of range"),
            ("float", "value is not an integer or out of range"),
            ("text BYFLOAT 1", "value is not a valid float"),
            ("far BYFLOAT 1", "value cannot be Infinity"),
        ] {
            check(&mut harness, &format!("INCREX {line}"), &format!("-ERR {error}"));
        }
        check(&mut harness, "INCREX l", "-WRONGTYPE Operation against a key holding the wrong kind of value");
        check(&mut harness, "INCREX", "-ERR wrong number of arguments for 'increx' command");
    }
}
