//! SORT and SORT_RO: the elements of a list, set or sorted set in order, by themselves or by what other keys say.
//!
//! BY and GET make names of keys from the elements, so no plan can know them: such a SORT holds all shards. Without them it
//! holds the shards of its source and destination like every other command.
//!
//! Elements and weights are borrowed from the keyspace while they are sorted; only what STORE stores is copied. With LIMIT,
//! what lies behind the limit is set apart in linear time and never sorted.

use std::cmp::Ordering;

use rustredis_keyspace::types::list::End;
use rustredis_keyspace::types::listpack::Element;
use rustredis_keyspace::types::zset::Order;
use rustredis_keyspace::types::{hash::Hash, list::List, set::Set, zset::ZSet};
use rustredis_keyspace::{Collection, EventClass, Key, Kind, View};
use rustredis_resp::{Reply, number};

use crate::args::Args;
use crate::command::{Begin, Categories, Command, Find, Flags, Group, KeyFlags, KeySpec, Reach};
use crate::error::{CommandError, Outcome};
use crate::hash::has_expired;

const READ: KeyFlags = KeyFlags::RO.with(KeyFlags::ACCESS);
const SOURCE: KeySpec = KeySpec::one(READ, 1);
const PATTERNS: KeySpec = unknown(READ, "BY and GET make the names of keys from the elements");
const DESTINATION: KeySpec =
    unknown(KeyFlags::OW.with(KeyFlags::UPDATE), "STORE and its key may stand anywhere among the options");
const CATEGORIES: Categories =
    Categories::SET.with(Categories::SORTEDSET).with(Categories::LIST).with(Categories::DANGEROUS);
const COMPLEXITY: &str =
    "O(N + M log M) where N is the number of elements and M how many are answered; O(N) if nothing is sorted";

const fn unknown(flags: KeyFlags, notes: &'static str) -> KeySpec {
    KeySpec { notes, flags, begin: Begin::Unknown, find: Find::Unknown }
}

/// The rows of the family.
pub const ROWS: &[Command] = &[
    Command::new("sort", -2, Flags::WRITE.with(Flags::DENYOOM).with(Flags::MOVABLEKEYS), sort)
        .keys(&[SOURCE, PATTERNS, DESTINATION])
        .find_keys(find_keys)
        .reach(Reach::AllIf(reaches_other_keys))
        .find_pattern_option(pattern_option)
        .acl(CATEGORIES)
        .docs(
            Group::Generic,
            "1.0.0",
            COMPLEXITY,
            "key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] [ALPHA] [STORE destination]",
            "Sorts the elements of a list, set or sorted set, and answers or stores them.",
        ),
    Command::new("sort_ro", -2, Flags::READONLY.with(Flags::MOVABLEKEYS), sort_ro)
        .keys(&[SOURCE, PATTERNS])
        .find_keys(|_, keys| {
            keys.push(1);
            Ok(())
        })
        .reach(Reach::AllIf(reaches_other_keys))
        .find_pattern_option(pattern_option)
        .acl(CATEGORIES)
        .docs(
            Group::Generic,
            "7.0.0",
            COMPLEXITY,
            "key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] [ALPHA]",
            "Sorts the elements of a list, set or sorted set, and answers them.",
        ),
];

/// The source, and the destination of the last STORE. Nothing else is checked: the command itself does that.
fn find_keys(args: Args<'_>, keys: &mut Vec<u32>) -> Result<(), CommandError> {
    keys.push(1);
    let mut destination = None;
    let mut index = 2;
    while index < args.len() {
        if args.is(index, "STORE") && index + 1 < args.len() {
            destination = Some(index as u32 + 1);
            index += 1;
        } else if args.is(index, "LIMIT") {
            index += 2;
        } else if args.is(index, "BY") || args.is(index, "GET") {
            index += 1;
        }
        index += 1;
    }
    keys.extend(destination);
    Ok(())
}

fn reaches_other_keys(args: Args<'_>) -> bool {
    Options::parse(args, Grammar::Sort).is_ok_and(|options| {
        let is_other_key = |source: &Source<'_>| matches!(source, Source::Key { .. });
        is_other_key(&options.by) || options.gets.iter().any(is_other_key)
    })
}

/// GET counts whatever it gets, as in Redis; BY with a constant reads nothing.
fn pattern_option(args: Args<'_>) -> Option<&'static str> {
    let options = Options::parse(args, Grammar::Sort).ok()?;
    match options.by {
        Source::Key { .. } => Some("BY"),
        _ => (!options.gets.is_empty()).then_some("GET"),
    }
}

/// Where a weight or an answer comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source<'a> {
    /// The element itself.
    Element,
    /// The key, or a field of the hash at the key, whose name is made from the element.
    Key { prefix: &'a [u8], suffix: &'a [u8], field: Option<&'a [u8]> },
    /// A pattern without a place for the element.
    Nothing,
}

impl<'a> Source<'a> {
    /// A pattern of GET or BY: `weight_*`, `object_*->field`, `#`.
    fn parse(pattern: &'a [u8]) -> Self {
        if pattern == b"#" {
            return Self::Element;
        }
        let Some(star) = pattern.iter().position(|byte| *byte == b'*') else { return Self::Nothing };
        let (prefix, rest) = (&pattern[..star], &pattern[star + 1..]);
        // An arrow with nothing behind it is part of the name.
        match rest.windows(2).position(|pair| pair == b"->") {
            Some(arrow) if arrow + 2 < rest.len() => {
                Self::Key { prefix, suffix: &rest[..arrow], field: Some(&rest[arrow + 2..]) }
            }
            _ => Self::Key { prefix, suffix: rest, field: None },
        }
    }

    /// What it says for this element. `name` is room to make the key's name in.
    fn fetch<'v>(self, view: &'v View<'_>, element: Element<'v>, name: &mut Vec<u8>) -> Option<Element<'v>> {
        let (prefix, suffix, field) = match self {
            Self::Element => return Some(element),
            Self::Nothing => return None,
            Self::Key { prefix, suffix, field } => (prefix, suffix, field),
        };
        name.clear();
        for part in [prefix, element.as_bytes(&mut [0; 20]), suffix] {
            name.extend_from_slice(part);
        }
        let key = Key::new(name);
        let entry = view.read(key)?;
        match field {
            Some(field) => {
                let (hash, now_ms) = (entry.collection::<Hash>()?, view.now_ms());
                if has_expired(hash, now_ms) {
                    view.remember_stale(key);
                }
                hash.get_at(field, now_ms)
            }
            None => (entry.kind() == Kind::String).then(|| Element::Str(entry.bytes())),
        }
    }
}

/// Which command's options are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grammar {
    Sort,
    SortRo,
}

#[derive(Debug)]
struct Options<'a> {
    by: Source<'a>,
    /// BY with a constant: the elements stay in the order that they have.
    is_unsorted: bool,
    is_descending: bool,
    is_alpha: bool,
    offset: i64,
    /// Negative: all.
    count: i64,
    gets: Vec<Source<'a>>,
    /// The argument with the destination.
    store: Option<usize>,
}

impl<'a> Options<'a> {
    fn parse(args: Args<'a>, grammar: Grammar) -> Result<Self, CommandError> {
        let mut options = Self {
            by: Source::Element,
            is_unsorted: false,
            is_descending: false,
            is_alpha: false,
            offset: 0,
            count: -1,
            gets: Vec::new(),
            store: None,
        };
        let mut index = 2;
        while index < args.len() {
            let values = args.len() - index - 1;
            if args.is(index, "ASC") {
                options.is_descending = false;
            } else if args.is(index, "DESC") {
                options.is_descending = true;
            } else if args.is(index, "ALPHA") {
                options.is_alpha = true;
            } else if args.is(index, "LIMIT") && values >= 2 {
                (options.offset, options.count) = (args.int(index + 1)?, args.int(index + 2)?);
                index += 2;
            } else if args.is(index, "STORE") && values >= 1 && grammar == Grammar::Sort {
                options.store = Some(index + 1);
                index += 1;
            } else if args.is(index, "BY") && values >= 1 {
                options.set_by(args.get(index + 1));
                index += 1;
            } else if args.is(index, "GET") && values >= 1 {
                options.gets.push(Source::parse(args.get(index + 1)));
                index += 1;
            } else {
                return Err(CommandError::Syntax);
            }
            index += 1;
        }
        Ok(options)
    }

    fn set_by(&mut self, pattern: &'a [u8]) {
        self.by = Source::parse(pattern);
        if !matches!(self.by, Source::Key { .. }) {
            self.by = Source::Element;
            self.is_unsorted = true;
        }
    }

    /// Which of `len` elements are answered.
    fn range(&self, len: usize) -> std::ops::Range<usize> {
        let start = usize::try_from(self.offset).unwrap_or(0).min(len);
        let count = usize::try_from(self.count).unwrap_or(usize::MAX);
        start..start.saturating_add(count).min(len)
    }
}

fn sort(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let options = Options::parse(args, Grammar::Sort)?;
    let Some(index) = options.store else { return answer(view, args, &options, reply) };
    let mut list = List::new();
    let mut name = Vec::new();
    for element in sorted(view, args.key(1), &options)? {
        for source in sources(&options) {
            let value = source.fetch(view, element, &mut name).unwrap_or(Element::Str(b""));
            list.push(End::Back, value.as_bytes(&mut [0; 20]));
        }
    }
    let destination = args.key(index);
    let len = list.len();
    if len > 0 {
        view.insert(destination, list.into_value(), None);
        view.changed(destination, EventClass::LIST, "sortstore");
        view.add_dirty(len as u64 - 1);
    } else if view.delete(destination) {
        view.changed(destination, EventClass::GENERIC, "del");
    }
    reply.count(len);
    Ok(())
}

fn sort_ro(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    answer(view, args, &Options::parse(args, Grammar::SortRo)?, reply)
}

fn answer(view: &View<'_>, args: Args<'_>, options: &Options<'_>, reply: &mut Reply<'_>) -> Outcome {
    let elements = sorted(view, args.key(1), options)?;
    let sources = sources(options);
    let (mut name, mut digits) = (Vec::new(), [0; 20]);
    reply.array(elements.len() * sources.len());
    for element in elements {
        for source in sources {
            let value = source.fetch(view, element, &mut name);
            reply.bulk_or_null(value.as_ref().map(|value| value.as_bytes(&mut digits)));
        }
    }
    Ok(())
}

/// What is answered for each element.
fn sources<'o>(options: &'o Options<'_>) -> &'o [Source<'o>] {
    if options.gets.is_empty() { &[Source::Element] } else { &options.gets }
}

/// The elements that are answered, in their order.
fn sorted<'v>(
    view: &'v View<'_>,
    key: Key<'_>,
    options: &Options<'_>,
) -> Result<Vec<Element<'v>>, CommandError> {
    let Some(entry) = view.read(key) else { return Ok(Vec::new()) };
    let mut is_unsorted = options.is_unsorted;
    let mut is_alpha = options.is_alpha;
    let is_reversed = is_unsorted && options.is_descending;
    let elements: Vec<Element<'v>> = match entry.kind() {
        Kind::List => {
            let from = if is_reversed { End::Back } else { End::Front };
            let elements = |list: &'v List| list.iter_range(0..list.len(), from).collect();
            entry.collection::<List>().map_or(Vec::new(), elements)
        }
        Kind::Set => {
            // A set has no order of its own that a replay would find again, nor a script that is run again.
            if is_unsorted && (options.store.is_some() || view.is_in_script()) {
                (is_unsorted, is_alpha) = (false, true);
            }
            entry.collection::<Set>().map_or(Vec::new(), |set| set.iter().collect())
        }
        Kind::ZSet => {
            let order = if is_reversed { Order::Descending } else { Order::Ascending };
            let members =
                |zset: &'v ZSet| zset.range(0..usize::MAX, order).map(|(member, _)| member).collect();
            entry.collection::<ZSet>().map_or(Vec::new(), members)
        }
        Kind::String | Kind::Hash | Kind::Stream => return Err(CommandError::WrongType),
    };
    let range = options.range(elements.len());
    if is_unsorted {
        return Ok(elements[range].to_vec());
    }
    let mut items = weigh(view, elements, options.by, is_alpha)?;
    let compare = |left: &Item<'_>, right: &Item<'_>| {
        let order = left.compare(right);
        if options.is_descending { order.reverse() } else { order }
    };
    if range.end < items.len() {
        items.select_nth_unstable_by(range.end, compare);
        items.truncate(range.end);
    }
    items.sort_by(compare);
    Ok(items[range].iter().map(|item| item.element).collect())
}

/// An element and what it is sorted by.
struct Item<'v> {
    element: Element<'v>,
    weight: Weight<'v>,
}

enum Weight<'v> {
    Number(f64),
    /// Bytes; an element whose key is missing comes first.
    Text(Option<Element<'v>>),
}

impl Item<'_> {
    fn compare(&self, other: &Self) -> Ordering {
        match (&self.weight, &other.weight) {
            (Weight::Number(left), Weight::Number(right)) => left
                .partial_cmp(right)
                .unwrap_or(Ordering::Equal)
                .then_with(|| compare_texts(self.element, other.element)),
            (Weight::Text(Some(left)), Weight::Text(Some(right))) => compare_texts(*left, *right),
            (Weight::Text(left), Weight::Text(right)) => left.is_some().cmp(&right.is_some()),
            (Weight::Number(_), Weight::Text(_)) => Ordering::Less,
            (Weight::Text(_), Weight::Number(_)) => Ordering::Greater,
        }
    }
}

fn compare_texts(left: Element<'_>, right: Element<'_>) -> Ordering {
    left.as_bytes(&mut [0; 20]).cmp(right.as_bytes(&mut [0; 20]))
}

fn weigh<'v>(
    view: &'v View<'_>,
    elements: Vec<Element<'v>>,
    by: Source<'_>,
    is_alpha: bool,
) -> Result<Vec<Item<'v>>, CommandError> {
    let mut name = Vec::new();
    let weighed = elements.into_iter().map(|element| {
        let text = by.fetch(view, element, &mut name);
        let weight = if is_alpha {
            Weight::Text(text)
        } else {
            let number = text.map_or(Some(0.0), to_number);
            Weight::Number(
                number.ok_or(CommandError::text("ERR One or more scores can't be converted into double"))?,
            )
        };
        Ok(Item { element, weight })
    });
    weighed.collect()
}

/// A weight as C's `strtod` reads it: white space before it is skipped, and nothing at all is 0.
fn to_number(text: Element<'_>) -> Option<f64> {
    match text {
        Element::Int(number) => Some(number as f64),
        Element::Str(text) => {
            // Redis reads a C string: what follows a zero byte is not looked at, and nothing at all is 0.
            let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
            let text = &text[..end];
            if text.is_empty() {
                return Some(0.0);
            }
            let is_space = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0x0b;
            let start = text.iter().position(|byte| !is_space(byte)).unwrap_or(0);
            // The C library says of a number that has lost digits to underflow that it is out of range.
            number::parse_f64(&text[start..]).filter(|number| !number.is_subnormal())
        }
    }
}

#[cfg(test)]
mod tests;
