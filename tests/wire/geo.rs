//! Geo indexes: places, distances, searches, what is stored, the errors.

use crate::transcript::check;

#[test]
fn places_and_distances() {
    check(
        r#"
        > GEOADD Sicily 13.361389 38.115556 Palermo 15.087269 37.502669 Catania
        2
        > GEOADD Sicily NX CH 13 38 Palermo 14 38 Cefalu
        1
        > GEOADD Sicily XX CH 13.361389 38.115556 Palermo 1 1 Rome
        0
        > GEODIST Sicily Palermo Catania
        "166274.1516"
        > GEODIST Sicily Palermo Catania mi
        "103.3182"
        > GEODIST Sicily Palermo Rome
        nil
        > GEOHASH Sicily Palermo Catania Rome
        ["sqc8b49rny0" "sqdtr74hyu0" nil]
        > GEOPOS Sicily Palermo Rome
        [["13.36138933897018433" "38.11555639549629859"] nil]
        > GEOADD Sicily 181 0 x
        -ERR invalid longitude,latitude pair 181.000000,0.000000
        > GEODIST Sicily Palermo Catania yd
        -ERR unsupported unit provided. please use M, KM, FT, MI
        > GEOADD Sicily 1 1
        -ERR wrong number of arguments for 'geoadd' command
        "#,
    );
}

#[test]
fn searches() {
    check(
        r#"
        > GEOADD Sicily 13.361389 38.115556 Palermo 15.087269 37.502669 Catania
        2
        > GEOSEARCH Sicily FROMLONLAT 15 37 BYRADIUS 200 km ASC
        ["Catania" "Palermo"]
        > GEOSEARCH Sicily FROMMEMBER Palermo BYBOX 400 400 km DESC WITHDIST WITHHASH
        [["Catania" "166.2742" 3479447370796909] ["Palermo" "0.0000" 3479099956230698]]
        > GEOSEARCH Sicily FROMLONLAT 15 37 BYRADIUS 200 km COUNT 1 ANY
        ["Palermo"]
        > GEORADIUS Sicily 15 37 200 km WITHCOORD COUNT 1
        [["Catania" ["15.08726745843887329" "37.50266842333162032"]]]
        > GEORADIUS_RO Sicily 15 37 100 km
        ["Catania"]
        > GEORADIUSBYMEMBER Sicily Palermo 200 km DESC
        ["Catania" "Palermo"]
        > GEORADIUSBYMEMBER_RO Sicily Palermo 100 km
        ["Palermo"]
        > GEOSEARCH none FROMMEMBER x BYRADIUS 1 km
        []
        > GEOSEARCH Sicily FROMMEMBER x BYRADIUS 1 km
        -ERR could not decode requested zset member
        > GEOSEARCH Sicily FROMLONLAT 1 1 ASC DESC WITHDIST
        -ERR exactly one of BYRADIUS and BYBOX can be specified for GEOSEARCH
        > GEORADIUS_RO Sicily 15 37 100 km STORE d
        -ERR syntax error
        "#,
    );
}

#[test]
fn storing() {
    check(
        r#"
        > GEOADD {s}icily 13.361389 38.115556 Palermo 15.087269 37.502669 Catania
        2
        > GEOSEARCHSTORE {s}d {s}icily FROMLONLAT 15 37 BYRADIUS 100 km
        1
        > GEOHASH {s}d Catania
        ["sqdtr74hyu0"]
        > GEORADIUS {s}icily 15 37 200 km STORE {s}a STOREDIST {s}b
        2
        > EXISTS {s}a {s}b
        1
        > GEOSEARCHSTORE {s}b {s}icily FROMLONLAT 0 0 BYRADIUS 1 km
        0
        > EXISTS {s}b
        0
        > COMMAND GETKEYS GEOSEARCHSTORE d s FROMLONLAT 15 37 BYRADIUS 100 km
        ["d" "s"]
        > COMMAND GETKEYS GEORADIUS s 15 37 100 km STOREDIST d
        ["s" "d"]
        > GEOSEARCHSTORE {s}d {s}icily FROMLONLAT 15 37 BYRADIUS 100 km WITHDIST
        -ERR GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD options
        "#,
    );
}
