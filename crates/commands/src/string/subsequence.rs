//! LCS: the longest common subsequence of two strings. The algorithm is in [`crate::lcs`].

use rustredis_keyspace::limits::LIMITS;
use rustredis_keyspace::{Key, View};
use rustredis_resp::Reply;

use crate::args::Args;
use crate::command::{Categories, Command, Flags, Group, KeyFlags, KeySpec};
use crate::error::{CommandError, Outcome};
use crate::lcs;

/// The row.
pub const ROWS: &[Command] = &[Command::new("lcs", -3, Flags::READONLY, lcs_command)
    .keys(&[KeySpec::range(KeyFlags::RO.with(KeyFlags::ACCESS), 1, 1, 1)])
    .acl(Categories::STRING)
    .docs(
        Group::String,
        "7.0.0",
        "O(N*M) where N and M are the lengths of the strings",
        "key1 key2 [LEN] [IDX] [MINMATCHLEN len] [WITHMATCHLEN]",
        "Finds the longest common subsequence of two strings.",
    )];

/// What is answered.
#[derive(Default)]
struct Options {
    has_length: bool,
    has_matches: bool,
    has_match_lengths: bool,
    match_len_min: usize,
}

impl Options {
    fn parse(args: Args<'_>) -> Result<Self, CommandError> {
        let mut options = Self::default();
        let mut index = 3;
        while index < args.len() {
            if args.is(index, "IDX") {
                options.has_matches = true;
            } else if args.is(index, "LEN") {
                options.has_length = true;
            } else if args.is(index, "WITHMATCHLEN") {
                options.has_match_lengths = true;
            } else if args.is(index, "MINMATCHLEN") && index + 1 < args.len() {
                index += 1;
                options.match_len_min = usize::try_from(args.int(index)?).unwrap_or(0);
            } else {
                return Err(CommandError::Syntax);
            }
            index += 1;
        }
        if options.has_length && options.has_matches {
            return Err(CommandError::text(
                "ERR If you want both the length and indexes, please just use IDX.",
            ));
        }
        Ok(options)
    }
}

fn lcs_command(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let string = |key: Key<'_>| match view.string(key) {
        Ok(bytes) => Ok(bytes.unwrap_or(&[])),
        Err(_) => Err(CommandError::text("ERR The specified keys must contain string values")),
    };
    let (left, right) = (string(args.key(1))?, string(args.key(2))?);
    let options = Options::parse(args)?;
    lcs::check_size(left.len(), right.len(), LIMITS.proto_max_bulk_len())
        .map_err(|error| CommandError::owned(error.to_string()))?;
    if options.has_length {
        reply.count(lcs::length(left, right));
        return Ok(());
    }
    let matches = lcs::matches(left, right);
    if !options.has_matches {
        reply.bulk(&lcs::subsequence(left, &matches));
        return Ok(());
    }
    let shown = || matches.iter().filter(|range| range.length >= options.match_len_min);
    reply.map(2);
    reply.text("matches");
    reply.array(shown().count());
    for range in shown() {
        reply.array(if options.has_match_lengths { 3 } else { 2 });
        for (first, last) in [(range.left_first, range.left_last()), (range.right_first, range.right_last())]
        {
            reply.array(2);
            reply.count(first);
            reply.count(last);
        }
        if options.has_match_lengths {
            reply.count(range.length);
        }
    }
    reply.text("len");
    reply.count(matches.iter().map(|range| range.length).sum());
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::{Harness, check};

    #[test]
    fn the_answer_has_the_wanted_form() {
        let mut harness = Harness::new();
        harness.run("MSET a ohmytext b mynewtext");
        check(&mut harness, "LCS a b", "$6 mytext");
        check(&mut harness, "LCS a b LEN", ":6");
        check(
            &mut harness,
            "LCS a b IDX",
            "*4 $7 matches *2 *2 *2 :4 :7 *2 :5 :8 *2 *2 :2 :3 *2 :0 :1 $3 len :6",
        );
        check(
            &mut harness,
            "LCS a b IDX MINMATCHLEN 4 WITHMATCHLEN",
            "*4 $7 matches *1 *3 *2 :4 :7 *2 :5 :8 :4 $3 len :6",
        );
        check(&mut harness, "LCS a missing", "$0 ");
        check(&mut harness, "LCS a b MINMATCHLEN", "-ERR syntax error");
        check(
            &mut harness,
            "LCS a b LEN IDX",
            "-ERR If you want both the length and indexes, please just use IDX.",
        );
    }
}
