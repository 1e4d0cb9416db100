use super::super::blob::listpack_header;
use super::*;
use crate::types::packed::Packed;

/// A string blob.
fn blob(bytes: &[u8]) -> Vec<u8> {
    let mut writer = super::super::Writer::new(Vec::new(), false);
    writer.blob(bytes);
    writer.into_output()
}

fn listpack(items: &[&str]) -> Vec<u8> {
    let packed: Packed = items.iter().map(|item| item.as_bytes()).collect();
    let view = packed.view();
    [&listpack_header(view.entries().len(), view.len())[..], view.entries(), &[0xff]].concat()
}

fn text(item: Item<'_>) -> String {
    String::from_utf8(item.to_vec()).unwrap()
}

/// Elements as text, deadlines and scores behind them; the reader must be used up.
fn decoded(code: u8, dialect: Dialect, bytes: &[u8]) -> Result<String, Error> {
    let mut reader = Reader::new(bytes);
    let mut found = Vec::new();
    let due = |deadline: Option<i64>| deadline.map_or(String::new(), |ms| format!("@{ms}"));
    match code::type_of(code).unwrap() {
        crate::TypeCode::List => list(code, &mut reader, &mut |item| {
            found.push(text(item));
            Ok(())
        })?,
        crate::TypeCode::Set => set(code, &mut reader, &mut |item, deadline| {
            found.push(text(item) + &due(deadline));
            Ok(())
        })?,
        crate::TypeCode::Zset => zset(code, &mut reader, &mut |item, score, deadline| {
            found.push(format!("{}={score}{}", text(item), due(deadline)));
            Ok(())
        })?,
        crate::TypeCode::Hash => hash(code, dialect, &mut reader, &mut |field, value, deadline| {
            found.push(format!("{}={}{}", text(field), text(value), due(deadline)));
            Ok(())
        })?,
        other => panic!("{other:?}"),
    }
    assert!(reader.source().is_empty());
    Ok(found.join(" "))
}

#[track_caller]
fn check(code: u8, bytes: &[u8], expected: &str) {
    assert_eq!(decoded(code, Dialect::Redis, bytes), Ok(expected.into()));
    // Whatever is missing is missed.
    for len in 0..bytes.len() {
        assert!(decoded(code, Dialect::Redis, &bytes[..len]).is_err(), "{len} of {} bytes", bytes.len());
    }
}

#[test]
fn lists() {
    check(code::LIST, b"\x03\x01a\xc0\x05\x00", "a 5 ");
    let ziplist = super::super::blob::ziplist_for_tests(&[b"\x01a", &[0xf6]]);
    check(code::LIST_ZIPLIST, &blob(&ziplist), "a 5");
    let two = [&[2][..], &blob(&ziplist), &blob(&ziplist)].concat();
    check(code::LIST_QUICKLIST, &two, "a 5 a 5");
    let nodes =
        [&[3, 2][..], &blob(&listpack(&["a", "5"])), b"\x01\x02xy", &[2], &blob(&listpack(&[]))].concat();
    check(code::LIST_QUICKLIST_2, &nodes, "a 5 xy");
    let mut bad = nodes;
    bad[1] = 3;
    assert!(decoded(code::LIST_QUICKLIST_2, Dialect::Redis, &bad).is_err());
    assert_eq!(
        decoded(code::LIST, Dialect::Redis, &[0x80, 255, 255, 255, 255, 1, b'a']),
        Err(Error::Truncated)
    );
}

#[test]
fn sets() {
    check(code::SET, b"\x02\x01a\xc0\x05", "a 5");
    let intset = [&IntSet::header(2, 2)[..], &[5, 0, 7, 0]].concat();
    check(code::SET_INTSET, &blob(&intset), "5 7");
    check(code::SET_LISTPACK, &blob(&listpack(&["a", "5"])), "a 5");
    let own = [&b"\x02\x01a"[..], &1234i64.to_le_bytes(), b"\x01b", &(-1i64).to_le_bytes()].concat();
    check(code::OWN_SET, &own, "a@1234 b");
}

#[test]
fn sorted_sets() {
    check(
        code::ZSET,
        b"\x04\x01a\x031.5\x01b\xfe\x01c\xff\x01d\x051e+20",
        "a=1.5 b=inf c=-inf d=100000000000000000000",
    );
    let binary = [&b"\x01\x01a"[..], &2.5f64.to_le_bytes()].concat();
    check(code::ZSET_2, &binary, "a=2.5");
    check(code::ZSET_LISTPACK, &blob(&listpack(&["a", "1.5", "b", "-3", "c", "inf"])), "a=1.5 b=-3 c=inf");
    let ziplist = super::super::blob::ziplist_for_tests(&[b"\x01a", &[0xf6], b"\x01b", b"\x040.25"]);
    check(code::ZSET_ZIPLIST, &blob(&ziplist), "a=5 b=0.25");
    let own = [&b"\x01\x01a"[..], &2.5f64.to_le_bytes(), &77i64.to_le_bytes()].concat();
    check(code::OWN_ZSET, &own, "a=2.5@77");
    for bad in [&b"\x01\x01a\xfd"[..], b"\x01\x01a\x03nan", b"\x01\x01a\x021 ", b"\x01\x01a\x00"] {
        assert!(decoded(code::ZSET, Dialect::Redis, bad).is_err());
    }
    let nan = [&b"\x01\x01a"[..], &f64::NAN.to_le_bytes()].concat();
    assert!(decoded(code::ZSET_2, Dialect::Redis, &nan).is_err());
    assert!(decoded(code::ZSET_LISTPACK, Dialect::Redis, &blob(&listpack(&["a"]))).is_err());
}

#[test]
fn hashes() {
    check(code::HASH, b"\x02\x01a\x01b\xc0\x05\x00", "a=b 5=");
    check(code::HASH_ZIPMAP, &blob(b"\x01\x01a\x01\x00b\xff"), "a=b");
    check(code::HASH_LISTPACK, &blob(&listpack(&["a", "b", "5", "6"])), "a=b 5=6");
    let ziplist = super::super::blob::ziplist_for_tests(&[b"\x01a", &[0xf6]]);
    check(code::HASH_ZIPLIST, &blob(&ziplist), "a=5");
}

#[test]
fn fields_with_deadlines() {
    let triples = blob(&listpack(&["a", "b", "0", "c", "d", "1700000000000"]));
    check(code::HASH_LISTPACK_EX_PRE_GA, &triples, "a=b c=d@1700000000000");
    let timed = [&1700i64.to_le_bytes()[..], &triples].concat();
    check(code::HASH_LISTPACK_EX, &timed, "a=b c=d@1700000000000");
    let metadata = [&1700i64.to_le_bytes()[..], b"\x03\x00\x01a\x01b\x01\x01c\x01d\x06\x01e\x01f"].concat();
    check(code::HASH_METADATA, &metadata, "a=b c=d@1700 e=f@1705");
    let redis = b"\x02\x00\x01a\x01b\x44\xd2\x01c\x01d";
    check(code::HASH_22, redis, "a=b c=d@1234");
    let valkey =
        [&b"\x02\x01a\x01b"[..], &(-1i64).to_le_bytes(), b"\x01c\x01d", &1234i64.to_le_bytes()].concat();
    assert_eq!(decoded(code::HASH_22, Dialect::Valkey, &valkey), Ok("a=b c=d@1234".into()));
    let beyond = [&i64::MAX.to_le_bytes()[..], b"\x01\x02\x01a\x01b"].concat();
    assert!(decoded(code::HASH_METADATA, Dialect::Redis, &beyond).is_err());
    assert!(
        decoded(
            code::HASH_LISTPACK_EX,
            Dialect::Redis,
            &[&[0; 8][..], &blob(&listpack(&["a", "b"]))].concat()
        )
        .is_err()
    );
}
