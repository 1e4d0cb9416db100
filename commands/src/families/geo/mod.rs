//! Geo indexes: sorted sets whose scores are places.

mod add;
mod place;
mod search;

use crate::model::{Acl, Args, Ctx, Error, Family, Reply, family, parse_double};
use tidegate_data::types::geo::Point;
use tidegate_data::types::zset::{Limits, ZsetRef};

pub(super) static FAMILY: Family = family(
    "geo",
    Acl::GEO,
    &[
        &add::GEOADD,
        &place::GEODIST,
        &place::GEOHASH,
        &place::GEOPOS,
        &search::GEOSEARCH,
        &search::GEOSEARCHSTORE,
        &search::GEORADIUS,
        &search::GEORADIUS_RO,
        &search::GEORADIUSBYMEMBER,
        &search::GEORADIUSBYMEMBER_RO,
    ],
);

/// Reads a longitude and a latitude.
fn point(args: &mut Args) -> Result<Point, Error> {
    let (longitude, latitude) = (args.float()?, args.float()?);
    Point::new(longitude, latitude).ok_or_else(|| {
        Error::text(format!("ERR invalid longitude,latitude pair {longitude:.6},{latitude:.6}"))
    })
}

/// Reads a unit: its metres.
fn unit_m(args: &mut Args) -> Result<f64, Error> {
    const UNITS: [(&str, f64); 4] = [("m", 1.0), ("km", 1000.0), ("ft", 0.3048), ("mi", 1609.34)];
    let word = args.next()?;
    let named = UNITS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes()));
    named
        .map(|(_, metres)| *metres)
        .ok_or(Error::new("ERR unsupported unit provided. please use M, KM, FT, MI"))
}

/// Reads a length; `what` says what it is if it is no number.
fn length(args: &mut Args, what: &'static str) -> Result<f64, Error> {
    parse_double(args.next()?).ok_or(Error::new(what))
}

/// Where a member is.
fn place_of(zset: Option<ZsetRef>, member: &[u8]) -> Option<Point> {
    zset?.score(member).map(Point::of_score)
}

/// Answers a distance with four digits behind the point.
fn reply_distance(reply: &mut Reply, distance: f64) {
    let scaled = (distance * 10_000.0).round_ties_even();
    // What C makes of a number that is too large.
    let scaled = if scaled < 2_f64.powi(63) { scaled as i64 } else { i64::MIN };
    let sign = if scaled < 0 { "-" } else { "" };
    let digits = scaled.unsigned_abs();
    reply.bulk(format!("{sign}{}.{:04}", digits / 10_000, digits % 10_000).as_bytes());
}

/// Answers longitude and latitude.
fn reply_point(reply: &mut Reply, point: Point) {
    reply.array(2);
    for degrees in [point.longitude(), point.latitude()] {
        let text = format!("{degrees:.17}");
        let text = text.trim_end_matches('0').trim_end_matches('.');
        reply.double_digits(if text == "-0" { "0" } else { text });
    }
}

/// Up to what size a sorted set stays packed.
fn limits(cx: &Ctx) -> Limits {
    let encodings = &cx.env.limits().encodings;
    Limits { len: encodings.zset_max_listpack_entries, name_len: encodings.zset_max_listpack_value }
}
