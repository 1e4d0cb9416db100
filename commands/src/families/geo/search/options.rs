//! The options of a search, read in Redis' order: the first mistake it finds is the one to be told.

use super::super::{length, point, unit_m};
use super::Found;
use crate::model::{Args, Error};
use tidegate_data::types::geo::{Area, Point, Shape};

/// Which command it is: they differ in how the area is given and in what may be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// `GEORADIUS` and `GEORADIUS_RO`.
    Radius { stores: bool },
    /// `GEORADIUSBYMEMBER` and `GEORADIUSBYMEMBER_RO`.
    RadiusByMember { stores: bool },
    /// `GEOSEARCH`
    Search,
    /// `GEOSEARCHSTORE`
    SearchStore,
}

impl Dialect {
    fn is_search(self) -> bool {
        matches!(self, Dialect::Search | Dialect::SearchStore)
    }

    /// It may name a destination among its options.
    fn takes_destination(self) -> bool {
        matches!(self, Dialect::Radius { stores: true } | Dialect::RadiusByMember { stores: true })
    }
}

/// How the members are sorted, by distance.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Order {
    #[default]
    Unsaid,
    Ascending,
    Descending,
}

#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub(super) struct Options {
    /// Where to search; unknown where the index does not exist and the area is around a member.
    pub(super) area: Option<Area>,
    pub(super) with_distance: bool,
    pub(super) with_hash: bool,
    pub(super) with_point: bool,
    pub(super) order: Order,
    pub(super) count: Option<usize>,
    pub(super) any: bool,
    /// The result goes to a key.
    pub(super) stores: bool,
    /// ... with distances as scores.
    stores_distance: bool,
}

/// Finds the place of a member.
type Places<'p> = &'p dyn Fn(&[u8]) -> Option<Point>;

/// What was read of a shape and its unit.
type Sized = (Shape, f64);

impl Options {
    /// Reads everything behind the keys. `exists` tells whether there is an index at all: without one no member has a
    /// place, but only the other mistakes count.
    pub(super) fn parse(
        args: &mut Args,
        dialect: Dialect,
        exists: bool,
        place_of: Places,
    ) -> Result<Self, Error> {
        let mut options = Options { stores: dialect == Dialect::SearchStore, ..Options::default() };
        let (mut center, mut shape) = (None, None);
        match dialect {
            Dialect::Radius { .. } => {
                center = Some(point(args)?);
                shape = Some(circle(args)?);
            }
            Dialect::RadiusByMember { .. } if exists => {
                center = Some(decoded(place_of(args.next()?))?);
                shape = Some(circle(args)?);
            }
            Dialect::RadiusByMember { .. } => args.skip(3),
            Dialect::Search | Dialect::SearchStore => {}
        }
        let mut from = From::default();
        while !args.is_done() {
            if options.take_common(args, dialect)? {
                continue;
            }
            if !dialect.is_search() || !from.take(args, exists, place_of)? {
                return Err(Error::Syntax);
            }
        }
        if dialect.is_search() {
            (center, shape) = (from.center, from.shape);
        }
        options.check(args, dialect, &from)?;
        options.area = center.zip(shape).map(|(center, (shape, unit_m))| Area { center, shape, unit_m });
        Ok(options)
    }

    /// Reads an option that searches of more than one kind have; false if the next argument is none.
    fn take_common(&mut self, args: &mut Args, dialect: Dialect) -> Result<bool, Error> {
        let has_value = args.remaining() > 1;
        if args.take_word("WITHDIST") {
            self.with_distance = true;
        } else if args.take_word("WITHHASH") {
            self.with_hash = true;
        } else if args.take_word("WITHCOORD") {
            self.with_point = true;
        } else if args.take_word("ANY") {
            self.any = true;
        } else if args.take_word("ASC") {
            self.order = Order::Ascending;
        } else if args.take_word("DESC") {
            self.order = Order::Descending;
        } else if has_value && args.take_word("COUNT") {
            let count = args.integer()?;
            if count <= 0 {
                return Err(Error::new("ERR COUNT must be > 0"));
            }
            self.count = Some(usize::try_from(count).unwrap_or(usize::MAX));
        } else if has_value && dialect.takes_destination() && args.take_word("STORE") {
            // The key itself was found before.
            args.skip(1);
            (self.stores, self.stores_distance) = (true, false);
        } else if has_value && dialect.takes_destination() && args.take_word("STOREDIST") {
            args.skip(1);
            (self.stores, self.stores_distance) = (true, true);
        } else if dialect == Dialect::SearchStore && args.take_word("STOREDIST") {
            self.stores_distance = true;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn check(&self, args: &Args, dialect: Dialect, from: &From) -> Result<(), Error> {
        if self.stores && (self.with_distance || self.with_hash || self.with_point) {
            return Err(Error::new(if dialect == Dialect::SearchStore {
                "ERR GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
            } else {
                "ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
            }));
        }
        let missing = |what: &str| {
            let mut text = format!("ERR exactly one of {what} can be specified for ").into_bytes();
            text.extend_from_slice(args.get(0));
            Err(Error::text(text))
        };
        if dialect.is_search() && !(from.is_member || from.is_place) {
            return missing("FROMMEMBER or FROMLONLAT");
        }
        if dialect.is_search() && from.shape.is_none() {
            return missing("BYRADIUS and BYBOX");
        }
        if self.any && self.count.is_none() {
            return Err(Error::new("ERR the ANY argument requires COUNT argument"));
        }
        Ok(())
    }

    /// The score that a stored member gets.
    pub(super) fn stored_score(&self, found: &Found) -> f64 {
        if self.stores_distance { found.distance } else { found.score }
    }
}

/// The area of a `GEOSEARCH`. An option may be repeated, but not contradict another.
#[derive(Debug, Default)]
struct From {
    is_member: bool,
    is_place: bool,
    center: Option<Point>,
    shape: Option<Sized>,
}

impl From {
    /// Reads one of the options; false if the next argument is none, or contradicts.
    fn take(&mut self, args: &mut Args, exists: bool, place_of: Places) -> Result<bool, Error> {
        let given = args.remaining() - 1;
        let is_box = matches!(self.shape, Some((Shape::Box { .. }, _)));
        let is_circle = self.shape.is_some() && !is_box;
        if given >= 1 && !self.is_place && args.take_word("FROMMEMBER") {
            let member = args.next()?;
            if exists {
                self.center = Some(decoded(place_of(member))?);
            }
            self.is_member = true;
        } else if given >= 2 && !self.is_member && args.take_word("FROMLONLAT") {
            self.center = Some(point(args)?);
            self.is_place = true;
        } else if given >= 2 && !is_box && args.take_word("BYRADIUS") {
            self.shape = Some(circle(args)?);
        } else if given >= 3 && !is_circle && args.take_word("BYBOX") {
            self.shape = Some(rectangle(args)?);
        } else {
            return Ok(false);
        }
        Ok(true)
    }
}

fn decoded(place: Option<Point>) -> Result<Point, Error> {
    place.ok_or(Error::new("ERR could not decode requested zset member"))
}

fn circle(args: &mut Args) -> Result<Sized, Error> {
    let radius = length(args, "ERR need numeric radius")?;
    if radius < 0.0 {
        return Err(Error::new("ERR radius cannot be negative"));
    }
    Ok((Shape::Circle { radius }, unit_m(args)?))
}

fn rectangle(args: &mut Args) -> Result<Sized, Error> {
    let width = length(args, "ERR need numeric width")?;
    let height = length(args, "ERR need numeric height")?;
    if width < 0.0 || height < 0.0 {
        return Err(Error::new("ERR height or width cannot be negative"));
    }
    Ok((Shape::Box { width, height }, unit_m(args)?))
}
