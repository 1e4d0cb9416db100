//! Cells of a grid that is halved in both directions again and again. The bits of a cell tell on which side of each
//! halving it lies, longitude and latitude in turn.

use super::{LATITUDE_MAX, LONGITUDE_MAX, Point};

/// Most halvings: both coordinates fill the 52 bits that a double holds exactly.
pub(super) const STEP_MAX: u32 = 26;

/// Bits of longitudes; those of latitudes are between them.
const LONGITUDES: u64 = 0xaaaa_aaaa_aaaa_aaaa;
const LATITUDES: u64 = !LONGITUDES;

/// A cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) bits: u64,
    /// Number of halvings.
    pub(super) step: u32,
}

impl Cell {
    /// The cell of a place on a map that reaches up to `latitude_max`.
    pub(super) fn of(point: Point, step: u32, latitude_max: f64) -> Self {
        let part = |degrees: f64, max: f64| ((degrees + max) / (max + max) * (1_u64 << step) as f64) as u32;
        let latitude = part(point.latitude, latitude_max);
        let longitude = part(point.longitude, LONGITUDE_MAX);
        Cell { bits: spread(latitude) | spread(longitude) << 1, step }
    }

    /// West and east end, in degrees.
    pub(super) fn longitudes(self) -> (f64, f64) {
        self.ends(gather(self.bits >> 1), LONGITUDE_MAX)
    }

    /// South and north end, in degrees.
    pub(super) fn latitudes(self) -> (f64, f64) {
        self.ends(gather(self.bits), LATITUDE_MAX)
    }

    fn ends(self, index: u32, max: f64) -> (f64, f64) {
        let degrees = |index: u32| -max + f64::from(index) / (1_u64 << self.step) as f64 * (max + max);
        // Only scores that no place has can wrap around.
        (degrees(index), degrees(index.wrapping_add(1)))
    }

    /// Longitude and latitude of its middle.
    pub(super) fn middle(self) -> (f64, f64) {
        let (west, east) = self.longitudes();
        let (south, north) = self.latitudes();
        (f64::midpoint(west, east), f64::midpoint(south, north))
    }

    /// The cell so many steps (-1 to 1) to the east and to the north. Behind an edge of the map begins the other side.
    pub(super) fn neighbour(self, east: i8, north: i8) -> Self {
        let unused = 64 - self.step * 2;
        let longitude = moved(self.bits & LONGITUDES, LATITUDES >> unused, east) & LONGITUDES >> unused;
        let latitude = moved(self.bits & LATITUDES, LONGITUDES >> unused, north) & LATITUDES >> unused;
        let keep = |moves: i8, moved: u64, mask: u64| if moves == 0 { self.bits & mask } else { moved };
        let bits = keep(east, longitude, LONGITUDES) | keep(north, latitude, LATITUDES);
        Cell { bits, step: self.step }
    }

    /// The score of its first place, and that behind its last one.
    pub(super) fn scores(self) -> (f64, f64) {
        let score = |bits: u64| (bits << (2 * (STEP_MAX - self.step))) as f64;
        (score(self.bits), score(self.bits + 1))
    }
}

/// One more or less in every other bit. The `gaps` between them carry to the next one.
fn moved(bits: u64, gaps: u64, by: i8) -> u64 {
    match by {
        0 => bits,
        1.. => bits.wrapping_add(gaps + 1),
        _ => (bits | gaps).wrapping_sub(gaps + 1),
    }
}

/// The bits of a number at the even places of a longer one. From Sean Anderson's "Bit Twiddling Hacks".
fn spread(number: u32) -> u64 {
    let mut bits = u64::from(number);
    bits = (bits | bits << 16) & 0x0000_ffff_0000_ffff;
    bits = (bits | bits << 8) & 0x00ff_00ff_00ff_00ff;
    bits = (bits | bits << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    bits = (bits | bits << 2) & 0x3333_3333_3333_3333;
    (bits | bits << 1) & LATITUDES
}

/// The inverse of [`spread`].
fn gather(bits: u64) -> u32 {
    let mut bits = bits & LATITUDES;
    bits = (bits | bits >> 1) & 0x3333_3333_3333_3333;
    bits = (bits | bits >> 2) & 0x0f0f_0f0f_0f0f_0f0f;
    bits = (bits | bits >> 4) & 0x00ff_00ff_00ff_00ff;
    bits = (bits | bits >> 8) & 0x0000_ffff_0000_ffff;
    (bits | bits >> 16) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_spread_and_gathered() {
        for number in [0, 1, 2, 0x8000_0000, 0xffff_ffff, 0x1234_5678] {
            assert_eq!(gather(spread(number)), number);
            assert_eq!(gather(spread(number) | LONGITUDES), number);
        }
        assert_eq!(spread(0b1011), 0b100_0101);
    }

    #[test]
    fn neighbours_go_around_the_world() {
        let west = Cell::of(Point { longitude: -180.0, latitude: 0.0 }, 5, LATITUDE_MAX);
        let east = Cell::of(Point { longitude: 179.9, latitude: 0.0 }, 5, LATITUDE_MAX);
        assert_eq!(west.neighbour(-1, 0), east);
        assert_eq!(east.neighbour(1, 0), west);
        for (x, y) in [(0, 1), (1, 1), (-1, 1), (1, 0)] {
            assert_eq!(west.neighbour(x, y).neighbour(-x, -y), west);
        }
    }
}
