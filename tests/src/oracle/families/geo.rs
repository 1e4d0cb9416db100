//! Geo indexes: places all over the map and close together, searches of every form, scores that are no places.

use super::{Family, Maker, choose};
use crate::oracle::generate::{Args, Generator};
use crate::oracle::step::{Op, Step};

/// Keys that mostly hold geo indexes.
pub(super) const KEYS: &[&[u8]] = &[b"geo:1", b"geo:2", b"{geo}3"];

pub(super) static FAMILY: Family = Family {
    name: "geo",
    weight: 14,
    commands: &[
        "geoadd",
        "geodist",
        "geohash",
        "geopos",
        "geosearch",
        "geosearchstore",
        "georadius",
        "georadius_ro",
        "georadiusbymember",
        "georadiusbymember_ro",
        "zadd",
    ],
    generate,
};

const TABLE: &[(u32, Maker)] = &[
    (10, geoadd),
    (3, |generator| members(generator, "GEOPOS")),
    (2, |generator| members(generator, "GEOHASH")),
    (4, geodist),
    (10, |generator| geosearch(generator, false)),
    (5, |generator| geosearch(generator, true)),
    (6, |generator| georadius(generator, "GEORADIUS")),
    (3, |generator| georadius(generator, "GEORADIUS_RO")),
    (5, |generator| georadius(generator, "GEORADIUSBYMEMBER")),
    (3, |generator| georadius(generator, "GEORADIUSBYMEMBER_RO")),
    (1, score),
    (1, |generator| vec![b"DEL".to_vec(), index(generator)]),
];

fn generate(generator: &mut Generator) -> Vec<Step> {
    let args = choose(generator, TABLE)(generator);
    let args = generator.spoil(args, true);
    vec![generator.step(Op::exact(args))]
}

fn index(generator: &mut Generator) -> Vec<u8> {
    if generator.one_in(12) { generator.key() } else { generator.random.pick(KEYS).to_vec() }
}

fn member(generator: &mut Generator) -> Vec<u8> {
    match generator.random.below(20) {
        0 => generator.value(),
        1 => generator.random.between(0, 9).to_string().into_bytes(),
        _ => format!("m{}", generator.random.between(0, 60)).into_bytes(),
    }
}

/// Degrees with a few digits, often around one of a few towns, so that members lie close together, some in one place.
fn degrees(generator: &mut Generator, max: i64) -> Vec<u8> {
    if generator.one_in(60) {
        let odd = [
            "180",
            "-180",
            "85.05112878",
            "-85.05112878",
            "85.06",
            "181",
            "-0",
            "nan",
            "inf",
            "x",
            "1e1",
            "",
        ];
        return generator.random.pick(&odd).as_bytes().to_vec();
    }
    let whole = match generator.random.below(3) {
        0 => generator.random.between(-max, max),
        1 => *generator.random.pick(&[0, 13, 15, 37]),
        _ => *generator.random.pick(&[-1, 0, max - 1, 1 - max]),
    };
    let digits = *generator.random.pick(&[0, 1, 3, 6]);
    let fraction = generator.random.below(10_usize.pow(digits));
    format!("{whole}.{fraction:0width$}", width = digits as usize).into_bytes()
}

fn place(generator: &mut Generator) -> Args {
    vec![degrees(generator, 180), degrees(generator, 85)]
}

fn geoadd(generator: &mut Generator) -> Args {
    let mut args = generator.fill("GEOADD");
    args.push(index(generator));
    for option in ["NX", "XX", "CH"] {
        if generator.one_in(7) {
            args.push(generator.word(option));
        }
    }
    for _ in 0..=generator.random.below(5) {
        args.extend(place(generator));
        args.push(member(generator));
    }
    args
}

/// A score that no place has.
fn score(generator: &mut Generator) -> Args {
    let score = *generator.random.pick(&[
        "-1",
        "inf",
        "-inf",
        "1e30",
        "4503599627370496",
        "18446744073709551615",
        "0.5",
    ]);
    vec![b"ZADD".to_vec(), index(generator), score.as_bytes().to_vec(), member(generator)]
}

fn members(generator: &mut Generator, name: &str) -> Args {
    let mut args = generator.fill(name);
    args.push(index(generator));
    for _ in 0..generator.random.below(5) {
        args.push(member(generator));
    }
    args
}

fn geodist(generator: &mut Generator) -> Args {
    let mut args = generator.fill("GEODIST");
    args.push(index(generator));
    args.push(member(generator));
    args.push(member(generator));
    if generator.one_in(2) {
        args.push(unit(generator));
    }
    args
}

fn unit(generator: &mut Generator) -> Vec<u8> {
    generator.word_of(&["m", "km", "ft", "mi", "km", "km", "mi", "m", "ft", "km", "yd"])
}

fn size(generator: &mut Generator) -> Vec<u8> {
    let odd = ["0", "-1", "x", "1e-300", "1e300", "inf", "nan", ""];
    if generator.one_in(30) {
        return generator.random.pick(&odd).as_bytes().to_vec();
    }
    let most = *generator.random.pick(&[5, 100, 1000, 5000, 30_000]);
    format!("{}.{}", generator.random.between(0, most), generator.random.below(100)).into_bytes()
}

/// Options in any order.
fn details(generator: &mut Generator, args: &mut Args, with: bool) {
    let mut options: Vec<Args> = Vec::new();
    for option in ["WITHCOORD", "WITHDIST", "WITHHASH"] {
        if generator.one_in(if with { 3 } else { 40 }) {
            options.push(generator.fill(option));
        }
    }
    if generator.one_in(2) {
        options.push(vec![generator.word_of(&["ASC", "DESC"])]);
    }
    if generator.one_in(3) {
        let mut count = generator.fill("COUNT");
        count.push(
            generator.random.pick(&["1", "2", "3", "5", "10", "50", "0", "-1", "x"]).as_bytes().to_vec(),
        );
        if generator.one_in(3) {
            count.extend(generator.fill("ANY"));
        }
        options.push(count);
    } else if generator.one_in(30) {
        options.push(generator.fill("ANY"));
    }
    while !options.is_empty() {
        let next = generator.random.below(options.len());
        args.extend(options.swap_remove(next));
    }
}

fn geosearch(generator: &mut Generator, stores: bool) -> Args {
    let mut args = generator.fill(if stores { "GEOSEARCHSTORE" } else { "GEOSEARCH" });
    if stores {
        args.push(index(generator));
    }
    args.push(index(generator));
    if generator.one_in(2) {
        args.extend(generator.fill("FROMMEMBER"));
        args.push(member(generator));
    } else {
        args.extend(generator.fill("FROMLONLAT"));
        args.extend(place(generator));
    }
    if generator.one_in(2) {
        args.extend(generator.fill("BYRADIUS"));
    } else {
        args.extend(generator.fill("BYBOX"));
        args.push(size(generator));
    }
    args.push(size(generator));
    args.push(unit(generator));
    details(generator, &mut args, !stores);
    if stores && generator.one_in(3) {
        args.extend(generator.fill("STOREDIST"));
    }
    args
}

fn georadius(generator: &mut Generator, name: &str) -> Args {
    let mut args = generator.fill(name);
    args.push(index(generator));
    if name.contains("BYMEMBER") {
        args.push(member(generator));
    } else {
        args.extend(place(generator));
    }
    args.push(size(generator));
    args.push(unit(generator));
    let stores = if name.ends_with("_RO") { generator.one_in(30) } else { generator.one_in(3) };
    details(generator, &mut args, !stores);
    if stores {
        for _ in 0..*generator.random.pick(&[1, 1, 1, 2]) {
            args.push(generator.word_of(&["STORE", "STOREDIST"]));
            args.push(index(generator));
        }
    }
    args
}
