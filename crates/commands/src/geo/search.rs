//! Searching for places: GEOSEARCH, and its older relatives GEORADIUS and GEORADIUSBYMEMBER.
//!
//! The six commands are one function. They differ in where the centre is said, in whether the result may, must or cannot
//! be stored, and so in which words they know; a [`Grammar`] says that. As in Redis, a missing key is noticed only after all
//! words have been read, but a member that is not there as soon as it is named.

use rustredis_keyspace::View;
use rustredis_keyspace::types::listpack::Element;
use rustredis_keyspace::types::zset::{Builder, Order, ScoreBound, ScoreRange, ZSet};
use rustredis_resp::{Reply, number};

use super::{READ, parse_point, parse_unit, point_of, reply_distance, reply_point};
use crate::args::Args;
use crate::command::{Categories, Command, Flags, Group, KeyFlags, KeySpec};
use crate::error::{CommandError, Outcome};
use crate::geohash::{self, Point, Shape};
use smallvec::SmallVec;

use crate::{element, zset};

const SOURCE: KeySpec = KeySpec::one(KeyFlags::RO.with(KeyFlags::ACCESS), 1);
const DESTINATION: KeyFlags = KeyFlags::OW.with(KeyFlags::UPDATE);
const STORING: Flags = Flags::WRITE.with(Flags::DENYOOM);

const RADIUS_COMPLEXITY: &str = "O(N+M*log(M)), where N is the number of members in the cells around the circle and M the number of members in it";
const SEARCH_COMPLEXITY: &str = "O(N+M*log(M)), where N is the number of members in the cells around the shape and M the number of members in it";

/// The rows of this file.
pub const ROWS: &[Command] = &[
    Command::new("geosearch", -7, Flags::READONLY, geosearch).keys(READ).acl(Categories::GEO).docs(
        Group::Geo,
        "6.2.0",
        SEARCH_COMPLEXITY,
        "key [FROMMEMBER member | FROMLONLAT longitude latitude] <BYRADIUS radius <M | KM | FT | MI> | BYBOX width height <M | KM | FT | MI> | BYPOLYGON num-vertices longitude latitude [longitude latitude ...]> [ASC | DESC] [COUNT count [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH]",
        "Answers the members in a circle, a rectangle or a polygon.",
    ),
    Command::new("geosearchstore", -8, STORING, geosearchstore)
        .keys(&[KeySpec::one(DESTINATION, 1), KeySpec::one(KeyFlags::RO.with(KeyFlags::ACCESS), 2)])
        .acl(Categories::GEO)
        .docs(
            Group::Geo,
            "6.2.0",
            SEARCH_COMPLEXITY,
            "destination source [FROMMEMBER member | FROMLONLAT longitude latitude] <BYRADIUS radius <M | KM | FT | MI> | BYBOX width height <M | KM | FT | MI> | BYPOLYGON num-vertices longitude latitude [longitude latitude ...]> [ASC | DESC] [COUNT count [ANY]] [STOREDIST]",
            "Stores the members in a circle, a rectangle or a polygon under another key.",
        ),
    Command::new("georadius", -6, STORING.with(Flags::MOVABLEKEYS), georadius)
        .keys(&[SOURCE, KeySpec::keyword(DESTINATION, "STORE", 6), KeySpec::keyword(DESTINATION, "STOREDIST", 6)])
        .find_keys(find_keys)
        .acl(Categories::GEO)
        .docs(
            Group::Geo,
            "3.2.0",
            RADIUS_COMPLEXITY,
            "key longitude latitude radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC | DESC] [STORE key | STOREDIST key]",
            "Answers or stores the members in a circle around a place.",
        )
        .deprecated("6.2.0", "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` argument"),
    Command::new("georadius_ro", -6, Flags::READONLY, georadius_ro)
        .keys(READ)
        .acl(Categories::GEO)
        .docs(
            Group::Geo,
            "3.2.10",
            RADIUS_COMPLEXITY,
            "key longitude latitude radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC | DESC]",
            "Answers the members in a circle around a place.",
        )
        .deprecated("6.2.0", "`GEOSEARCH` with the `BYRADIUS` argument"),
    Command::new("georadiusbymember", -5, STORING.with(Flags::MOVABLEKEYS), georadiusbymember)
        .keys(&[SOURCE, KeySpec::keyword(DESTINATION, "STORE", 5), KeySpec::keyword(DESTINATION, "STOREDIST", 5)])
        .find_keys(find_keys)
        .acl(Categories::GEO)
        .docs(
            Group::Geo,
            "3.2.0",
            RADIUS_COMPLEXITY,
            "key member radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC | DESC] [STORE key | STOREDIST key]",
            "Answers or stores the members in a circle around a member.",
        )
        .deprecated("6.2.0", "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` and `FROMMEMBER` arguments"),
    Command::new("georadiusbymember_ro", -5, Flags::READONLY, georadiusbymember_ro)
        .keys(READ)
        .acl(Categories::GEO)
        .docs(
            Group::Geo,
            "3.2.10",
            RADIUS_COMPLEXITY,
            "key member radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC | DESC]",
            "Answers the members in a circle around a member.",
        )
        .deprecated("6.2.0", "`GEOSEARCH` with the `BYRADIUS` and `FROMMEMBER` arguments"),
];

/// The source, and the last key behind STORE or STOREDIST, which overrides those before it.
fn find_keys(args: Args<'_>, keys: &mut Vec<u32>) -> Outcome {
    keys.push(1);
    let mut destination = None;
    let mut index = 5;
    while index + 1 < args.len() {
        if args.is(index, "store") || args.is(index, "storedist") {
            index += 1;
            destination = Some(index as u32);
        }
        index += 1;
    }
    keys.extend(destination);
    Ok(())
}

/// Which words a command knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grammar {
    /// GEORADIUS: a place and a radius, then options.
    Place(Storing),
    /// GEORADIUSBYMEMBER: a member and a radius, then options.
    Member(Storing),
    /// GEOSEARCH.
    Search,
    /// GEOSEARCHSTORE.
    SearchStore,
}

/// Whether the words STORE and STOREDIST exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Storing {
    Allowed,
    Refused,
}

impl Grammar {
    /// The argument that is the source's key.
    fn source(self) -> usize {
        if self == Self::SearchStore { 2 } else { 1 }
    }

    fn is_search(self) -> bool {
        matches!(self, Self::Search | Self::SearchStore)
    }

    fn allows_store(self) -> bool {
        matches!(self, Self::Place(Storing::Allowed) | Self::Member(Storing::Allowed))
    }
}

/// Where the centre is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Centre {
    /// Not said yet.
    Unsaid,
    /// At a member, whose place is unknown if the source is missing.
    Member(Option<Point>),
    /// At a place.
    Place(Point),
}

/// A shape, and the metres of the unit that distances are told in.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Area {
    shape: Shape,
    unit_m: f64,
}

impl Area {
    /// A circle whose radius is argument `index` and whose unit is the next.
    fn parse_circle(args: Args<'_>, index: usize) -> Result<Self, CommandError> {
        let radius = parse_length(args, index, "ERR need numeric radius")?;
        if radius < 0.0 {
            return Err(CommandError::text("ERR radius cannot be negative"));
        }
        let unit_m = parse_unit(args, index + 1)?;
        Ok(Self { shape: Shape::Circle { radius_m: radius * unit_m }, unit_m })
    }

    /// A rectangle whose width is argument `index`, then its height and the unit.
    fn parse_rectangle(args: Args<'_>, index: usize) -> Result<Self, CommandError> {
        let width = parse_length(args, index, "ERR need numeric width")?;
        let height = parse_length(args, index + 1, "ERR need numeric height")?;
        if width < 0.0 || height < 0.0 {
            return Err(CommandError::text("ERR height or width cannot be negative"));
        }
        let unit_m = parse_unit(args, index + 2)?;
        let shape = Shape::Rectangle { width_m: width * unit_m, height_m: height * unit_m };
        Ok(Self { shape, unit_m })
    }
}

fn parse_length(args: Args<'_>, index: usize, error: &'static str) -> Result<f64, CommandError> {
    number::parse_f64(args.get(index)).ok_or(CommandError::text(error))
}

/// A search as it was asked for.
#[derive(Debug)]
struct Query {
    centre: Centre,
    area: Option<Area>,
    /// The vertices of a polygon, of which the area is the box; empty where there is none.
    polygon: Vec<Point>,
    order: Option<Order>,
    count: Option<usize>,
    /// `ANY`: the first that are found, not the nearest.
    is_any: bool,
    shows_distance: bool,
    shows_hash: bool,
    shows_point: bool,
    /// The argument that is the key to store the result under.
    destination: Option<usize>,
    stores_distance: bool,
}

impl Query {
    fn parse(args: Args<'_>, grammar: Grammar, source: Option<&ZSet>) -> Result<Self, CommandError> {
        let mut query = Self {
            centre: Centre::Unsaid,
            area: None,
            polygon: Vec::new(),
            order: None,
            count: None,
            is_any: false,
            shows_distance: false,
            shows_hash: false,
            shows_point: false,
            destination: None,
            stores_distance: false,
        };
        let mut index = match grammar {
            Grammar::Place(_) => {
                query.centre = Centre::Place(parse_point(args, 2)?);
                query.area = Some(Area::parse_circle(args, 4)?);
                6
            }
            Grammar::Member(_) => {
                query.centre = parse_member(args, 2, source)?;
                // As in Redis, nobody looks at the radius if there is nothing to search.
                query.area = source.map(|_| Area::parse_circle(args, 3)).transpose()?;
                5
            }
            Grammar::Search => 2,
            Grammar::SearchStore => {
                query.destination = Some(1);
                3
            }
        };
        while index < args.len() {
            index += query.parse_option(args, index, grammar, source)?;
        }
        query.check(args, grammar)?;
        Ok(query)
    }

    /// Reads the option at argument `index`; how many arguments it has.
    fn parse_option(
        &mut self,
        args: Args<'_>,
        index: usize,
        grammar: Grammar,
        source: Option<&ZSet>,
    ) -> Result<usize, CommandError> {
        let has = |following: usize| index + following < args.len();
        let flag = match () {
            () if args.is(index, "withdist") => Some(&mut self.shows_distance),
            () if args.is(index, "withhash") => Some(&mut self.shows_hash),
            () if args.is(index, "withcoord") => Some(&mut self.shows_point),
            () if args.is(index, "any") => Some(&mut self.is_any),
            () if grammar == Grammar::SearchStore && args.is(index, "storedist") => {
                Some(&mut self.stores_distance)
            }
            () => None,
        };
        if let Some(flag) = flag {
            *flag = true;
            return Ok(1);
        }
        if args.is(index, "asc") {
            self.order = Some(Order::Ascending);
            return Ok(1);
        }
        if args.is(index, "desc") {
            self.order = Some(Order::Descending);
            return Ok(1);
        }
        if args.is(index, "count") && has(1) {
            let count = usize::try_from(args.int(index + 1)?).ok().filter(|count| *count > 0);
            self.count = Some(count.ok_or(CommandError::text("ERR COUNT must be > 0"))?);
            return Ok(2);
        }
        if grammar.allows_store() && has(1) && (args.is(index, "store") || args.is(index, "storedist")) {
            self.destination = Some(index + 1);
            self.stores_distance = args.is(index, "storedist");
            return Ok(2);
        }
        if grammar.is_search() {
            return self.parse_where(args, index, source);
        }
        Err(CommandError::Syntax)
    }

    /// Reads GEOSEARCH's words for the centre and the shape. Either may be said again, but not in the other way.
    fn parse_where(
        &mut self,
        args: Args<'_>,
        index: usize,
        source: Option<&ZSet>,
    ) -> Result<usize, CommandError> {
        let has = |following: usize| index + following < args.len();
        if args.is(index, "bypolygon") && has(1) && self.centre == Centre::Unsaid && self.area.is_none() {
            return self.parse_polygon(args, index);
        }
        if !self.polygon.is_empty() {
            return Err(CommandError::Syntax);
        }
        let (is_place, is_member) =
            (matches!(self.centre, Centre::Place(_)), matches!(self.centre, Centre::Member(_)));
        let shape = self.area.map(|area| area.shape);
        let is_circle = matches!(shape, Some(Shape::Circle { .. }));
        let is_rectangle = matches!(shape, Some(Shape::Rectangle { .. }));
        if args.is(index, "frommember") && has(1) && !is_place {
            self.centre = parse_member(args, index + 1, source)?;
            Ok(2)
        } else if args.is(index, "fromlonlat") && has(2) && !is_member {
            self.centre = Centre::Place(parse_point(args, index + 1)?);
            Ok(3)
        } else if args.is(index, "byradius") && has(2) && !is_rectangle {
            self.area = Some(Area::parse_circle(args, index + 1)?);
            Ok(3)
        } else if args.is(index, "bybox") && has(3) && !is_circle {
            self.area = Some(Area::parse_rectangle(args, index + 1)?);
            Ok(4)
        } else {
            Err(CommandError::Syntax)
        }
    }

    /// Reads a polygon, whose middle is the centre; how many arguments it has.
    fn parse_polygon(&mut self, args: Args<'_>, index: usize) -> Result<usize, CommandError> {
        let count = args.int(index + 1)?;
        let count = usize::try_from(count)
            .ok()
            .filter(|count| *count >= 3)
            .ok_or(CommandError::text("ERR GEOSEARCH BYPOLYGON must have at least 3 vertices"))?;
        let first = index + 2;
        if (args.len() - first) / 2 < count {
            return Err(CommandError::Syntax);
        }
        self.polygon =
            (0..count).map(|vertex| parse_point(args, first + 2 * vertex)).collect::<Result<_, _>>()?;
        let middle = geohash::middle(&self.polygon);
        self.centre = Centre::Place(middle);
        self.area = Some(Area { shape: Shape::around(&self.polygon, middle), unit_m: 1.0 });
        Ok(2 + 2 * count)
    }

    fn check(&self, args: Args<'_>, grammar: Grammar) -> Outcome {
        if self.destination.is_some() && (self.shows_distance || self.shows_hash || self.shows_point) {
            return Err(CommandError::text(if grammar.is_search() {
                "ERR GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
            } else {
                "ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
            }));
        }
        let is_missing = |what: &str| {
            let command = args.lossy(0);
            Err(CommandError::owned(format!("ERR exactly one of {what} can be specified for {command}")))
        };
        if grammar.is_search() && self.centre == Centre::Unsaid {
            return is_missing("FROMMEMBER or FROMLONLAT");
        }
        if grammar.is_search() && self.area.is_none() {
            return is_missing("BYRADIUS and BYBOX");
        }
        if self.is_any && self.count.is_none() {
            return Err(CommandError::text("ERR the ANY argument requires COUNT argument"));
        }
        Ok(())
    }

    /// What there is in the source, in order and no more than was asked for.
    fn run<'z>(&self, source: &'z ZSet) -> Vec<Found<'z>> {
        let (Centre::Place(centre) | Centre::Member(Some(centre)), Some(area)) = (self.centre, self.area)
        else {
            return Vec::new();
        };
        let limit = if self.is_any { self.count } else { None };
        let mut found = collect(source, centre, area, &self.polygon, limit.unwrap_or(usize::MAX));
        // The nearest, where nothing else was said.
        let order = self.order.or((self.count.is_some() && !self.is_any).then_some(Order::Ascending));
        match order {
            Some(Order::Ascending) => found.sort_by(|a, b| a.distance.total_cmp(&b.distance)),
            Some(Order::Descending) => found.sort_by(|a, b| b.distance.total_cmp(&a.distance)),
            None => {}
        }
        found.truncate(self.count.unwrap_or(usize::MAX));
        found
    }

    fn reply(&self, found: &[Found<'_>], reply: &mut Reply<'_>) {
        let extras = [self.shows_distance, self.shows_hash, self.shows_point];
        let extras = extras.iter().filter(|shows| **shows).count();
        reply.array(found.len());
        for place in found {
            if extras > 0 {
                reply.array(1 + extras);
            }
            element::bulk(reply, place.member);
            if self.shows_distance {
                reply_distance(reply, place.distance);
            }
            if self.shows_hash {
                reply.int(place.score as i64);
            }
            if self.shows_point {
                reply_point(reply, place.point);
            }
        }
    }

    fn result(&self, found: &[Found<'_>]) -> ZSet {
        let mut result = Builder::with_capacity(found.len());
        for place in found {
            let score = if self.stores_distance { place.distance } else { place.score };
            result.insert(place.member.as_bytes(&mut [0; 20]), score);
        }
        result.finish()
    }
}

/// The centre at the member in argument `index`.
fn parse_member(args: Args<'_>, index: usize, source: Option<&ZSet>) -> Result<Centre, CommandError> {
    let Some(source) = source else { return Ok(Centre::Member(None)) };
    match source.score(args.get(index)) {
        Some(score) => Ok(Centre::Member(Some(point_of(score)))),
        None => Err(CommandError::text("ERR could not decode requested zset member")),
    }
}

/// A member in the area.
struct Found<'z> {
    member: Element<'z>,
    score: f64,
    /// From the centre, in the unit of the query.
    distance: f64,
    point: Point,
}

/// At most `limit` members in the area, in the order in which they are met.
fn collect<'z>(
    source: &'z ZSet,
    centre: Point,
    area: Area,
    polygon: &[Point],
    limit: usize,
) -> Vec<Found<'z>> {
    let ranges = if geohash::is_wide(polygon, centre) {
        // No cell and its neighbours reach around the earth.
        SmallVec::from_iter([geohash::ALL_SCORES])
    } else {
        area.shape.score_ranges(centre)
    };
    let entries = ranges.iter().flat_map(|scores| {
        let scores = ScoreRange {
            min: ScoreBound::Inclusive(scores.start as f64),
            max: ScoreBound::Exclusive(scores.end as f64),
        };
        source.range(source.ranks_by_score(&scores), Order::Ascending)
    });
    let in_area = entries.filter_map(|(member, score)| {
        let point = point_of(score);
        let distance_m = match polygon {
            [] => area.shape.distance_within_m(centre, point)?,
            vertices if geohash::is_within(vertices, point) => geohash::distance_m(centre, point),
            _ => return None,
        };
        let distance = distance_m / area.unit_m;
        Some(Found { member, score, distance, point })
    });
    in_area.take(limit).collect()
}

fn search(view: &mut View<'_>, args: Args<'_>, grammar: Grammar, reply: &mut Reply<'_>) -> Outcome {
    let source = view.collection::<ZSet>(args.key(grammar.source()))?;
    let query = Query::parse(args, grammar, source)?;
    let found = source.map(|source| query.run(source)).unwrap_or_default();
    let Some(destination) = query.destination else {
        query.reply(&found, reply);
        return Ok(());
    };
    let result = query.result(&found);
    let event = if grammar.is_search() { "geosearchstore" } else { "georadiusstore" };
    // Redis counts each stored member as a change.
    let further_changes = (result.len() as u64).saturating_sub(1);
    let has_changed = zset::store(view, args.key(destination), result, event, reply);
    view.add_dirty(further_changes);
    if has_changed && !query.polygon.is_empty() {
        zset::journal_stored(view, args.key(destination));
    }
    Ok(())
}

fn geosearch(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    search(view, args, Grammar::Search, reply)
}

fn geosearchstore(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    search(view, args, Grammar::SearchStore, reply)
}

fn georadius(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    search(view, args, Grammar::Place(Storing::Allowed), reply)
}

fn georadius_ro(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    search(view, args, Grammar::Place(Storing::Refused), reply)
}

fn georadiusbymember(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    search(view, args, Grammar::Member(Storing::Allowed), reply)
}

fn georadiusbymember_ro(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    search(view, args, Grammar::Member(Storing::Refused), reply)
}

#[cfg(test)]
mod tests {
    use rustredis_resp::Proto;

    use crate::testing::{Harness, check};

    fn sicily() -> Harness {
        let mut harness = Harness::new();
        check(
            &mut harness,
            "GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania 12.758489 38.788135 edge",
            ":3",
        );
        harness
    }

    #[test]
    fn places_are_found() {
        let mut harness = sicily();
        let h = &mut harness;
        check(h, "GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 200 km ASC", "*2 $7 Catania $7 Palermo");
        check(h, "GEOSEARCH g FROMLONLAT 15 37 BYBOX 400 400 km DESC COUNT 1", "*1 $4 edge");
        check(h, "GEOSEARCH g FROMMEMBER edge BYRADIUS 1 m WITHDIST", "*1 *2 $4 edge $6 0.0000");
        check(
            h,
            "GEORADIUS g 15 37 200 km WITHCOORD WITHHASH WITHDIST COUNT 1",
            "*1 *4 $7 Catania $7 56.4413 :3479447370796909 *2 $20 15.08726745843887329 $20 37.50266842333162032",
        );
        check(h, "GEORADIUS_RO g 15 37 200 km ASC", "*2 $7 Catania $7 Palermo");
        check(h, "GEORADIUSBYMEMBER g Catania 100 mi", "*1 $7 Catania");
        check(h, "GEORADIUSBYMEMBER_RO g Catania 200 km COUNT 1 ANY ASC", "*1 $7 Palermo");
        check(h, "GEOSEARCH none FROMMEMBER x BYRADIUS 1 m", "*0");
        check(h, "GEORADIUSBYMEMBER none x y z", "*0");
        h.proto = Proto::Resp3;
        check(
            h,
            "GEOSEARCH g FROMMEMBER Catania BYRADIUS 1 m WITHCOORD WITHDIST",
            "*1 *3 $7 Catania $6 0.0000 *2 ,15.08726745843887329 ,37.50266842333162032",
        );
    }

    #[test]
    fn places_in_a_polygon_are_found() {
        let mut harness = sicily();
        let h = &mut harness;
        h.run("GEOADD g 17.241510 38.788135 edge2");
        let polygon = "BYPOLYGON 5 12.41098696654226 38.05033923003755 15.107936245794182 38.00616649901906 18.148439288534455 38.63804787603499 17.80831874257693 39.50316813110968 12.458468633214036 38.57719533463012";
        // As the page of Valkey shows.
        check(
            h,
            &format!("GEOSEARCH g {polygon} ASC WITHDIST"),
            "*2 *2 $7 Palermo $11 166482.0159 *2 $5 edge2 $11 180861.7725",
        );
        check(h, &format!("GEOSEARCH g {polygon} DESC COUNT 1"), "*1 $5 edge2");
        check(h, &format!("GEOSEARCHSTORE d g {polygon}"), ":2");
        check(h, &format!("GEOSEARCH none {polygon}"), "*0");
        check(
            h,
            "GEOSEARCH g BYPOLYGON 4 -179 -80 179 -80 179 80 -179 80 COUNT 9 ASC",
            "*4 $5 edge2 $4 edge $7 Palermo $7 Catania",
        );
        check(h, &format!("GEOSEARCH g {polygon} FROMLONLAT 1 1"), "-ERR syntax error");
        check(h, &format!("GEOSEARCH g {polygon} BYRADIUS 1 m"), "-ERR syntax error");
        check(h, &format!("GEOSEARCH g FROMMEMBER edge {polygon}"), "-ERR syntax error");
        check(h, "GEOSEARCH g BYPOLYGON 3 1 1 2 2 3", "-ERR syntax error");
        check(
            h,
            "GEOSEARCH g BYPOLYGON 2 1 1 2 2 ASC",
            "-ERR GEOSEARCH BYPOLYGON must have at least 3 vertices",
        );
        check(h, "GEOSEARCH g BYPOLYGON x 1 1 2 2 3 3", "-ERR value is not an integer or out of range");
        check(
            h,
            "GEOSEARCH g BYPOLYGON 3 1 1 2 2 190 1",
            "-ERR invalid longitude,latitude pair 190.000000,1.000000",
        );
    }

    #[test]
    fn what_is_found_is_stored() {
        let mut harness = sicily();
        let h = &mut harness;
        check(h, "GEOSEARCHSTORE d g FROMLONLAT 15 37 BYRADIUS 200 km", ":2");
        assert_eq!((h.events(), h.effects.dirty), (vec!["geosearchstore d".to_owned()], 2));
        check(h, "ZSCORE d Catania", "$16 3479447370796909");
        check(h, "GEOSEARCHSTORE d g FROMLONLAT 15 37 BYRADIUS 200 km COUNT 1 STOREDIST", ":1");
        check(h, "ZCOUNT d 56.4412 56.4413", ":1");
        check(h, "GEORADIUS g 15 37 200 km STORE x STOREDIST e", ":2");
        assert_eq!(h.events(), ["georadiusstore e"]);
        check(h, "ZCARD x", ":0");
        check(h, "GEORADIUSBYMEMBER none x 1 m STORE e", ":0");
        assert_eq!(h.events(), ["del e"]);
        check(h, "GEORADIUSBYMEMBER g Palermo 1 m STORE g", ":1");
    }

    #[test]
    fn contradictions_are_refused() {
        let mut harness = sicily();
        let h = &mut harness;
        let from = "FROMLONLAT 15 37";
        let by = "BYRADIUS 1 m";
        check(h, "GEOSEARCH g FROMMEMBER x BYRADIUS 1 m", "-ERR could not decode requested zset member");
        check(
            h,
            &format!("GeoSearch g {by} WITHDIST ASC"),
            "-ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for GeoSearch",
        );
        check(
            h,
            &format!("geosearch g {from} WITHDIST ASC"),
            "-ERR exactly one of BYRADIUS and BYBOX can be specified for geosearch",
        );
        check(h, &format!("GEOSEARCH g {from} FROMMEMBER edge {by}"), "-ERR syntax error");
        check(h, &format!("GEOSEARCH g {from} {by} BYBOX 1 1 m"), "-ERR syntax error");
        check(h, &format!("GEOSEARCH g {from} {by} STOREDIST"), "-ERR syntax error");
        check(h, &format!("GEOSEARCH g {from} {by} ANY"), "-ERR the ANY argument requires COUNT argument");
        check(h, &format!("GEOSEARCH g {from} {by} COUNT 0"), "-ERR COUNT must be > 0");
        check(h, &format!("GEOSEARCH g {from} BYRADIUS -1 m"), "-ERR radius cannot be negative");
        check(h, &format!("GEOSEARCH g {from} BYRADIUS x m"), "-ERR need numeric radius");
        check(h, &format!("GEOSEARCH g {from} BYBOX x 1 m"), "-ERR need numeric width");
        check(h, &format!("GEOSEARCH g {from} BYBOX 1 x m"), "-ERR need numeric height");
        check(h, &format!("GEOSEARCH g {from} BYBOX 1 -1 m"), "-ERR height or width cannot be negative");
        check(h, "GEORADIUS g 190 1 1 m", "-ERR invalid longitude,latitude pair 190.000000,1.000000");
        check(h, "GEORADIUS_RO g 1 1 1 m STORE d", "-ERR syntax error");
        check(
            h,
            "GEORADIUS g 1 1 1 m STORE d WITHDIST",
            "-ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD options",
        );
        check(
            h,
            &format!("GEOSEARCHSTORE d g {from} {by} WITHHASH"),
            "-ERR GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD options",
        );
        check(h, "SET s x", "+OK");
        check(
            h,
            "GEORADIUS s 190 1 1 m",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        );
    }
}
