//! Places on earth as scores of a sorted set: geohashes of 52 bits, distances, and the ranges of scores in which the
//! places of an area lie.
//!
//! Every formula, constant and order of operations is that of Redis, so that scores migrate and answers are the same to
//! the last digit. Longitudes are taken first, as in all commands.

mod cell;

use cell::Cell;
use std::f64::consts::PI;

/// Longitudes, in degrees.
pub const LONGITUDE_MAX: f64 = 180.0;
/// Latitudes, in degrees: what lies nearer to the poles has no place on a square map (EPSG:900913).
pub const LATITUDE_MAX: f64 = 85.051_128_78;

/// Mean radius of the earth in metres (WGS-84).
const EARTH_RADIUS_M: f64 = 6_372_797.560_856;
/// Half of the width of the map at the equator, in metres.
const MAP_HALF_M: f64 = 20_037_726.37;
const RADIANS_PER_DEGREE: f64 = PI / 180.0;
/// Characters of a geohash that other programs understand.
const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";

/// A place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    longitude: f64,
    latitude: f64,
}

impl Point {
    /// A place on the map; `None` outside of it.
    pub fn new(longitude: f64, latitude: f64) -> Option<Self> {
        let fits = |degrees: f64, max: f64| (-max..=max).contains(&degrees);
        (fits(longitude, LONGITUDE_MAX) && fits(latitude, LATITUDE_MAX))
            .then_some(Point { longitude, latitude })
    }

    /// The middle of the cell that a score stands for. Any number does: only its 52 lowest bits make sense.
    pub fn of_score(score: f64) -> Self {
        let cell = Cell { bits: integer_of(score), step: cell::STEP_MAX };
        let (longitude, latitude) = cell.middle();
        Point {
            longitude: longitude.clamp(-LONGITUDE_MAX, LONGITUDE_MAX),
            latitude: latitude.clamp(-LATITUDE_MAX, LATITUDE_MAX),
        }
    }

    /// Degrees east.
    pub fn longitude(self) -> f64 {
        self.longitude
    }

    /// Degrees north.
    pub fn latitude(self) -> f64 {
        self.latitude
    }

    /// The score of a member at this place: an integer of 52 bits, one more at the eastern end of the map.
    pub fn score(self) -> u64 {
        Cell::of(self, cell::STEP_MAX, LATITUDE_MAX).bits
    }

    /// The geohash as the rest of the world writes it, which counts latitudes up to the poles. The last of its 11
    /// characters would need more bits than there are and is always `0`.
    pub fn geohash(self) -> [u8; 11] {
        let bits = Cell::of(self, cell::STEP_MAX, 90.0).bits;
        let mut text = [b'0'; 11];
        for (index, character) in text[..10].iter_mut().enumerate() {
            *character = ALPHABET[(bits >> (47 - 5 * index)) as usize & 0x1f];
        }
        text
    }

    /// Metres between two places on a sphere, by the haversine formula.
    pub fn distance_m(self, other: Point) -> f64 {
        let v = ((radians(other.longitude) - radians(self.longitude)) / 2.0).sin();
        if v == 0.0 {
            return latitude_distance_m(self.latitude, other.latitude);
        }
        let (from, to) = (radians(self.latitude), radians(other.latitude));
        let u = ((to - from) / 2.0).sin();
        let a = u * u + from.cos() * to.cos() * v * v;
        // Rounding can lead above 1 on the other side of the world.
        2.0 * EARTH_RADIUS_M * a.sqrt().min(1.0).asin()
    }
}

/// A score as the 64 bits it stands for, as C converts it on x86-64: integers without a sign, negative ones in two's
/// complement, and something for the rest.
fn integer_of(score: f64) -> u64 {
    let half = 2_f64.powi(63);
    if score < half {
        return (score as i64).cast_unsigned();
    }
    let rest = score - half;
    let rest = if rest < half { rest as i64 } else { i64::MIN };
    rest.cast_unsigned() ^ 1 << 63
}

fn radians(degrees: f64) -> f64 {
    degrees * RADIANS_PER_DEGREE
}

fn degrees(radians: f64) -> f64 {
    radians / RADIANS_PER_DEGREE
}

fn latitude_distance_m(a: f64, b: f64) -> f64 {
    EARTH_RADIUS_M * (radians(b) - radians(a)).abs()
}

/// The form of an area, in any unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    /// All places within a radius.
    Circle {
        /// The radius.
        radius: f64,
    },
    /// A box along the axes.
    Box {
        /// From west to east.
        width: f64,
        /// From south to north.
        height: f64,
    },
}

/// An area around a place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Area {
    /// Its middle.
    pub center: Point,
    /// Its form.
    pub shape: Shape,
    /// Metres of the unit of its form.
    pub unit_m: f64,
}

impl Area {
    /// Metres from the middle of the area to a place in it; `None` for a place outside.
    pub fn distance_m(&self, point: Point) -> Option<f64> {
        let center = self.center;
        match self.shape {
            Shape::Circle { radius } => {
                let distance = center.distance_m(point);
                (distance <= radius * self.unit_m).then_some(distance)
            }
            Shape::Box { width, height } => {
                // The cheaper one first.
                let outside =
                    latitude_distance_m(point.latitude, center.latitude) > height * self.unit_m / 2.0 || {
                        let same_latitude = Point { latitude: point.latitude, ..center };
                        point.distance_m(same_latitude) > width * self.unit_m / 2.0
                    };
                (!outside).then(|| center.distance_m(point))
            }
        }
    }

    /// Ranges of scores, from the first to before the second, that hold all places of the area and others: up to nine
    /// cells of a grid as fine as possible, the middle one first.
    pub fn score_ranges(&self) -> impl Iterator<Item = (f64, f64)> {
        let bounds = Bounds::of(self);
        let mut step = self.grid_step();
        let mut cells = Neighbourhood::of(self.center, step);
        if step > 1 && !cells.reaches(&bounds) {
            step -= 1;
            cells = Neighbourhood::of(self.center, step);
        }
        // Of a coarse grid every cell is its own neighbour's neighbour.
        if step >= 2 {
            cells.drop_useless(&bounds);
        }
        cells.into_distinct().map(Cell::scores)
    }

    /// How often the map is halved so that a cell is as large as the area.
    fn grid_step(&self) -> u32 {
        let reach = match self.shape {
            Shape::Circle { radius } => radius,
            // To a corner.
            Shape::Box { width, height } => {
                ((width / 2.0) * (width / 2.0) + (height / 2.0) * (height / 2.0)).sqrt()
            }
        };
        let mut range_m = reach * self.unit_m;
        if range_m == 0.0 {
            return cell::STEP_MAX;
        }
        let mut step: i32 = -1;
        while range_m < MAP_HALF_M {
            range_m *= 2.0;
            step += 1;
        }
        // Cells become narrower towards the poles.
        step -= match self.center.latitude.abs() {
            latitude if latitude > 80.0 => 2,
            latitude if latitude > 66.0 => 1,
            _ => 0,
        };
        step.clamp(1, cell::STEP_MAX as i32) as u32
    }
}

/// The box of degrees around an area.
struct Bounds {
    west: f64,
    south: f64,
    east: f64,
    north: f64,
}

impl Bounds {
    fn of(area: &Area) -> Self {
        let Point { longitude, latitude } = area.center;
        let (half_width, half_height) = match area.shape {
            Shape::Circle { radius } => (radius, radius),
            Shape::Box { width, height } => (width / 2.0, height / 2.0),
        };
        let (half_width, half_height) = (half_width * area.unit_m, half_height * area.unit_m);
        let up = degrees(half_height / EARTH_RADIUS_M);
        let aside = |latitude: f64| degrees(half_width / EARTH_RADIUS_M / radians(latitude).cos());
        // The side that is nearer to a pole has more degrees.
        let aside = if latitude < 0.0 { aside(latitude - up) } else { aside(latitude + up) };
        Bounds {
            west: longitude - aside,
            south: latitude - up,
            east: longitude + aside,
            north: latitude + up,
        }
    }
}

/// A cell and the eight around it, in the order in which they are searched.
struct Neighbourhood {
    cells: [Option<Cell>; 9],
}

/// Where the neighbours are: steps to the east and to the north.
const AROUND: [(i8, i8); 9] = [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)];

impl Neighbourhood {
    fn of(point: Point, step: u32) -> Self {
        let middle = Cell::of(point, step, LATITUDE_MAX);
        Neighbourhood { cells: AROUND.map(|(east, north)| Some(middle.neighbour(east, north))) }
    }

    /// The neighbour in a direction; all are there until some are dropped.
    fn at(&self, direction: (i8, i8)) -> Option<Cell> {
        AROUND.iter().zip(&self.cells).find(|(at, _)| **at == direction).and_then(|(_, cell)| *cell)
    }

    /// True when the outer edges lie behind the bounds.
    fn reaches(&self, bounds: &Bounds) -> bool {
        let edge = |direction, is_short: &dyn Fn(Cell) -> bool| self.at(direction).is_some_and(is_short);
        let falls_short = edge((0, 1), &|cell| cell.latitudes().1 < bounds.north)
            || edge((0, -1), &|cell| cell.latitudes().0 > bounds.south)
            || edge((1, 0), &|cell| cell.longitudes().1 < bounds.east)
            || edge((-1, 0), &|cell| cell.longitudes().0 > bounds.west);
        !falls_short
    }

    /// Drops neighbours on the sides where the middle cell itself reaches behind the bounds.
    fn drop_useless(&mut self, bounds: &Bounds) {
        let Some(middle) = self.at((0, 0)) else { return };
        let (south, north) = middle.latitudes();
        let (west, east) = middle.longitudes();
        for (at, cell) in AROUND.iter().zip(&mut self.cells) {
            let useless = (at.1 < 0 && south < bounds.south)
                || (at.1 > 0 && north > bounds.north)
                || (at.0 < 0 && west < bounds.west)
                || (at.0 > 0 && east > bounds.east);
            if useless {
                *cell = None;
            }
        }
    }

    /// The cells, each once: on a coarse grid neighbours to both sides are the same.
    fn into_distinct(self) -> impl Iterator<Item = Cell> {
        let mut last = None;
        self.cells.into_iter().enumerate().filter_map(move |(index, cell)| {
            let cell = cell.filter(|cell| last != Some(*cell))?;
            // Redis does not compare with the middle one.
            if index > 0 {
                last = Some(cell);
            }
            Some(cell)
        })
    }
}

#[cfg(test)]
mod tests;
