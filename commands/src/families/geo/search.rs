//! Members in an area: `GEOSEARCH`, `GEOSEARCHSTORE` and the older `GEORADIUS` and its relatives.

mod options;

use super::{limits, place_of, reply_distance, reply_point};
use crate::families::partial_sort::partial_sort;
use crate::model::{Args, Command, Ctx, Error, Flag, KeyPosition, KeySpec, Outcome, Reply, command};
use options::{Dialect, Options, Order};
use std::cmp::Ordering;
use tidegate_data::types::geo::{Area, Point};
use tidegate_data::types::string::INT_LEN_MAX;
use tidegate_data::types::zset::{Member, ScoreRange, Zset, ZsetRef};
use tidegate_data::{EventClass, Key};

const COMPLEXITY: &str = "O(N+log(M)) where N is the number of elements in the grid-aligned bounding box area around the shape provided as the filter and M is the number of items inside the shape";
const COMPLEXITY_OF_RADIUS: &str = "O(N+log(M)) where N is the number of elements inside the bounding box of the circular area delimited by center and radius and M is the number of items inside the index.";

pub(super) static GEOSEARCH: Command = command(
    "GEOSEARCH",
    "key <from: FROMMEMBER member|FROMLONLAT <longitude latitude>> \
     <by: <circle: BYRADIUS radius <unit: M|KM|FT|MI>>|<box: <BYBOX width> height <unit: M|KM|FT|MI>>> \
     [order: ASC|DESC] [count: COUNT count [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH]",
    |cx, args, reply| search(cx, args, reply, Dialect::Search),
)
.about("6.2.0", COMPLEXITY, "Returns the members of a geo index in a circle or a box.")
.arity(-7)
.keys(KeySpec::first().ro().access())
.flags(&[Flag::Readonly])
.history(&[("7.0.0", "Units in upper case.")]);

pub(super) static GEOSEARCHSTORE: Command = command(
    "GEOSEARCHSTORE",
    "destination source <from: FROMMEMBER member|FROMLONLAT <longitude latitude>> \
     <by: <circle: BYRADIUS radius <unit: M|KM|FT|MI>>|<box: <BYBOX width> height <unit: M|KM|FT|MI>>> \
     [order: ASC|DESC] [count: COUNT count [ANY]] [STOREDIST]",
    |cx, args, reply| search(cx, args, reply, Dialect::SearchStore),
)
.about("6.2.0", COMPLEXITY, "Stores the members of a geo index in a circle or a box in another key.")
.arity(-8)
.keys(KeySpec::first().ow().update())
.keys(KeySpec::at(2).ro().access())
.flags(&[Flag::Write, Flag::DenyOom])
.history(&[("7.0.0", "Units in upper case.")]);

pub(super) static GEORADIUS: Command = command(
    "GEORADIUS",
    "key longitude latitude radius unit: M|KM|FT|MI [WITHCOORD] [WITHDIST] [WITHHASH] \
     [count: COUNT count [ANY@6.2.0]] [order: ASC|DESC] [STORE key] [STOREDIST key]",
    |cx, args, reply| search(cx, args, reply, Dialect::Radius { stores: true }),
)
.about("3.2.0", COMPLEXITY_OF_RADIUS, "Returns or stores the members of a geo index around a place.")
.arity(-6)
.keys(KeySpec::first().ro().access())
.keys(KeySpec::after_keyword("STORE", 6).ow().update())
.keys(KeySpec::after_keyword("STOREDIST", 6).ow().update())
.key_finder_first(radius_keys)
.flags(&[Flag::Write, Flag::DenyOom])
.history(&[("6.2.0", "Option `ANY` of `COUNT`."), ("7.0.0", "Units in upper case.")])
.deprecated("6.2.0", "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` argument");

pub(super) static GEORADIUS_RO: Command = command(
    "GEORADIUS_RO",
    "key longitude latitude radius unit: M|KM|FT|MI [WITHCOORD] [WITHDIST] [WITHHASH] \
     [count: COUNT count [ANY@6.2.0]] [order: ASC|DESC]",
    |cx, args, reply| search(cx, args, reply, Dialect::Radius { stores: false }),
)
.about("3.2.10", COMPLEXITY_OF_RADIUS, "Returns the members of a geo index around a place.")
.arity(-6)
.keys(KeySpec::first().ro().access())
.flags(&[Flag::Readonly])
.history(&[("6.2.0", "Option `ANY` of `COUNT`.")])
.deprecated("6.2.0", "`GEOSEARCH` with the `BYRADIUS` argument");

pub(super) static GEORADIUSBYMEMBER: Command = command(
    "GEORADIUSBYMEMBER",
    "key member radius unit: M|KM|FT|MI [WITHCOORD] [WITHDIST] [WITHHASH] \
     [count: COUNT count [ANY]] [order: ASC|DESC] [STORE key] [STOREDIST key]",
    |cx, args, reply| search(cx, args, reply, Dialect::RadiusByMember { stores: true }),
)
.about("3.2.0", COMPLEXITY_OF_RADIUS, "Returns or stores the members of a geo index around one of them.")
.arity(-5)
.keys(KeySpec::first().ro().access())
.keys(KeySpec::after_keyword("STORE", 5).ow().update())
.keys(KeySpec::after_keyword("STOREDIST", 5).ow().update())
.key_finder_first(radius_keys)
.flags(&[Flag::Write, Flag::DenyOom])
.history(&[("7.0.0", "Units in upper case.")])
.deprecated("6.2.0", "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` and `FROMMEMBER` arguments");

pub(super) static GEORADIUSBYMEMBER_RO: Command = command(
    "GEORADIUSBYMEMBER_RO",
    "key member radius unit: M|KM|FT|MI [WITHCOORD] [WITHDIST] [WITHHASH] \
     [count: COUNT count [ANY]] [order: ASC|DESC]",
    |cx, args, reply| search(cx, args, reply, Dialect::RadiusByMember { stores: false }),
)
.about("3.2.10", COMPLEXITY_OF_RADIUS, "Returns the members of a geo index around one of them.")
.arity(-5)
.keys(KeySpec::first().ro().access())
.flags(&[Flag::Readonly])
.deprecated("6.2.0", "`GEOSEARCH` with the `BYRADIUS` and `FROMMEMBER` arguments");

/// Of several destinations the last one counts.
fn radius_keys(args: &[&[u8]], found: &mut dyn FnMut(KeyPosition)) {
    found(KeyPosition { arg: 1, flags: KeySpec::first().ro().access().flags });
    let mut destination = None;
    let mut at = 5;
    while at + 1 < args.len() {
        let stores = ["STORE", "STOREDIST"].iter().any(|word| args[at].eq_ignore_ascii_case(word.as_bytes()));
        if stores {
            destination = Some(at + 1);
        }
        at += 1 + usize::from(stores);
    }
    if let Some(arg) = destination {
        found(KeyPosition { arg, flags: KeySpec::first().ow().update().flags });
    }
}

/// A member in the area.
struct Found<'z> {
    member: Member<'z>,
    score: f64,
    point: Point,
    /// From the middle of the area, in its unit.
    distance: f64,
}

fn search(cx: &mut Ctx, args: &mut Args, reply: &mut Reply, dialect: Dialect) -> Result<Outcome, Error> {
    let (source, destination) = keys(args, dialect)?;
    let zset = cx.keys.read_as::<Zset>(source)?;
    let options = Options::parse(args, dialect, zset.is_some(), &|member| place_of(zset, member))?;
    let destination = destination.filter(|_| options.stores);
    let found = match (zset, options.area) {
        (Some(zset), Some(area)) => find(zset, &area, &options),
        _ => Vec::new(),
    };
    let Some(destination) = destination else {
        answer(reply, &found, &options);
        return Ok(Outcome::Same);
    };
    let event = if dialect == Dialect::SearchStore { "geosearchstore" } else { "georadiusstore" };
    reply.integer(found.len() as i64);
    let members = found
        .iter()
        .map(|found| (found.member.bytes(&mut [0; INT_LEN_MAX]).to_vec(), options.stored_score(found)));
    let members: Vec<(Vec<u8>, f64)> = members.collect();
    Ok(store(cx, destination, &members, event))
}

/// The index, and where to store what is found.
fn keys<'a>(args: &mut Args<'a>, dialect: Dialect) -> Result<(Key<'a>, Option<Key<'a>>), Error> {
    if dialect == Dialect::SearchStore {
        let destination = args.key()?;
        return Ok((args.key()?, Some(destination)));
    }
    let destination = args.keys().nth(1);
    Ok((args.key()?, destination))
}

/// The members in an area, sorted and cut off as wanted.
fn find<'z>(zset: ZsetRef<'z>, area: &Area, options: &Options) -> Vec<Found<'z>> {
    let count = options.count.unwrap_or(usize::MAX);
    // With ANY the first ones that are found will do.
    let enough = if options.any { count } else { usize::MAX };
    let mut found: Vec<Found<'z>> = Vec::new();
    'ranges: for (min, max) in area.score_ranges() {
        let range = ScoreRange { min, max, above_min: false, below_max: true };
        for (member, score) in zset.range(zset.places_of_scores(range), false) {
            if found.len() >= enough {
                break 'ranges;
            }
            let point = Point::of_score(score);
            if let Some(distance_m) = area.distance_m(point) {
                found.push(Found { member, score, point, distance: distance_m });
            }
        }
    }
    let wanted = found.len().min(count);
    let order = match options.order {
        // Without an order COUNT takes the nearest ones.
        Order::Unsaid if options.count.is_some() && !options.any => Order::Ascending,
        order => order,
    };
    let mut compare = |a: &Found, b: &Found| {
        let ascending = a.distance.partial_cmp(&b.distance).unwrap_or(Ordering::Equal);
        if order == Order::Descending { ascending.reverse() } else { ascending }
    };
    if order != Order::Unsaid {
        if wanted == found.len() {
            found.sort_by(compare);
        } else if wanted > 0 {
            partial_sort(&mut found, 0..wanted, &mut compare);
        }
    }
    found.truncate(wanted);
    for found in &mut found {
        found.distance /= area.unit_m;
    }
    found
}

fn answer(reply: &mut Reply, found: &[Found], options: &Options) {
    let details = [options.with_distance, options.with_hash, options.with_point];
    let details = details.iter().filter(|wanted| **wanted).count();
    reply.array(found.len());
    for found in found {
        if details > 0 {
            reply.array(1 + details);
        }
        reply.bulk(found.member.bytes(&mut [0; INT_LEN_MAX]));
        if options.with_distance {
            reply_distance(reply, found.distance);
        }
        if options.with_hash {
            // What C makes of a score that is no integer of 64 bits.
            let hash = if found.score < 2_f64.powi(63) { found.score as i64 } else { i64::MIN };
            reply.integer(hash);
        }
        if options.with_point {
            reply_point(reply, found.point);
        }
    }
}

/// Replaces a key by a sorted set of these members, or deletes it when there are none.
fn store(cx: &mut Ctx, key: Key, members: &[(Vec<u8>, f64)], event: &'static str) -> Outcome {
    if members.is_empty() {
        let removed = cx.keys.remove(key);
        if removed {
            cx.keys.event(EventClass::Generic, "del", key);
        }
        return Outcome::changed_if(removed);
    }
    let limits = limits(cx);
    let mut zset = Zset::default();
    for (member, score) in members {
        zset.put(member, *score, limits);
    }
    let before = cx.keys.log().changes;
    cx.keys.store(key, zset);
    cx.keys.log().recount(before, members.len() as u64);
    cx.keys.event(EventClass::Zset, event, key);
    Outcome::Changed
}

#[cfg(test)]
mod tests;
