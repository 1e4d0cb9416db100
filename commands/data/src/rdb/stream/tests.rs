use super::super::{Reader, blob::listpack_header};
use super::*;
use crate::types::packed::Packed;

/// What `redis-server` 7.0.15 dumps, without type and footer, for a stream of three entries, a deleted one between
/// them, read by two of three consumers of a group; another group is idle.
const DUMP: &str = "011000000000000000010000000000000001405a5a0000001f00030101010201816102816202000102010001000101018378797a\
04050103010001010102018375767704050100010101dfff020101856f7468657206856669656c640606010201\
0201dfff0203018174020501ff030300010101020402016703000403000000000000000100000000000000\
01e6203f02a2010000010000000000000002000000000000000\
0e6203f02a201000001000000000000000300000000000000\
00ed203f02a2010000010305616c696365e6203f02a20100000200000000000000010000000000000001000000000000000200000000000000\
0003626f62ed203f02a20100000100000000000000030000000000000000056361726f6cf3203f02a201000000046964\
6c65030081ffffffffffffffff0000";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// Everything a client can see, one line each.
fn lines(code: u8, bytes: &[u8]) -> Result<Vec<String>, Error> {
    let mut reader = Reader::new(bytes);
    let stream = load(code, &mut reader)?;
    assert!(reader.source().is_empty());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let entries = stream.entries();
    let mut lines = Vec::new();
    for entry in entries.range(StreamId::MIN, StreamId::MAX) {
        let pairs =
            entry.fields.map(|(name, value)| format!(" {}={}", text(&name.to_vec()), text(&value.to_vec())));
        lines.push(format!("{}{}", entry.id, pairs.collect::<String>()));
    }
    let (first, last, deleted) = (entries.first_id(), entries.last_id(), entries.max_deleted_id());
    lines.push(format!("first {first} last {last} deleted {deleted} added {}", entries.added()));
    for (name, group) in stream.groups().iter() {
        lines.push(format!("group {} {} {:?}", text(name), group.last_id(), group.entries_read()));
        for (_, consumer) in group.consumers() {
            let name = text(consumer.name());
            lines.push(format!("consumer {name} {} {:?}", consumer.seen_ms, consumer.active_ms));
        }
        for (id, pending) in group.pending() {
            let owner = pending.owner().map(|owner| text(group.consumer(owner).name()));
            lines.push(format!("pending {id} {owner:?} {} {}", pending.delivered_ms(), pending.deliveries));
        }
    }
    Ok(lines)
}

#[test]
fn a_stream_of_redis_is_read_and_written_as_it_was() {
    let found = lines(code::STREAM_LISTPACKS_2, &bytes(DUMP)).unwrap();
    let expected = [
        "1-1 a=1 b=xyz",
        "2-0 other=field",
        "3-0 a=3 b=t",
        "first 1-1 last 3-0 deleted 1-2 added 4",
        "group g 3-0 Some(4)",
        "consumer alice 1795334021350 Some(1795334021350)",
        "consumer bob 1795334021357 Some(1795334021357)",
        "consumer carol 1795334021363 Some(1795334021363)",
        "pending 1-1 Some(\"alice\") 1795334021350 1",
        "pending 2-0 Some(\"alice\") 1795334021350 1",
        "pending 3-0 Some(\"bob\") 1795334021357 1",
        "group idle 3-0 None",
    ];
    assert_eq!(found, expected);
    let stream = load(code::STREAM_LISTPACKS_2, &mut Reader::new(&bytes(DUMP)[..])).unwrap();
    assert_eq!(encoding_of(&stream), code::STREAM_LISTPACKS_2);
    let mut writer = Writer::new(Vec::new(), false);
    save(&stream, &mut writer);
    assert_eq!(writer.into_output(), bytes(DUMP));
}

#[test]
fn an_unfinished_stream_is_refused() {
    let dump = bytes(DUMP);
    for len in 0..dump.len() {
        assert!(lines(code::STREAM_LISTPACKS_2, &dump[..len]).is_err(), "{len}");
    }
}

#[test]
fn older_and_newer_forms_differ_in_figures() {
    // One live entry with the field of the master entry.
    let pack: Packed =
        ["1", "0", "1", "a", "0", "2", "0", "0", "5", "4"].iter().map(|item| item.as_bytes()).collect();
    let pack = pack.view();
    let header = listpack_header(pack.entries().len(), pack.len());
    let mut old = vec![1, 16, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1];
    old.push((header.len() + pack.entries().len() + 1) as u8);
    old.extend_from_slice(&[&header[..], pack.entries(), &[0xff]].concat());
    old.extend_from_slice(&[1, 1, 1, 0]);
    assert_eq!(
        lines(code::STREAM_LISTPACKS, &old),
        Ok(vec!["1-1 a=5".into(), "first 1-1 last 1-1 deleted 0-0 added 1".into()]),
    );
    let mut new = old[..old.len() - 4].to_vec();
    new.extend_from_slice(&[1, 1, 1, 1, 1, 0, 0, 1, 1, 1, b'g', 1, 1, 1, 0, 1, 1, b'c']);
    new.extend_from_slice(&77i64.to_le_bytes());
    new.extend_from_slice(&(-1i64).to_le_bytes());
    new.push(0);
    let found = lines(code::STREAM_LISTPACKS_3, &new).unwrap();
    assert_eq!(found[3], "consumer c 77 None");
}

#[test]
fn contradictions_are_refused() {
    let dump = bytes(DUMP);
    let find = |needle: &[u8]| dump.windows(needle.len()).position(|window| window == needle).unwrap();
    let live = 18 + 2 + 6;
    let alice = find(b"alice");
    let last = find(&[3, 3, 0, 1, 1, 1, 2, 4, 2]);
    for (at, value, what) in [
        (live, 4, "live entries"),
        (live + 2, 0, "deleted entries"),
        (live + 4, 3, "fields of the master entry"),
        (last + 1, 2, "the last ID lies before the last entry"),
        (alice + 5 + 8 + 1 + 15, 3, "a consumer's entry that is not pending"),
        (find(b"bob") + 2, b'c', "nothing wrong with another name"),
    ] {
        let mut bad = dump.clone();
        bad[at] = value;
        assert_eq!(
            lines(code::STREAM_LISTPACKS_2, &bad).is_err(),
            what != "nothing wrong with another name",
            "{what}"
        );
    }
}
