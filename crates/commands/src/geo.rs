//! Places: sorted sets whose scores are [geohashes](crate::geohash).
//!
//! There is no type of its own: GEOADD is a ZADD of computed scores, and any sorted set can be asked for places. What the
//! arithmetic makes of a score lives in [`crate::geohash`]; searching in [`search`]; here is the rest.

pub mod search;

use rustredis_keyspace::View;
use rustredis_keyspace::types::zset::ZSet;
use rustredis_resp::{Reply, long_double};

use crate::args::Args;
use crate::command::{Categories, Command, Flags, Group, KeyFlags, KeySpec};
use crate::error::{CommandError, Outcome};
use crate::geohash::{self, LATITUDE_MAX, LONGITUDE_MAX, Point};
use crate::zset::edit::{AddOptions, Pairs, add};

const READ: &[KeySpec] = &[KeySpec::one(KeyFlags::RO.with(KeyFlags::ACCESS), 1)];

/// The rows of this file.
pub const ROWS: &[Command] = &[
    Command::new("geoadd", -5, Flags::WRITE.with(Flags::DENYOOM), geoadd)
        .keys(&[KeySpec::one(KeyFlags::RW.with(KeyFlags::UPDATE), 1)])
        .acl(Categories::GEO)
        .docs(
            Group::Geo,
            "3.2.0",
            "O(log(N)) a member, where N is the size of the sorted set",
            "key [NX | XX] [CH] longitude latitude member [longitude latitude member ...]",
            "Adds members at places, or moves them.",
        ),
    Command::new("geodist", -4, Flags::READONLY, geodist).keys(READ).acl(Categories::GEO).docs(
        Group::Geo,
        "3.2.0",
        "O(1)",
        "key member1 member2 [M | KM | FT | MI]",
        "Answers the distance between two members.",
    ),
    Command::new("geohash", -2, Flags::READONLY, geohash_texts).keys(READ).acl(Categories::GEO).docs(
        Group::Geo,
        "3.2.0",
        "O(1) a member",
        "key [member [member ...]]",
        "Answers the places of members as standard geohashes.",
    ),
    Command::new("geopos", -2, Flags::READONLY, geopos).keys(READ).acl(Categories::GEO).docs(
        Group::Geo,
        "3.2.0",
        "O(1) a member",
        "key [member [member ...]]",
        "Answers the longitudes and latitudes of members.",
    ),
];

/// Argument `index` as a unit of length: how many metres it has.
fn parse_unit(args: Args<'_>, index: usize) -> Result<f64, CommandError> {
    match () {
        () if args.is(index, "m") => Ok(1.0),
        () if args.is(index, "km") => Ok(1000.0),
        () if args.is(index, "ft") => Ok(0.3048),
        () if args.is(index, "mi") => Ok(1609.34),
        () => Err(CommandError::text("ERR unsupported unit provided. please use M, KM, FT, MI")),
    }
}

/// The place whose longitude is argument `index` and whose latitude is the next.
fn parse_point(args: Args<'_>, index: usize) -> Result<Point, CommandError> {
    let (longitude, latitude) = (args.float(index)?, args.float(index + 1)?);
    if longitude.abs() > LONGITUDE_MAX || latitude.abs() > LATITUDE_MAX {
        return Err(CommandError::owned(format!(
            "ERR invalid longitude,latitude pair {longitude:.6},{latitude:.6}"
        )));
    }
    Ok(Point { longitude, latitude })
}

/// Where a score lies; those that GEOADD never makes lie somewhere as well.
fn point_of(score: f64) -> Point {
    geohash::decode(place_bits(score))
}

/// The bits of a score. GEOADD makes whole numbers below 2^52. Of what ZADD makes beside them C leaves the conversion open;
/// this is what Redis does on x86-64: what is negative wraps, and what is too large for 64 bits is 2^63 with its sign lost.
fn place_bits(score: f64) -> u64 {
    const HALF: f64 = 9_223_372_036_854_775_808.0;
    let signed = |value: f64| if (-HALF..HALF).contains(&value) { value as i64 as u64 } else { 1 << 63 };
    if score >= HALF { signed(score - HALF) ^ (1 << 63) } else { signed(score) }
}

/// A distance: a string with four decimals in both protocols.
fn reply_distance(reply: &mut Reply<'_>, distance: f64) {
    reply.text(&format!("{distance:.4}"));
}

/// Longitude and latitude, with more digits than other doubles have.
fn reply_point(reply: &mut Reply<'_>, point: Point) {
    reply.array(2);
    for coordinate in [point.longitude, point.latitude] {
        let mut text = Vec::with_capacity(24);
        long_double::format_long_double(coordinate, &mut text);
        if reply.is_resp3() {
            reply.raw(b",");
            reply.raw(&text);
            reply.raw(b"\r\n");
        } else {
            reply.bulk(&text);
        }
    }
}

fn geoadd(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let mut options = AddOptions::default();
    let mut first = 2;
    loop {
        let option = match () {
            () if args.is(first, "nx") => &mut options.is_only_new,
            () if args.is(first, "xx") => &mut options.is_only_present,
            () if args.is(first, "ch") => &mut options.counts_changed,
            () => break,
        };
        *option = true;
        first += 1;
    }
    let words = args.len() - first;
    if words == 0 || !words.is_multiple_of(3) || options.is_only_new && options.is_only_present {
        return Err(CommandError::Syntax);
    }
    let mut pairs = Pairs::with_capacity(words / 3);
    for index in (first..args.len()).step_by(3) {
        let hash = geohash::encode(parse_point(args, index)?).expect("the point is within the limits");
        pairs.push((hash as f64, args.get(index + 2)));
    }
    add(view, args.key(1), options, &pairs, reply)
}

fn geodist(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let metres = match args.len() {
        4 => 1.0,
        5 => parse_unit(args, 4)?,
        _ => return Err(CommandError::Syntax),
    };
    let zset = view.collection::<ZSet>(args.key(1))?;
    let point = |index| zset.and_then(|zset| zset.score(args.get(index))).map(point_of);
    match (point(2), point(3)) {
        (Some(from), Some(to)) => reply_distance(reply, geohash::distance_m(from, to) / metres),
        _ => reply.null(),
    }
    Ok(())
}

fn geohash_texts(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let zset = view.collection::<ZSet>(args.key(1))?;
    let members = args.from(2);
    reply.array(members.len());
    for member in members {
        match zset.and_then(|zset| zset.score(member)) {
            Some(score) => reply.bulk(&geohash::text(place_bits(score))),
            None => reply.null(),
        }
    }
    Ok(())
}

fn geopos(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let zset = view.collection::<ZSet>(args.key(1))?;
    let members = args.from(2);
    reply.array(members.len());
    for member in members {
        match zset.and_then(|zset| zset.score(member)) {
            Some(score) => reply_point(reply, point_of(score)),
            None => reply.null_array(),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rustredis_resp::Proto;

    use crate::testing::{Harness, check};

    #[test]
    fn places_are_added_and_told() {
        let mut harness = Harness::new();
        let h = &mut harness;
        check(h, "GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania", ":2");
        assert_eq!(h.events(), ["zadd g"]);
        check(h, "ZSCORE g Palermo", "$16 3479099956230698");
        check(h, "GEODIST g Palermo Catania", "$11 166274.1516");
        check(h, "GEODIST g Palermo Catania KM", "$8 166.2742");
        check(h, "GEODIST g Palermo Nowhere", "$-1");
        check(h, "GEODIST g Palermo Catania cm", "-ERR unsupported unit provided. please use M, KM, FT, MI");
        check(h, "GEODIST g Palermo Catania m m", "-ERR syntax error");
        check(h, "GEOHASH g Palermo Nowhere", "*2 $11 sqc8b49rny0 $-1");
        check(h, "GEOPOS g Palermo x", "*2 *2 $20 13.36138933897018433 $20 38.11555639549629859 *-1");
        check(h, "GEOHASH none", "*0");
        check(h, "GEOPOS none a", "*1 *-1");
        h.proto = Proto::Resp3;
        check(h, "GEOPOS g Palermo x", "*2 *2 ,13.36138933897018433 ,38.11555639549629859 _");
        check(h, "GEODIST g Palermo Catania mi", "$8 103.3182");
    }

    #[test]
    fn places_follow_the_rules_of_scores() {
        let mut harness = Harness::new();
        let h = &mut harness;
        check(h, "GEOADD g XX 1 1 a", ":0");
        check(h, "GEOADD g NX CH 1 1 a 2 2 b", ":2");
        check(h, "GEOADD g NX CH 9 9 a", ":0");
        check(h, "GEOADD g CH 9 9 a 2 2 b", ":1");
        check(h, "GEOADD g NX XX 1 1 a", "-ERR syntax error");
        check(h, "GEOADD g CH 1 1", "-ERR syntax error");
        check(h, "GEOADD g x 1 a", "-ERR value is not a valid float");
        check(h, "GEOADD g 181 1 a", "-ERR invalid longitude,latitude pair 181.000000,1.000000");
        check(h, "GEOADD g 1 1 a 1 -86 a", "-ERR invalid longitude,latitude pair 1.000000,-86.000000");
    }

    #[test]
    fn scores_that_are_no_places_are_where_redis_has_them() {
        let mut harness = Harness::new();
        harness.run("ZADD z inf a -inf b -1 c -0.25 d 1e300 e 1e19 f -1e300 g");
        let first_score = "$11 00bh0hbj200";
        let last_score = "$11 bp05b5048p0";
        let expected =
            [first_score, first_score, last_score, first_score, first_score, last_score, first_score];
        check(&mut harness, "GEOHASH z a b c d e f g", &format!("*7 {}", expected.join(" ")));
    }
}
