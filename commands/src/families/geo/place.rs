//! Where members are: `GEOPOS`, `GEOHASH`, `GEODIST`.

use super::{place_of, reply_distance, reply_point, unit_m};
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command};
use tidegate_data::types::zset::Zset;

pub(super) static GEOPOS: Command = command("GEOPOS", "key member [member ...]", geopos)
    .about(
        "3.2.0",
        "O(N) where N is the number of members requested.",
        "Returns longitude and latitude of members of a geo index.",
    )
    .arity(-2)
    .keys(KeySpec::first().ro().access())
    .flags(&[Flag::Readonly]);

fn geopos(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let zset = cx.keys.read_as::<Zset>(key)?;
    reply.array(args.remaining());
    for member in args.rest() {
        match place_of(zset, member) {
            Some(point) => reply_point(reply, point),
            None => reply.null_array(),
        }
    }
    Ok(Outcome::Same)
}

pub(super) static GEOHASH: Command = command("GEOHASH", "key member [member ...]", geohash)
    .about(
        "3.2.0",
        "O(log(N)) for each member requested, where N is the number of elements in the sorted set.",
        "Returns the places of members of a geo index as geohashes.",
    )
    .arity(-2)
    .keys(KeySpec::first().ro().access())
    .flags(&[Flag::Readonly]);

fn geohash(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let zset = cx.keys.read_as::<Zset>(key)?;
    reply.array(args.remaining());
    for member in args.rest() {
        match place_of(zset, member) {
            Some(point) => reply.bulk(&point.geohash()),
            None => reply.null(),
        }
    }
    Ok(Outcome::Same)
}

pub(super) static GEODIST: Command = command("GEODIST", "key member1 member2 [unit: M|KM|FT|MI]", geodist)
    .about("3.2.0", "O(log(N))", "Returns the distance between two members of a geo index.")
    .arity(-4)
    .keys(KeySpec::first().ro().access())
    .flags(&[Flag::Readonly]);

fn geodist(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let (from, to) = (args.next()?, args.next()?);
    let unit_m = match args.remaining() {
        0 => 1.0,
        1 => unit_m(args)?,
        _ => return Err(Error::Syntax),
    };
    let zset = cx.keys.read_as::<Zset>(key)?;
    match (place_of(zset, from), place_of(zset, to)) {
        (Some(from), Some(to)) => reply_distance(reply, from.distance_m(to) / unit_m),
        _ => reply.null(),
    }
    Ok(Outcome::Same)
}

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, check, check_lookups};

    const SICILY: &str = "GEOADD Sicily 13.361389 38.115556 Palermo 15.087269 37.502669 Catania";

    #[test]
    fn geopos() {
        check(
            &[SICILY, "GEOPOS Sicily Palermo none"],
            "*2 *2 $20 13.36138933897018433 $20 38.11555639549629859 *-1",
        );
        check(&["GEOPOS none a b"], "*2 *-1 *-1");
        check(&["GEOPOS none"], "*0");
        check(&["GEOADD g 0 0 a", "GEOPOS g a"], "*1 *2 $19 0.00000268220901489 $19 0.00000126736058093");
        let mut bench = Bench::resp3();
        bench.run(SICILY);
        let place = "*2 *2 ,13.36138933897018433 ,38.11555639549629859 _";
        assert_eq!(bench.run("GEOPOS Sicily Palermo none").text(), place);
        check(
            &["SET s x", "GEOPOS s a"],
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        );
    }

    #[test]
    fn geohash() {
        check(&[SICILY, "GEOHASH Sicily Palermo Catania none"], "*3 $11 sqc8b49rny0 $11 sqdtr74hyu0 $-1");
        check(&["GEOHASH none a"], "*1 $-1");
        check_lookups(&["GEOHASH none a"], 0, 1);
    }

    #[test]
    fn geodist() {
        check(&[SICILY, "GEODIST Sicily Palermo Catania"], "$11 166274.1516");
        check(&[SICILY, "GEODIST Sicily Palermo Catania km"], "$8 166.2742");
        check(&[SICILY, "GEODIST Sicily Palermo Catania MI"], "$8 103.3182");
        check(&[SICILY, "GEODIST Sicily Palermo Catania ft"], "$11 545518.8700");
        check(&[SICILY, "GEODIST Sicily Palermo Palermo"], "$6 0.0000");
        check(&[SICILY, "GEODIST Sicily Palermo none"], "$-1");
        check(&["GEODIST none a b"], "$-1");
        check(&["GEODIST none a b yd"], "-ERR unsupported unit provided. please use M, KM, FT, MI");
        check(&["GEODIST none a b m x"], "-ERR syntax error");
    }
}
