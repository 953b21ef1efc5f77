//! HRANDFIELD: fields by chance.

use rustredis_keyspace::random::{Selection, index};
use rustredis_keyspace::types::hash::Hash;
use rustredis_keyspace::types::listpack::Element;
use rustredis_keyspace::{Random, View};
use rustredis_resp::Reply;

use super::has_expired;
use crate::args::Args;
use crate::command::{Categories, Command, Flags, Group};
use crate::element;
use crate::error::{CommandError, Outcome};

/// The row.
pub const ROWS: &[Command] = &[Command::new("hrandfield", -2, Flags::READONLY, hrandfield)
    .keys(super::READ)
    .acl(Categories::HASH)
    .docs(
        Group::Hash,
        "6.2.0",
        "O(N) where N is the number of fields returned",
        "key [count [WITHVALUES]]",
        "Answers fields of a hash by chance.",
    )
    .tips(&["nondeterministic_output"])];

type Pair<'a> = (Element<'a>, Element<'a>);

/// The fields to draw from.
enum Pool<'a> {
    /// All of a hash in whose table a draw takes constant time.
    Hash(&'a Hash),
    /// Those that are listed: of a small hash, where a draw would walk, or of one where some have expired.
    Listed(Vec<Pair<'a>>),
}

impl<'a> Pool<'a> {
    fn new(hash: &'a Hash, now_ms: u64) -> Self {
        let is_table = hash.as_listpack().is_none() && hash.as_listpack_ex().is_none();
        if is_table && !has_expired(hash, now_ms) {
            Self::Hash(hash)
        } else {
            Self::Listed(hash.iter_at(now_ms).map(|(field, value, _)| (field, value)).collect())
        }
    }

    fn draw(&self, random: &mut impl FnMut() -> u64) -> Option<Pair<'a>> {
        match self {
            Self::Hash(hash) => hash.random(random),
            Self::Listed(pairs) if pairs.is_empty() => None,
            Self::Listed(pairs) => Some(pairs[index(pairs.len(), random)]),
        }
    }

    /// `count` different ones, or all.
    fn sample(self, count: usize, random: &mut impl FnMut() -> u64) -> Vec<Pair<'a>> {
        match self {
            Self::Hash(hash) => hash.sample(count, random),
            Self::Listed(mut pairs) => {
                let mut selection = Selection::new(count, pairs.len());
                pairs.retain(|_| selection.takes_next(random));
                pairs
            }
        }
    }
}

fn hrandfield(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let count = if args.len() > 2 { Some(parse_count(args)?) } else { None };
    let hash = view.collection::<Hash>(args.key(1))?;
    let pool = hash.map(|hash| Pool::new(hash, view.now_ms()));
    let random: &Random = view.random();
    let mut next = || random.next();
    let Some((count, has_values)) = count else {
        let drawn = pool.and_then(|pool| pool.draw(&mut next));
        element::bulk_or_null(reply, drawn.map(|(field, _)| field));
        return Ok(());
    };
    let distance = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    match pool {
        Some(pool) if count > 0 => {
            let drawn = pool.sample(distance, &mut next);
            head(reply, drawn.len(), has_values);
            drawn.into_iter().for_each(|pair| answer(reply, pair, has_values));
        }
        Some(pool) if pool.draw(&mut next).is_some() => {
            head(reply, distance, has_values);
            for _ in 0..distance {
                let Some(pair) = pool.draw(&mut next) else { break };
                answer(reply, pair, has_values);
                if reply.is_full() {
                    return Err(CommandError::OutOfRange);
                }
            }
        }
        _ => reply.array(0),
    }
    Ok(())
}

/// The count, negative if fields may repeat, and whether values are wanted.
fn parse_count(args: Args<'_>) -> Result<(i64, bool), CommandError> {
    let count = args.int(2)?;
    if count == i64::MIN {
        return Err(CommandError::OutOfLongRange);
    }
    let has_values = args.len() > 3;
    if has_values && (args.len() > 4 || !args.is(3, "WITHVALUES")) {
        return Err(CommandError::Syntax);
    }
    if has_values && count.unsigned_abs() > i64::MAX as u64 / 2 {
        return Err(CommandError::OutOfRange);
    }
    Ok((count, has_values))
}

/// The head of the answer: pairs are arrays of their own in RESP3, and flat in RESP2.
fn head(reply: &mut Reply<'_>, count: usize, has_values: bool) {
    reply.array(if has_values && !reply.is_resp3() { count * 2 } else { count });
}

fn answer(reply: &mut Reply<'_>, (field, value): Pair<'_>, has_values: bool) {
    if has_values && reply.is_resp3() {
        reply.array(2);
    }
    element::bulk(reply, field);
    if has_values {
        element::bulk(reply, value);
    }
}
