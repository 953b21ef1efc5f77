//! Places as 52-bit numbers: the arithmetic behind the GEO commands, without keys or clients.
//!
//! A place is two 26-bit fractions, of the longitude between -180 and 180 and of the latitude between the limits of
//! the web's Mercator projection, interleaved with the longitude on top:
//!
//! ```text
//! bit  51  50  49  48  ...   1   0
//!     lon lat lon lat      lon lat
//! ```
//!
//! So places with a common prefix lie in one cell, and a cell is a range of scores of a sorted set. A search covers its
//! shape with the cell of its centre and the eight around it, and measures each place that these hold.
//!
//! All results are Redis's, to the last bit: the stored scores are compared across servers, and the order of the cells is
//! the order of an unsorted reply. This is why the arithmetic keeps the order of operations of the definition, a
//! coordinate at its upper limit sets a bit above the 52, and the cells are the coarse ones that Redis takes: S2 cells
//! or a cover of many small cells would measure fewer places, but answer in another order.

use smallvec::SmallVec;
use std::f64::consts::PI;
use std::ops::Range;

/// The largest longitude, in degrees; the smallest is its negative.
pub const LONGITUDE_MAX: f64 = 180.0;
/// The largest latitude, in degrees, that has a hash; the smallest is its negative.
pub const LATITUDE_MAX: f64 = 85.05112878;
/// The radius of the sphere that distances are measured on, in metres.
pub const EARTH_RADIUS_M: f64 = 6372797.560856;

/// The latitudes of the standard geohash text.
const TEXT_LATITUDE_MAX: f64 = 90.0;
/// Half the Earth's circumference in metres, as Redis has it: what a cell of the first step is wide.
const HALF_EQUATOR_M: f64 = 20037726.37;
/// Bits of each coordinate in a stored hash.
const STEPS_MAX: u32 = 26;
const RADIANS_PER_DEGREE: f64 = PI / 180.0;
const TEXT_ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";

/// A place, in degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// East of Greenwich.
    pub longitude: f64,
    /// North of the equator.
    pub latitude: f64,
}

/// What a search looks in. Lengths in metres, not negative.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Shape {
    /// Everything this near.
    Circle {
        /// The greatest distance.
        radius_m: f64,
    },
    /// Everything within half of these to the west and east, and to the north and south.
    Rectangle {
        /// From west to east.
        width_m: f64,
        /// From south to north.
        height_m: f64,
    },
}

/// A square of the grid with `2^steps` columns and rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cell {
    bits: u64,
    steps: u32,
}

/// South-west and north-east corners.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    min: Point,
    max: Point,
}

/// The score of a place; `None` if it is outside the limits or not a number.
pub fn encode(point: Point) -> Option<u64> {
    let is_valid = point.longitude.abs() <= LONGITUDE_MAX && point.latitude.abs() <= LATITUDE_MAX;
    is_valid.then(|| encode_within(point, LATITUDE_MAX, STEPS_MAX))
}

/// The centre of the place's cell, which is some 0.6 m wide at the equator. Any number decodes to a valid place.
pub fn decode(score: u64) -> Point {
    let bounds = Cell { bits: score, steps: STEPS_MAX }.bounds();
    let middle = |min: f64, max: f64, limit: f64| ((min + max) / 2.0).clamp(-limit, limit);
    Point {
        longitude: middle(bounds.min.longitude, bounds.max.longitude, LONGITUDE_MAX),
        latitude: middle(bounds.min.latitude, bounds.max.latitude, LATITUDE_MAX),
    }
}

/// The standard geohash (<https://en.wikipedia.org/wiki/Geohash>) of a stored place. The last of the eleven characters is
/// always `0`: there are bits for ten.
pub fn text(score: u64) -> [u8; 11] {
    let bits = encode_within(decode(score), TEXT_LATITUDE_MAX, STEPS_MAX);
    std::array::from_fn(|index| match index {
        10 => TEXT_ALPHABET[0],
        _ => TEXT_ALPHABET[(bits >> (47 - 5 * index)) as usize & 31],
    })
}

/// The distance in metres along the sphere, by the haversine formula.
pub fn distance_m(from: Point, to: Point) -> f64 {
    let radians = |degrees: f64| degrees * RADIANS_PER_DEGREE;
    let v = ((radians(to.longitude) - radians(from.longitude)) / 2.0).sin();
    if v == 0.0 {
        return latitude_distance_m(from.latitude, to.latitude);
    }
    let (from_latitude, to_latitude) = (radians(from.latitude), radians(to.latitude));
    let u = ((to_latitude - from_latitude) / 2.0).sin();
    let a = u * u + from_latitude.cos() * to_latitude.cos() * v * v;
    // Between antipodes rounding may lead above 1, where there is no arc sine.
    2.0 * EARTH_RADIUS_M * a.min(1.0).sqrt().asin()
}

fn latitude_distance_m(from: f64, to: f64) -> f64 {
    EARTH_RADIUS_M * (to * RADIANS_PER_DEGREE - from * RADIANS_PER_DEGREE).abs()
}

/// The middle of a polygon: where the mean of its vertices, as vectors from the middle of the earth, points to.
pub fn middle(vertices: &[Point]) -> Point {
    let mut sum = [0.0; 3];
    for vertex in vertices {
        let (longitude, latitude) =
            (vertex.longitude * RADIANS_PER_DEGREE, vertex.latitude * RADIANS_PER_DEGREE);
        let vector = [latitude.cos() * longitude.cos(), latitude.cos() * longitude.sin(), latitude.sin()];
        sum.iter_mut().zip(vector).for_each(|(sum, part)| *sum += part);
    }
    let [x, y, z] = sum;
    let degrees = |radians: f64| radians / RADIANS_PER_DEGREE;
    Point { longitude: degrees(y.atan2(x)), latitude: degrees(z.atan2(x.hypot(y))) }
}

/// The scores of all places.
pub const ALL_SCORES: Range<u64> = 0..1 << 52;

/// Whether a polygon reaches further to the east or the west of its middle than a quarter of the earth.
pub fn is_wide(vertices: &[Point], middle: Point) -> bool {
    vertices.iter().any(|vertex| (vertex.longitude - middle.longitude).abs() > 90.0)
}

/// Whether a place is in a polygon, whose edges are straight where longitude and latitude are: a line from it to the west
/// crosses an odd number of them.
pub fn is_within(vertices: &[Point], point: Point) -> bool {
    let Some(mut from) = vertices.last() else { return false };
    let mut is_within = false;
    for to in vertices {
        if (from.latitude > point.latitude) != (to.latitude > point.latitude) {
            let share = (point.latitude - from.latitude) / (to.latitude - from.latitude);
            let crossing = from.longitude + share * (to.longitude - from.longitude);
            is_within ^= crossing < point.longitude;
        }
        from = to;
    }
    is_within
}

impl Shape {
    /// A rectangle around a polygon, whose centre is the polygon's middle.
    pub fn around(vertices: &[Point], middle: Point) -> Self {
        let furthest = |distance: &dyn Fn(&Point) -> f64| vertices.iter().map(distance).fold(0.0, f64::max);
        let north_south = furthest(&|vertex| (vertex.latitude - middle.latitude).abs());
        let west_east = furthest(&|vertex| (vertex.longitude - middle.longitude).abs());
        // The longest of the parallels that meet it.
        let is_equator_met = vertices.iter().any(|vertex| vertex.latitude <= 0.0)
            && vertices.iter().any(|vertex| vertex.latitude >= 0.0);
        let nearest = vertices.iter().map(|vertex| vertex.latitude.abs()).fold(LATITUDE_MAX, f64::min);
        let latitude = if is_equator_met { 0.0 } else { nearest };
        let metres = |degrees: f64| EARTH_RADIUS_M * degrees * RADIANS_PER_DEGREE;
        let width_m = 2.0 * metres(west_east) * (latitude * RADIANS_PER_DEGREE).cos();
        Self::Rectangle { width_m, height_m: 2.0 * metres(north_south) }
    }

    /// The distance of a place from the centre, in metres, if the place is in the shape.
    pub fn distance_within_m(&self, centre: Point, point: Point) -> Option<f64> {
        match *self {
            Self::Circle { radius_m } => {
                Some(distance_m(centre, point)).filter(|distance| *distance <= radius_m)
            }
            Self::Rectangle { width_m, height_m } => {
                let north_south = latitude_distance_m(point.latitude, centre.latitude);
                if north_south > height_m / 2.0 {
                    return None;
                }
                // Along the place's own latitude.
                let west_east = distance_m(point, Point { latitude: point.latitude, ..centre });
                (west_east <= width_m / 2.0).then(|| distance_m(centre, point))
            }
        }
    }

    /// Ranges of scores that hold the places of the shape, and others; nine at most, disjoint, in the order in which Redis
    /// looks through them. Exactly those that Redis sees, so a few are not seen: places exactly on an upper limit, whose
    /// scores belong to no cell, and some near a pole or beyond the date line that a shape of many 100 km reaches.
    pub fn score_ranges(&self, centre: Point) -> SmallVec<[Range<u64>; 9]> {
        let bounds = self.bounds(centre);
        let steps = self.steps(centre.latitude);
        let mut cell = Cell::at(centre, steps);
        if steps > 1 && !cell.neighbours_reach(&bounds) {
            cell = Cell::at(centre, steps - 1);
        }
        let area = cell.bounds();
        // Directions in which the cell itself already reaches past the shape. With two columns, both neighbours are one cell.
        let is_fine = cell.steps >= 2;
        let is_useless = |(east, north): (i32, i32)| {
            is_fine
                && (north < 0 && area.min.latitude < bounds.min.latitude
                    || north > 0 && area.max.latitude > bounds.max.latitude
                    || east < 0 && area.min.longitude < bounds.min.longitude
                    || east > 0 && area.max.longitude > bounds.max.longitude)
        };
        let mut ranges = SmallVec::new();
        ranges.push(cell.scores());
        let mut previous = None;
        for direction in [(0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)] {
            let neighbour = cell.neighbour(direction);
            if !is_useless(direction) && previous != Some(neighbour) {
                ranges.push(neighbour.scores());
                previous = Some(neighbour);
            }
        }
        ranges
    }

    /// A box around the shape; beyond the limits of the globe where the shape is.
    fn bounds(&self, centre: Point) -> Bounds {
        let (width_m, height_m) = match *self {
            Self::Circle { radius_m } => (radius_m, radius_m),
            Self::Rectangle { width_m, height_m } => (width_m / 2.0, height_m / 2.0),
        };
        let degrees = |radians: f64| radians / RADIANS_PER_DEGREE;
        let north_south = degrees(height_m / EARTH_RADIUS_M);
        // The widest parallel in degrees is the one nearest to the pole.
        let polewards =
            if centre.latitude < 0.0 { centre.latitude - north_south } else { centre.latitude + north_south };
        let west_east = degrees(width_m / EARTH_RADIUS_M / (polewards * RADIANS_PER_DEGREE).cos());
        Bounds {
            min: Point { longitude: centre.longitude - west_east, latitude: centre.latitude - north_south },
            max: Point { longitude: centre.longitude + west_east, latitude: centre.latitude + north_south },
        }
    }

    /// How fine a grid may be for nine of its cells to cover the shape, as a first guess.
    fn steps(&self, latitude: f64) -> u32 {
        let mut radius_m = match *self {
            Self::Circle { radius_m } => radius_m,
            Self::Rectangle { width_m, height_m } => {
                (width_m / 2.0 * (width_m / 2.0) + height_m / 2.0 * (height_m / 2.0)).sqrt()
            }
        };
        if radius_m == 0.0 {
            return STEPS_MAX;
        }
        let mut steps: i32 = 1;
        while radius_m < HALF_EQUATOR_M && steps < 64 {
            radius_m *= 2.0;
            steps += 1;
        }
        // Cells get narrower towards the poles.
        steps -= 2 + i32::from(latitude.abs() > 66.0) + i32::from(latitude.abs() > 80.0);
        steps.clamp(1, STEPS_MAX as i32) as u32
    }
}

impl Cell {
    fn at(point: Point, steps: u32) -> Self {
        Self { bits: encode_within(point, LATITUDE_MAX, steps), steps }
    }

    fn bounds(self) -> Bounds {
        let (longitude, latitude) = deinterleave(self.bits);
        let edge = |index: u32, limit: f64| {
            -limit + f64::from(index) / (1u64 << self.steps) as f64 * (limit - -limit)
        };
        Bounds {
            min: Point { longitude: edge(longitude, LONGITUDE_MAX), latitude: edge(latitude, LATITUDE_MAX) },
            max: Point {
                longitude: edge(longitude.wrapping_add(1), LONGITUDE_MAX),
                latitude: edge(latitude.wrapping_add(1), LATITUDE_MAX),
            },
        }
    }

    /// The cell so many columns to the east and rows to the north; the grid is closed in both directions.
    fn neighbour(self, (east, north): (i32, i32)) -> Self {
        let (longitude, latitude) = deinterleave(self.bits);
        let moved = |index: u32, by: i32| match by {
            0 => index,
            _ => index.wrapping_add_signed(by) & ((1 << self.steps) - 1),
        };
        Self { bits: interleave(moved(longitude, east), moved(latitude, north)), ..self }
    }

    /// Whether the cells in the four main directions end outside the bounds.
    fn neighbours_reach(self, bounds: &Bounds) -> bool {
        self.neighbour((0, 1)).bounds().max.latitude >= bounds.max.latitude
            && self.neighbour((0, -1)).bounds().min.latitude <= bounds.min.latitude
            && self.neighbour((1, 0)).bounds().max.longitude >= bounds.max.longitude
            && self.neighbour((-1, 0)).bounds().min.longitude <= bounds.min.longitude
    }

    fn scores(self) -> Range<u64> {
        let shift = 2 * (STEPS_MAX - self.steps);
        self.bits << shift..(self.bits + 1) << shift
    }
}

fn encode_within(point: Point, latitude_max: f64, steps: u32) -> u64 {
    let index = |coordinate: f64, limit: f64| {
        ((coordinate - -limit) / (limit - -limit) * (1u64 << steps) as f64) as u32
    };
    interleave(index(point.longitude, LONGITUDE_MAX), index(point.latitude, latitude_max))
}

/// Bits of the latitude at even places, of the longitude at odd ones.
fn interleave(longitude: u32, latitude: u32) -> u64 {
    spread(latitude) | spread(longitude) << 1
}

/// Longitude and latitude.
fn deinterleave(bits: u64) -> (u32, u32) {
    (squash(bits >> 1), squash(bits))
}

const HALVES: [(u32, u64); 5] = [
    (1, 0x5555_5555_5555_5555),
    (2, 0x3333_3333_3333_3333),
    (4, 0x0f0f_0f0f_0f0f_0f0f),
    (8, 0x00ff_00ff_00ff_00ff),
    (16, 0x0000_ffff_0000_ffff),
];

/// Puts a zero above each bit, by moving ever smaller halves apart.
fn spread(bits: u32) -> u64 {
    HALVES.iter().rev().fold(u64::from(bits), |bits, (shift, mask)| (bits | bits << shift) & mask)
}

/// The bits at even places.
fn squash(bits: u64) -> u32 {
    let bits = bits & HALVES[0].1;
    let bits = HALVES.windows(2).fold(bits, |bits, pair| (bits | bits >> pair[0].0) & pair[1].1);
    (bits | bits >> 16) as u32
}

#[cfg(test)]
mod tests {
    //! Every expected value was given by redis-server 7.0.15, or is the order of its replies.

    use super::*;

    fn point(longitude: f64, latitude: f64) -> Point {
        Point { longitude, latitude }
    }

    const PALERMO: (f64, f64) = (13.361389, 38.115556);
    const CATANIA: (f64, f64) = (15.087269, 37.502669);

    #[test]
    fn encodes_decodes_and_spells_as_redis_does() {
        let written =
            |degrees: f64| format!("{degrees:.17}").trim_end_matches('0').trim_end_matches('.').to_owned();
        let check = |(longitude, latitude), score, decoded: [&str; 2], spelled: &str| {
            assert_eq!(encode(point(longitude, latitude)), Some(score));
            assert_eq!([decode(score).longitude, decode(score).latitude].map(written), decoded);
            assert_eq!(str::from_utf8(&text(score)), Ok(spelled));
        };
        check(PALERMO, 3479099956230698, ["13.36138933897018433", "38.11555639549629859"], "sqc8b49rny0");
        check(CATANIA, 3479447370796909, ["15.08726745843887329", "37.50266842333162032"], "sqdtr74hyu0");
        let san_francisco = (-122.41942, 37.77493);
        check(
            san_francisco,
            1367859919124776,
            ["-122.41941779851913452", "37.77493042721969374"],
            "9q8yyk8yuv0",
        );
        let sydney = (151.2093, -33.8688);
        check(sydney, 3252046221964352, ["151.20929986238479614", "-33.86880091934155956"], "r3gx2f77bj0");
        check((0.0, 0.0), 3377699720527872, ["0.00000268220901489", "0.00000126736058093"], "s0000000000");
        check((-180.0, -85.05112878), 0, ["-179.99999731779098511", "-85.05112751263942528"], "00bh0hbj200");
        // At the upper limits each coordinate has one bit too many.
        check((180.0, 85.05112878), 13510798882111488, ["180", "85.0511287799999991"], "bp05b5048p0");
    }

    #[test]
    fn refuses_what_is_outside() {
        for (longitude, latitude) in [
            (180.1, 0.0),
            (-180.1, 0.0),
            (0.0, 85.0512),
            (0.0, -85.0512),
            (f64::NAN, 0.0),
            (0.0, f64::NAN),
            (f64::INFINITY, 0.0),
        ] {
            assert_eq!(encode(point(longitude, latitude)), None);
        }
    }

    #[test]
    fn any_score_decodes_within_the_limits() {
        for score in [0, 1 << 52, u64::MAX, u64::MAX / 3, u64::MAX / 3 * 2] {
            let place = decode(score);
            assert!(encode(place).is_some(), "{place:?}");
            text(score);
        }
    }

    #[test]
    fn measures_as_redis_does() {
        let check = |from: (f64, f64), to: (f64, f64), expected| {
            let stored = |(longitude, latitude)| decode(encode(point(longitude, latitude)).unwrap());
            assert_eq!(format!("{:.4}", distance_m(stored(from), stored(to))), expected);
        };
        check(PALERMO, CATANIA, "166274.1516");
        check((-122.41942, 37.77493), (151.2093, -33.8688), "11951031.9052");
        check((180.0, 85.05112878), (-180.0, -85.05112878), "18919844.5891");
        check(PALERMO, (PALERMO.0, -PALERMO.1), "8478904.6206");
        check((13.4, 52.52), (13.41, 52.52), "676.7457");
        check((0.0, 0.0), (0.0, 0.0), "0.0000");
    }

    #[test]
    fn a_shape_holds_what_is_near_enough() {
        let check = |shape: Shape, place: (f64, f64), expected: Option<&str>| {
            let stored = decode(encode(point(place.0, place.1)).unwrap());
            let distance = shape.distance_within_m(point(15.0, 37.0), stored);
            assert_eq!(distance.map(|distance| format!("{:.4}", distance / 1000.0)).as_deref(), expected);
        };
        let circle = |radius_m| Shape::Circle { radius_m };
        let rectangle = |width_m, height_m| Shape::Rectangle { width_m, height_m };
        check(circle(200_000.0), PALERMO, Some("190.4424"));
        check(circle(190_000.0), PALERMO, None);
        check(circle(200_000.0), CATANIA, Some("56.4413"));
        check(rectangle(400_000.0, 400_000.0), PALERMO, Some("190.4424"));
        check(rectangle(280_000.0, 130_000.0), PALERMO, None);
        check(rectangle(280_000.0, 130_000.0), CATANIA, Some("56.4413"));
        check(rectangle(280_000.0, 110_000.0), CATANIA, None);
        check(rectangle(10_000.0, 130_000.0), CATANIA, None);
    }

    #[test]
    fn covers_a_shape_with_the_cells_that_redis_takes() {
        let check = |(longitude, latitude), shape: Shape, expected: &[Range<u64>]| {
            assert_eq!(shape.score_ranges(point(longitude, latitude)).as_slice(), expected, "{shape:?}");
        };
        check(
            (15.0, 37.0),
            Shape::Circle { radius_m: 200_000.0 },
            &[
                3475556255399936..3476655767027712,
                3478854790283264..3479954301911040,
                3477755278655488..3478854790283264,
                3481053813538816..3482153325166592,
            ],
        );
        check(
            (13.4, 52.5),
            Shape::Circle { radius_m: 500.0 },
            &[
                3673983790612480..3673983794806784,
                3673983803195392..3673983807389696,
                3673983786418176..3673983790612480,
                3673983882887168..3673983887081472,
                3673983895470080..3673983899664384,
                3673983878692864..3673983882887168,
            ],
        );
        // The finest cells: those around the point where four meet.
        check(
            (0.0, 0.0),
            Shape::Circle { radius_m: 0.0 },
            &[
                3377699720527872..3377699720527873,
                2627099782632789..2627099782632790,
                1876499844737706..1876499844737707,
                1125899906842623..1125899906842624,
            ],
        );
        check(
            (0.0, 84.0),
            Shape::Rectangle { width_m: 1e6, height_m: 1e5 },
            &[3659174697238528..3940649673949184, 1970324836974592..2251799813685248],
        );
        // A quarter of the globe each: north and south are one neighbour.
        check(
            (10.0, 10.0),
            Shape::Circle { radius_m: 1e7 },
            &[
                3377699720527872..4503599627370496,
                2251799813685248..3377699720527872,
                1125899906842624..2251799813685248,
                0..1125899906842624,
            ],
        );
    }

    #[test]
    fn covers_any_shape_with_few_disjoint_ranges() {
        for radius_m in [0.0, 1e-300, 1.0, 1e3, 1e6, 1e9, f64::MAX, f64::INFINITY, f64::NAN] {
            for (longitude, latitude) in
                [(0.0, 0.0), (180.0, 85.05112878), (-180.0, -85.05112878), (13.4, 66.5)]
            {
                for shape in
                    [Shape::Circle { radius_m }, Shape::Rectangle { width_m: radius_m, height_m: radius_m }]
                {
                    let mut ranges = shape.score_ranges(point(longitude, latitude)).into_vec();
                    ranges.sort_by_key(|range| range.start);
                    assert!(ranges.len() <= 9 && ranges.iter().all(|range| range.start < range.end));
                    assert!(
                        ranges.windows(2).all(|pair| pair[0].end <= pair[1].start),
                        "{shape:?} {ranges:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn interleaving_is_undone() {
        for (longitude, latitude) in [(0, 0), (u32::MAX, 0), (0, u32::MAX), (0xdead_beef, 0x1234_5678)] {
            assert_eq!(deinterleave(interleave(longitude, latitude)), (longitude, latitude));
        }
        assert_eq!(interleave(0b011, 0b101), 0b01_10_11);
    }
}
