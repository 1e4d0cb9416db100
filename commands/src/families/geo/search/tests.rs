use crate::model::check::{Bench, check, check_changes, check_effects, check_events, check_lookups};

const SICILY: &str = "GEOADD Sicily 13.361389 38.115556 Palermo 15.087269 37.502669 Catania";
const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

#[test]
fn a_circle() {
    check(&[SICILY, "GEOSEARCH Sicily FROMLONLAT 15 37 BYRADIUS 200 km ASC"], "*2 $7 Catania $7 Palermo");
    check(&[SICILY, "GEOSEARCH Sicily FROMLONLAT 15 37 BYRADIUS 200 km DESC"], "*2 $7 Palermo $7 Catania");
    check(&[SICILY, "GEOSEARCH Sicily FROMLONLAT 15 37 BYRADIUS 100 km"], "*1 $7 Catania");
    check(&[SICILY, "GEOSEARCH Sicily FROMMEMBER Palermo BYRADIUS 1 m"], "*1 $7 Palermo");
    check(&[SICILY, "GEOSEARCH Sicily FROMLONLAT 0 0 BYRADIUS 1 m"], "*0");
    check(
        &[
            SICILY,
            "GEOSEARCH Sicily FROMLONLAT 15 37 BYRADIUS 200 km ASC WITHCOORD WITHDIST WITHHASH COUNT 1",
        ],
        "*1 *4 $7 Catania $7 56.4413 :3479447370796909 *2 $20 15.08726745843887329 $20 37.50266842333162032",
    );
    check(&[SICILY, "GEORADIUS Sicily 15 37 200 km DESC"], "*2 $7 Palermo $7 Catania");
    check(&[SICILY, "GEORADIUS_RO Sicily 15 37 200 KM WITHDIST COUNT 1"], "*1 *2 $7 Catania $7 56.4413");
    check(&[SICILY, "GEORADIUSBYMEMBER Sicily Catania 200 km ASC"], "*2 $7 Catania $7 Palermo");
    check(&[SICILY, "GEORADIUSBYMEMBER_RO Sicily Catania 100 mi"], "*1 $7 Catania");
}

#[test]
fn a_box() {
    check(&[SICILY, "GEOSEARCH Sicily FROMLONLAT 15 37 BYBOX 400 400 km ASC"], "*2 $7 Catania $7 Palermo");
    check(&[SICILY, "GEOSEARCH Sicily FROMLONLAT 15 37 BYBOX 200 400 km"], "*1 $7 Catania");
    check(&[SICILY, "GEOSEARCH Sicily FROMLONLAT 15 37 BYBOX 400 10 km"], "*0");
}

#[test]
fn counting() {
    check(&[SICILY, "GEOSEARCH Sicily FROMLONLAT 15 37 BYRADIUS 200 km COUNT 1"], "*1 $7 Catania");
    check(&[SICILY, "GEOSEARCH Sicily FROMLONLAT 15 37 BYRADIUS 200 km COUNT 1 DESC"], "*1 $7 Palermo");
    check(
        &[SICILY, "GEOSEARCH Sicily FROMLONLAT 15 37 BYRADIUS 200 km COUNT 9223372036854775807 ANY ASC"],
        "*2 $7 Catania $7 Palermo",
    );
    check(&[SICILY, "GEOSEARCH Sicily FROMLONLAT 13 38 BYRADIUS 300 km COUNT 1 ANY"], "*1 $7 Palermo");
}

#[test]
fn without_an_index() {
    check(&["GEOSEARCH none FROMMEMBER a BYRADIUS 1 km"], "*0");
    check(&["GEORADIUSBYMEMBER none a nonsense nonsense"], "*0");
    check(&["GEORADIUSBYMEMBER none a 1 km COUNT 0"], "-ERR COUNT must be > 0");
    check(&["GEORADIUS none 1 1 x km"], "-ERR need numeric radius");
    check(&["GEORADIUS none 1 1 1 km STORE d"], ":0");
    check(&["SET d x", "GEORADIUS none 1 1 1 km STORE d"], ":0");
    check(&["SET d x", "GEORADIUS none 1 1 1 km STORE d", "EXISTS d"], ":0");
    check_events(&["SET d x", "GEORADIUS none 1 1 1 km STORE d"], &["keymiss none", "del d"]);
    check_lookups(&["GEOSEARCH none FROMMEMBER a BYRADIUS 1 km"], 0, 1);
    check(&["SET s x", "GEORADIUS s x x x x"], WRONG_TYPE);
}

#[test]
fn storing() {
    let near = "FROMLONLAT 15 37 BYRADIUS 100 km";
    check(&[SICILY, &format!("GEOSEARCHSTORE d Sicily {near}")], ":1");
    check(
        &[SICILY, &format!("GEOSEARCHSTORE d Sicily {near}"), "GEOHASH d Catania Palermo"],
        "*2 $11 sqdtr74hyu0 $-1",
    );
    check(&[SICILY, &format!("GEOSEARCHSTORE Sicily Sicily {near}"), "GEOHASH Sicily Palermo"], "*1 $-1");
    check(&[SICILY, "SET d x", "GEOSEARCHSTORE d Sicily FROMLONLAT 0 0 BYRADIUS 1 m", "EXISTS d"], ":0");
    let line = format!("GEOSEARCHSTORE d Sicily {near} STOREDIST");
    check_effects(&[SICILY, &line], &[&line]);
    check_events(&[SICILY, &line], &["new d", "geosearchstore d"]);
    check_changes(&[SICILY, "GEORADIUS Sicily 15 37 200 km STORE d"], 2);
    check_events(&[SICILY, "GEORADIUS Sicily 15 37 100 km STORE d"], &["new d", "georadiusstore d"]);
    check_effects(
        &[SICILY, "GEORADIUS Sicily 15 37 100 km STORE none STORE d"],
        &["GEORADIUS Sicily 15 37 100 km STORE none STORE d"],
    );
    check(&[SICILY, "GEORADIUS Sicily 15 37 100 km STORE e STOREDIST d", "EXISTS d e"], ":1");
    check(&[SICILY, "GEORADIUSBYMEMBER Sicily Catania 100 km STOREDIST d", "TYPE d"], "+zset");
    check_effects(&[SICILY, "GEORADIUS Sicily 0 0 1 km STORE d"], &[]);
}

#[test]
fn refusals() {
    let exactly = |what: &str, name: &str| format!("-ERR exactly one of {what} can be specified for {name}");
    let (from, by) = ("FROMMEMBER or FROMLONLAT", "BYRADIUS and BYBOX");
    check(&[SICILY, "geosearch Sicily BYRADIUS 1 km ASC DESC"], &exactly(from, "geosearch"));
    check(&[SICILY, "GEOSEARCH Sicily FROMLONLAT 1 1 ASC ASC"], &exactly(by, "GEOSEARCH"));
    let storing =
        "-ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD options";
    check(&["GEORADIUS none 1 1 1 km STORE d WITHDIST"], storing);
    let storing = "-ERR GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD options";
    check(&["GEOSEARCHSTORE d none FROMLONLAT 1 1 BYRADIUS 1 km WITHHASH"], storing);
    check(&["GEORADIUS none 1 1 1 km ANY"], "-ERR the ANY argument requires COUNT argument");
    check(&["GEORADIUS none 1 1 -1 km"], "-ERR radius cannot be negative");
    check(&["GEORADIUS none 1 1 1 yd"], "-ERR unsupported unit provided. please use M, KM, FT, MI");
    check(&["GEORADIUS none 200 1 1 km"], "-ERR invalid longitude,latitude pair 200.000000,1.000000");
    check(&["GEORADIUS_RO none 1 1 1 km STORE d"], "-ERR syntax error");
    check(&["GEOSEARCH none FROMLONLAT 1 1 BYRADIUS 1 km STOREDIST"], "-ERR syntax error");
    check(&["GEOSEARCH none FROMLONLAT 1 1 BYRADIUS 1 km STORE d"], "-ERR syntax error");
    check(&["GEOSEARCH none FROMLONLAT 1 1 FROMMEMBER a BYRADIUS 1 km"], "-ERR syntax error");
    check(&["GEOSEARCH none FROMLONLAT 1 1 BYRADIUS 1 km BYBOX 1 1 km"], "-ERR syntax error");
    check(&["GEOSEARCH none FROMLONLAT 1 1 BYBOX 1 x km"], "-ERR need numeric height");
    check(&["GEOSEARCH none FROMLONLAT 1 1 BYBOX 1 -1 km"], "-ERR height or width cannot be negative");
    check(
        &[SICILY, "GEOSEARCH Sicily FROMMEMBER Rome BYRADIUS 1 km"],
        "-ERR could not decode requested zset member",
    );
    check(&[SICILY, "GEORADIUSBYMEMBER Sicily Rome x x"], "-ERR could not decode requested zset member");
    check(&["GEOSEARCH none FROMMEMBER a BYRADIUS 1 km COUNT"], "-ERR syntax error");
}

#[test]
fn the_stored_set_is_large_beyond_the_limits() {
    let mut bench = Bench::default();
    bench.limits.encodings.zset_max_listpack_entries = 1;
    bench.run(SICILY);
    bench.run("GEORADIUS Sicily 15 37 100 km STORE d");
    assert_eq!(bench.run("OBJECT ENCODING d").text(), "$8 listpack");
    bench.run("GEORADIUS Sicily 15 37 500 km STORE d");
    assert_eq!(bench.run("OBJECT ENCODING d").text(), "$8 skiplist");
}
