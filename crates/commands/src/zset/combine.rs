//! Sorted sets: union, intersection and difference, of sorted sets and sets.
//!
//! A member of a set has the score 1. Scores are multiplied by their input's weight and then added, or the least or
//! greatest taken; inputs are gone through from the smallest to the largest, as in Redis, since sums of floats depend on it.
//! Infinity times zero, and infinity minus infinity, are 0; but an intersection looks at the product of its first input
//! only, and at sums, as Redis does.
//!
//! Results grow in a [`Builder`], which orders them once at the end. A difference asks each other input for each member of
//! the first: Redis has a second way for when the first is much larger than the rest, which is a copy of the first and one
//! removal per member of the rest; it saves lookups that miss, at the cost of a sorted copy, and is left out.

use rustredis_keyspace::View;
use rustredis_keyspace::types::listpack::Element;
use rustredis_keyspace::types::set::Set;
use rustredis_keyspace::types::zset::{Builder, ZSet};
use rustredis_resp::{Reply, number};
use smallvec::SmallVec;

use super::{Shown, journal_stored, reply_entries, store};
use crate::args::Args;
use crate::command::{Categories, Command, Flags, Group, KeyFlags, KeySpec};
use crate::error::{CommandError, Outcome};

const READ: KeyFlags = KeyFlags::RO.with(KeyFlags::ACCESS);
const INPUTS: &[KeySpec] = &[KeySpec::counted(READ, 1)];
const DESTINATION_AND_INPUTS: &[KeySpec] =
    &[KeySpec::one(KeyFlags::OW.with(KeyFlags::UPDATE), 1), KeySpec::counted(READ, 2)];

const READING: Flags = Flags::READONLY.with(Flags::MOVABLEKEYS);
const STORING: Flags = Flags::WRITE.with(Flags::DENYOOM).with(Flags::MOVABLEKEYS);

const UNION_COMPLEXITY: &str =
    "O(N)+O(M*log(M)), where N is the sum of the inputs' sizes and M the size of the result";
const INTER_COMPLEXITY: &str = "O(N*K)+O(M*log(M)), where N is the size of the smallest input, K the number of inputs and M the size of the result";
const DIFF_COMPLEXITY: &str = "O(N*K)+O(M*log(M)), where N is the size of the first input, K the number of inputs and M the size of the result";

/// The rows of this file.
pub const ROWS: &[Command] = &[
    Command::new("zunion", -3, READING, zunion).keys(INPUTS).acl(Categories::SORTEDSET).docs(
        Group::SortedSet,
        "6.2.0",
        UNION_COMPLEXITY,
        "numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX | COUNT>] [WITHSCORES]",
        "Answers the members of any of the sorted sets.",
    ),
    Command::new("zunionstore", -4, STORING, zunionstore)
        .keys(DESTINATION_AND_INPUTS)
        .acl(Categories::SORTEDSET)
        .docs(
            Group::SortedSet,
            "2.0.0",
            UNION_COMPLEXITY,
            "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX | COUNT>]",
            "Stores the members of any of the sorted sets.",
        ),
    Command::new("zinter", -3, READING, zinter).keys(INPUTS).acl(Categories::SORTEDSET).docs(
        Group::SortedSet,
        "6.2.0",
        INTER_COMPLEXITY,
        "numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX | COUNT>] [WITHSCORES]",
        "Answers the members of all of the sorted sets.",
    ),
    Command::new("zinterstore", -4, STORING, zinterstore)
        .keys(DESTINATION_AND_INPUTS)
        .acl(Categories::SORTEDSET)
        .docs(
            Group::SortedSet,
            "2.0.0",
            INTER_COMPLEXITY,
            "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX | COUNT>]",
            "Stores the members of all of the sorted sets.",
        ),
    Command::new("zintercard", -3, READING, zintercard).keys(INPUTS).acl(Categories::SORTEDSET).docs(
        Group::SortedSet,
        "7.0.0",
        "O(N*K), where N is the size of the smallest input and K the number of inputs",
        "numkeys key [key ...] [LIMIT limit]",
        "Counts the members of all of the sorted sets.",
    ),
    Command::new("zdiff", -3, READING, zdiff).keys(INPUTS).acl(Categories::SORTEDSET).docs(
        Group::SortedSet,
        "6.2.0",
        DIFF_COMPLEXITY,
        "numkeys key [key ...] [WITHSCORES]",
        "Answers the members of the first sorted set that are in none of the others.",
    ),
    Command::new("zdiffstore", -4, STORING, zdiffstore)
        .keys(DESTINATION_AND_INPUTS)
        .acl(Categories::SORTEDSET)
        .docs(
            Group::SortedSet,
            "6.2.0",
            DIFF_COMPLEXITY,
            "destination numkeys key [key ...]",
            "Stores the members of the first sorted set that are in none of the others.",
        ),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Union,
    Intersection,
    /// Only its size.
    IntersectionSize,
    Difference,
}

/// Where the members come from.
#[derive(Clone, Copy)]
enum Source<'v> {
    ZSet(&'v ZSet),
    Set(&'v Set),
    Nothing,
}

#[derive(Clone, Copy)]
struct Input<'v> {
    source: Source<'v>,
    weight: f64,
    /// Whether each member counts as 1, whatever its score is.
    is_counted: bool,
}

type Inputs<'v> = SmallVec<[Input<'v>; 4]>;

impl Input<'_> {
    fn len(&self) -> usize {
        match self.source {
            Source::ZSet(zset) => zset.len(),
            Source::Set(set) => set.len(),
            Source::Nothing => 0,
        }
    }

    /// The member's weighted score; NaN for infinity times zero.
    fn score(&self, member: &[u8]) -> Option<f64> {
        let score = match self.source {
            Source::ZSet(zset) => zset.score(member),
            Source::Set(set) => set.contains(member).then_some(1.0),
            Source::Nothing => None,
        };
        score.map(|score| if self.is_counted { self.weight } else { score * self.weight })
    }

    /// Visits the members with their weighted scores, of which none is NaN, as long as it is told to go on.
    fn visit(&self, mut goes_on: impl FnMut(&[u8], f64) -> bool) {
        let mut buffer = [0; 20];
        let mut visit = |member: Element<'_>, score| {
            let score = if self.is_counted { self.weight } else { zero_if_nan(score * self.weight) };
            goes_on(member.as_bytes(&mut buffer), score)
        };
        match self.source {
            Source::ZSet(zset) => zset.iter().all(|(member, score)| visit(member, score)),
            Source::Set(set) => set.iter().all(|member| visit(member, 1.0)),
            Source::Nothing => true,
        };
    }
}

fn zero_if_nan(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

/// What becomes of the scores of a member that is in several inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aggregation {
    Sum,
    Min,
    Max,
    /// The sum of the weights of the inputs that have it.
    Count,
}

impl Aggregation {
    /// What becomes of `a`, which is not NaN, when `b` comes to it: of equals, and of a number and NaN, the first stays. So
    /// a NaN makes a sum 0 but leaves the least and the greatest alone.
    fn apply(self, a: f64, b: f64) -> f64 {
        match self {
            Self::Sum | Self::Count => zero_if_nan(a + b),
            Self::Min => {
                if b < a {
                    b
                } else {
                    a
                }
            }
            Self::Max => {
                if b > a {
                    b
                } else {
                    a
                }
            }
        }
    }
}

/// What follows the keys.
#[derive(Debug, PartialEq)]
struct Options {
    /// One for each input, if there are any.
    weights: SmallVec<[f64; 4]>,
    aggregation: Aggregation,
    shown: Shown,
    /// How far ZINTERCARD counts.
    limit: Option<usize>,
}

impl Options {
    fn parse(
        args: Args<'_>,
        first: usize,
        inputs: usize,
        operation: Operation,
        stores: bool,
    ) -> Result<Self, CommandError> {
        let mut options = Self {
            weights: SmallVec::new(),
            aggregation: Aggregation::Sum,
            shown: Shown::Members,
            limit: None,
        };
        let merges = matches!(operation, Operation::Union | Operation::Intersection);
        let counts = operation == Operation::IntersectionSize;
        let mut index = first;
        while index < args.len() {
            let following = args.len() - index - 1;
            if merges && following >= inputs && args.is(index, "weights") {
                options.weights = (index + 1..=index + inputs)
                    .map(|index| number::parse_f64(args.get(index)))
                    .collect::<Option<_>>()
                    .ok_or(CommandError::text("ERR weight value is not a float"))?;
                index += inputs;
            } else if merges && following >= 1 && args.is(index, "aggregate") {
                options.aggregation = match () {
                    () if args.is(index + 1, "sum") => Aggregation::Sum,
                    () if args.is(index + 1, "min") => Aggregation::Min,
                    () if args.is(index + 1, "max") => Aggregation::Max,
                    () if args.is(index + 1, "count") => Aggregation::Count,
                    () => return Err(CommandError::Syntax),
                };
                index += 1;
            } else if !stores && !counts && args.is(index, "withscores") {
                options.shown = Shown::WithScores;
            } else if counts && following >= 1 && args.is(index, "limit") {
                let limit = args.int(index + 1).ok().and_then(|limit| usize::try_from(limit).ok());
                let limit = limit.ok_or(CommandError::text("ERR LIMIT can't be negative"))?;
                options.limit = (limit > 0).then_some(limit);
                index += 1;
            } else {
                return Err(CommandError::Syntax);
            }
            index += 1;
        }
        Ok(options)
    }
}

/// Reads the inputs and the options behind them; `numkeys` is the argument that counts the inputs. An input of the wrong
/// type is an error before a wrong option is.
fn parse<'v>(
    view: &'v View<'_>,
    args: Args<'_>,
    numkeys: usize,
    operation: Operation,
) -> Result<(Inputs<'v>, Options), CommandError> {
    let count = args.int(numkeys)?;
    if count < 1 {
        let command = args.lossy(0).to_ascii_lowercase();
        return Err(CommandError::owned(format!(
            "ERR at least 1 input key is needed for '{command}' command"
        )));
    }
    let first = numkeys + 1;
    let count = usize::try_from(count)
        .ok()
        .filter(|count| *count <= args.len() - first)
        .ok_or(CommandError::Syntax)?;
    let mut inputs = (first..first + count)
        .map(|index| Ok(Input { source: source(view, args, index)?, weight: 1.0, is_counted: false }))
        .collect::<Result<Inputs<'v>, CommandError>>()?;
    let options = Options::parse(args, first + count, count, operation, numkeys > 1)?;
    inputs.iter_mut().zip(&options.weights).for_each(|(input, weight)| input.weight = *weight);
    let is_counted = options.aggregation == Aggregation::Count;
    inputs.iter_mut().for_each(|input| input.is_counted = is_counted);
    if operation != Operation::Difference {
        inputs.sort_by_key(Input::len);
    }
    Ok((inputs, options))
}

fn source<'v>(view: &'v View<'_>, args: Args<'_>, index: usize) -> Result<Source<'v>, CommandError> {
    let Some(entry) = view.read(args.key(index)) else { return Ok(Source::Nothing) };
    let zset = entry.collection::<ZSet>().map(Source::ZSet);
    zset.or_else(|| entry.collection::<Set>().map(Source::Set)).ok_or(CommandError::WrongType)
}

fn union(inputs: &[Input<'_>], aggregation: Aggregation) -> Builder {
    let mut result = Builder::with_capacity(inputs.last().map_or(0, Input::len));
    for input in inputs {
        input.visit(|member, score| {
            result.merge(member, score, |a, b| aggregation.apply(a, b));
            true
        });
    }
    result
}

/// Visits the members that are in all inputs, the smallest of which is the first, as long as it is told to go on.
fn visit_common(inputs: &[Input<'_>], aggregation: Aggregation, mut goes_on: impl FnMut(&[u8], f64) -> bool) {
    let Some((smallest, others)) = inputs.split_first() else { return };
    smallest.visit(|member, score| {
        let total = others
            .iter()
            .try_fold(score, |total, other| other.score(member).map(|score| aggregation.apply(total, score)));
        total.is_none_or(|total| goes_on(member, total))
    });
}

fn difference(inputs: &[Input<'_>]) -> Builder {
    let mut result = Builder::new();
    let Some((first, others)) = inputs.split_first() else { return result };
    first.visit(|member, score| {
        if others.iter().all(|other| other.score(member).is_none()) {
            result.insert(member, score);
        }
        true
    });
    result
}

/// The result, before it has an encoding, whether its scores are shown, and how they were merged.
fn compute(
    view: &View<'_>,
    args: Args<'_>,
    numkeys: usize,
    operation: Operation,
) -> Result<(Builder, Shown, Aggregation), CommandError> {
    let (inputs, options) = parse(view, args, numkeys, operation)?;
    let result = match operation {
        Operation::Union => union(&inputs, options.aggregation),
        Operation::Difference => difference(&inputs),
        Operation::Intersection | Operation::IntersectionSize => {
            let mut result = Builder::new();
            visit_common(&inputs, options.aggregation, |member, score| {
                result.insert(member, score);
                true
            });
            result
        }
    };
    Ok((result, options.shown, options.aggregation))
}

fn answer(view: &mut View<'_>, args: Args<'_>, operation: Operation, reply: &mut Reply<'_>) -> Outcome {
    let (result, shown, _) = compute(view, args, 1, operation)?;
    // Not from a compact encoding, in which -0 is 0.
    let entries = result.entries();
    reply_entries(reply, entries.iter().map(|(member, score)| (Element::Str(member), *score)), shown);
    Ok(())
}

fn store_result(
    view: &mut View<'_>,
    args: Args<'_>,
    operation: Operation,
    event: &'static str,
    reply: &mut Reply<'_>,
) -> Outcome {
    let (result, _, aggregation) = compute(view, args, 2, operation)?;
    if store(view, args.key(1), result.finish(), event, reply) && aggregation == Aggregation::Count {
        journal_stored(view, args.key(1));
    }
    Ok(())
}

fn zunion(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    answer(view, args, Operation::Union, reply)
}

fn zinter(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    answer(view, args, Operation::Intersection, reply)
}

fn zdiff(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    answer(view, args, Operation::Difference, reply)
}

fn zunionstore(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    store_result(view, args, Operation::Union, "zunionstore", reply)
}

fn zinterstore(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    store_result(view, args, Operation::Intersection, "zinterstore", reply)
}

fn zdiffstore(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    store_result(view, args, Operation::Difference, "zdiffstore", reply)
}

fn zintercard(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (inputs, options) = parse(view, args, 1, Operation::IntersectionSize)?;
    let mut count = 0;
    visit_common(&inputs, options.aggregation, |_, _| {
        count += 1;
        Some(count) != options.limit
    });
    reply.count(count);
    Ok(())
}

#[cfg(test)]
mod tests {
    use rustredis_resp::Proto;

    use crate::testing::{Harness, check};

    fn harness() -> Harness {
        let mut harness = Harness::new();
        check(&mut harness, "ZADD a 1 x 2 y 3 z", ":3");
        check(&mut harness, "ZADD b 10 y 20 z 30 w", ":3");
        harness
    }

    #[test]
    fn inputs_are_combined() {
        let mut harness = harness();
        let h = &mut harness;
        check(h, "ZUNION 2 a b WITHSCORES", "*8 $1 x $1 1 $1 y $2 12 $1 z $2 23 $1 w $2 30");
        check(h, "ZINTER 3 a b a WITHSCORES", "*4 $1 y $2 14 $1 z $2 26");
        check(h, "ZUNION 2 a b AGGREGATE COUNT WITHSCORES", "*8 $1 w $1 1 $1 x $1 1 $1 y $1 2 $1 z $1 2");
        check(
            h,
            "ZUNION 2 a b WEIGHTS 2 3 AGGREGATE count WITHSCORES",
            "*8 $1 x $1 2 $1 w $1 3 $1 y $1 5 $1 z $1 5",
        );
        check(h, "ZINTER 2 a b WEIGHTS inf -inf AGGREGATE COUNT WITHSCORES", "*4 $1 y $1 0 $1 z $1 0");
        check(h, "ZINTERSTORE stored 2 a b WEIGHTS 5 7 AGGREGATE COUNT", ":2");
        check(h, "ZSCORE stored y", "$2 12");
        check(h, "ZINTER 2 a b WITHSCORES WEIGHTS 2 0.5 AGGREGATE MAX", "*4 $1 y $1 5 $1 z $2 10");
        check(h, "ZINTER 2 a b aggregate min WITHSCORES", "*4 $1 y $1 2 $1 z $1 3");
        check(h, "ZDIFF 2 a b WITHSCORES", "*2 $1 x $1 1");
        check(h, "ZDIFF 2 a a", "*0");
        check(h, "ZDIFF 3 b none a", "*1 $1 w");
        check(h, "ZINTER 2 a none", "*0");
        check(h, "ZINTERCARD 2 a b", ":2");
        check(h, "ZINTERCARD 2 a b LIMIT 1", ":1");
        check(h, "ZINTERCARD 2 a b LIMIT 0", ":2");
        h.proto = Proto::Resp3;
        check(h, "ZDIFF 2 a b WITHSCORES", "*1 *2 $1 x ,1");
    }

    #[test]
    fn sets_are_inputs_whose_scores_are_one() {
        let mut harness = harness();
        let h = &mut harness;
        check(h, "SADD s z w 5", ":3");
        check(h, "ZUNION 2 a s WITHSCORES", "*10 $1 5 $1 1 $1 w $1 1 $1 x $1 1 $1 y $1 2 $1 z $1 4");
        check(h, "ZINTER 3 a b s WEIGHTS 1 1 2 WITHSCORES", "*2 $1 z $2 25");
        check(h, "ZDIFF 2 s b", "*1 $1 5");
        check(h, "ZINTERCARD 2 s b", ":2");
        check(h, "ZDIFFSTORE s 1 s", ":3");
        check(h, "TYPE s", "+zset");
    }

    #[test]
    fn results_are_stored() {
        let mut harness = harness();
        let h = &mut harness;
        check(h, "ZUNIONSTORE a 2 a b", ":4");
        assert_eq!((h.events(), h.effects.dirty), (vec!["zunionstore a".to_owned()], 1));
        check(h, "ZINTERSTORE d 2 a b", ":3");
        check(h, "ZDIFFSTORE d 2 d a", ":0");
        assert_eq!(h.events(), ["del d"]);
        check(h, "ZDIFFSTORE d 1 none", ":0");
        assert_eq!(h.effects.dirty, 0);
        check(h, "ZUNIONSTORE d 1 a WITHSCORES", "-ERR syntax error");
    }

    #[test]
    fn no_result_is_nan() {
        let mut harness = Harness::new();
        let h = &mut harness;
        check(h, "ZADD p inf m", ":1");
        check(h, "ZADD n -inf m", ":1");
        check(h, "ZUNION 2 p n WITHSCORES", "*2 $1 m $1 0");
        check(h, "ZINTER 2 p n WITHSCORES", "*2 $1 m $1 0");
        check(h, "ZUNION 1 p WEIGHTS 0 WITHSCORES", "*2 $1 m $1 0");
        check(h, "ZINTER 2 p p WEIGHTS 0 -1 WITHSCORES", "*2 $1 m $4 -inf");
        check(h, "ZINTER 2 p p WEIGHTS 1 0 WITHSCORES", "*2 $1 m $1 0");
        check(h, "ZINTER 2 p p WEIGHTS 1 0 WITHSCORES AGGREGATE MIN", "*2 $1 m $3 inf");
        check(h, "ZINTER 2 n n WEIGHTS 1 0 WITHSCORES AGGREGATE MAX", "*2 $1 m $4 -inf");
        check(h, "ZUNION 2 p p WEIGHTS 1 0 WITHSCORES AGGREGATE MIN", "*2 $1 m $1 0");
    }

    #[test]
    fn zero_keeps_its_sign_until_it_is_stored() {
        let mut harness = Harness::new();
        let h = &mut harness;
        check(h, "ZADD z 0 m", ":1");
        check(h, "ZUNION 1 z WEIGHTS -1 WITHSCORES", "*2 $1 m $2 -0");
        check(h, "ZINTER 2 z z WEIGHTS -1 1 AGGREGATE MAX WITHSCORES", "*2 $1 m $2 -0");
        check(h, "ZINTER 2 z z WEIGHTS -1 1 WITHSCORES", "*2 $1 m $1 0");
        check(h, "ZUNIONSTORE d 1 z WEIGHTS -1", ":1");
        check(h, "ZRANGE d 0 -1 WITHSCORES", "*2 $1 m $1 0");
    }

    #[test]
    fn contradictions_are_refused() {
        let mut harness = harness();
        let h = &mut harness;
        check(h, "SET t x", "+OK");
        check(h, "ZUNION x a", "-ERR value is not an integer or out of range");
        check(h, "ZUNION 0 a", "-ERR at least 1 input key is needed for 'zunion' command");
        check(h, "ZDIFFSTORE d -1 a", "-ERR at least 1 input key is needed for 'zdiffstore' command");
        check(h, "ZUNION 3 a b", "-ERR syntax error");
        check(
            h,
            "ZUNION 2 t a NONSENSE",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        );
        check(h, "ZUNION 2 a b WEIGHTS 1", "-ERR syntax error");
        check(h, "ZUNION 2 a b WEIGHTS 1 x", "-ERR weight value is not a float");
        check(h, "ZUNION 2 a b AGGREGATE AVERAGE", "-ERR syntax error");
        check(h, "ZDIFF 2 a b WEIGHTS 1 1", "-ERR syntax error");
        check(h, "ZINTERCARD 2 a b WITHSCORES", "-ERR syntax error");
        check(h, "ZINTERCARD 2 a b LIMIT -1", "-ERR LIMIT can't be negative");
    }
}
