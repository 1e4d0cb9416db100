use std::io::Cursor;
use std::path::PathBuf;

use tidegate_data::types::set::{Set, SetLimits};
use tidegate_data::{List, NodeLimit, Record, StringEncoding, Value};

use super::*;
use crate::aof::read::{Next, Reader};
use crate::rdb::{Header, save};
use crate::sim::SimDisk;

const ID: &str = "0123456789012345678901234567890123456789";

fn snapshot() -> PathBuf {
    PathBuf::from("/d/snapshot")
}

fn target() -> PathBuf {
    PathBuf::from("/d/commands")
}

fn string(key: &[u8], value: &[u8], expiry_ms: Option<i64>) -> Record {
    Record::new_bytes(key, value, StringEncoding::Embstr, expiry_ms)
}

/// A disk with a snapshot of these databases.
fn disk(libraries: &[&[u8]], databases: &[(usize, Vec<Record>)]) -> SimDisk {
    let disk = SimDisk::new(1, &["/d"]);
    let header = Header { checksum: true, compress: true, ..Header::default() };
    save(&disk, &snapshot(), &header, &mut |saver| {
        for code in libraries {
            saver.library(code);
        }
        for (db, records) in databases {
            saver.database(*db, records.len(), 0);
            for record in records {
                saver.entry(&record.into(), None, None);
            }
        }
    })
    .unwrap();
    disk
}

fn form(sums: bool) -> Form<'static> {
    Form { databases: 16, dated_s: None, sums: sums.then_some(ID) }
}

fn commands(disk: &SimDisk, form: Form<'_>) -> Vec<u8> {
    write(disk, &snapshot(), &target(), form, &|| true).unwrap();
    disk.bytes(&target()).unwrap()
}

/// Commands as lines.
fn lines(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let mut words = text.split("\r\n").filter(|word| !word.starts_with('$'));
    let mut lines = Vec::new();
    while let Some(count) = words.next().and_then(|word| word.strip_prefix('*')) {
        let line: Vec<_> = words.by_ref().take(count.parse().unwrap()).collect();
        lines.push(line.join(" "));
    }
    lines
}

#[test]
fn keys_become_the_commands_that_make_them() {
    let mut list = List::default();
    for number in 0..70 {
        list.push_back(&*format!("item{number}").into_bytes(), NodeLimit::of_directive(-2));
    }
    let list = Record::new_boxed(b"list", Box::new(Value::from(list)), None);
    let disk = disk(
        &[b"#!lua name=one"],
        &[
            (0, vec![string(b"k", b"v", Some(4_102_444_800_123)), Record::new_int(b"n", -5, None)]),
            (9, vec![list]),
        ],
    );
    let lines = lines(&commands(&disk, form(false)));
    let (head, tail) = lines.split_at(6);
    assert_eq!(
        head,
        [
            "FUNCTION LOAD #!lua name=one",
            "SELECT 0",
            "SET k v",
            "PEXPIREAT k 4102444800123",
            "SET n -5",
            "SELECT 9"
        ]
    );
    let items = |range: std::ops::Range<u32>| {
        let items: Vec<_> = range.map(|number| format!("item{number}")).collect();
        format!("RPUSH list {}", items.join(" "))
    };
    assert_eq!(tail, [items(0..64), items(64..70)]);
}

#[test]
fn what_no_command_says_is_restored() {
    let mut set = Set::default();
    let limits = SetLimits { ints_len_max: 0, strings_len_max: 0, string_len_max: 0 };
    set.add(b"member", &limits);
    assert!(set.set_deadline(b"member", Some(4_102_444_800_123)));
    let disk = disk(&[], &[(0, vec![Record::new_boxed(b"s", Box::new(Value::from(set)), None)])]);
    let lines = lines(&commands(&disk, form(false)));
    assert!(lines[1].starts_with("RESTORE s 0 "), "{lines:?}");
}

#[test]
fn scores_are_short_and_exact() {
    for (score, text) in
        [(0.1, "0.1"), (-3.0, "-3"), (1e300, "1e300"), (f64::INFINITY, "inf"), (5e-324, "5e-324")]
    {
        assert_eq!(score_text(score), text);
        assert_eq!(text.parse(), Ok(score));
    }
}

/// What is read from a file, and how much of it is vouched for; nothing when it is not as it was written.
fn read(bytes: &[u8]) -> (Vec<u8>, Option<u64>) {
    let mut reader = Reader::new(Box::new(Cursor::new(bytes.to_vec())), 0);
    let mut commands = Vec::new();
    loop {
        match reader.next_piece().unwrap() {
            Next::Units(piece) => {
                piece.runs.iter().for_each(|run| commands.extend(&piece.bytes[run.clone()]));
            }
            Next::End(end) => return (commands, end.fault.is_none().then_some(end.sealed_to)),
        }
    }
}

#[test]
fn all_of_it_is_vouched_for_in_batches() {
    let records = (0..300).map(|number| string(format!("k{number}").as_bytes(), &[b'x'; 10_000], None));
    let disk = disk(&[], &[(0, records.collect())]);
    let plain = commands(&disk, form(false));
    let bytes = commands(&disk, form(true));
    assert!(bytes.starts_with(b"#BATCH\r\n"));
    assert_eq!(read(&plain), (plain.clone(), Some(0)));
    assert_eq!(read(&bytes), (plain.clone(), Some(bytes.len() as u64)));
    for at in (0..bytes.len()).step_by(7919) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 4;
        let (commands, whole) = read(&damaged);
        assert!(plain.starts_with(&commands) && whole.is_none(), "a bit at {at}");
    }
}

#[test]
fn a_date_comes_first() {
    let disk = disk(&[], &[]);
    let bytes = commands(&disk, Form { dated_s: Some(1_700_000_000), ..form(true) });
    assert!(bytes.starts_with(b"#BATCH\r\n#TS:1700000000\r\n"), "{}", String::from_utf8_lossy(&bytes));
    assert_eq!(read(&bytes), (Vec::new(), Some(bytes.len() as u64)));
}

#[test]
fn a_damaged_snapshot_and_a_change_of_mind_end_it() {
    let disk = disk(&[], &[(0, vec![string(b"k", b"v", None)])]);
    assert!(matches!(write(&disk, &snapshot(), &target(), form(true), &|| false), Err(BaseError::Cancelled)));
    let mut bytes = disk.bytes(&snapshot()).unwrap();
    let last = bytes.len() - 12;
    bytes[last] ^= 1;
    disk.put(&snapshot(), &bytes);
    let result = write(&disk, &snapshot(), &target(), form(true), &|| true);
    assert!(matches!(result, Err(BaseError::Snapshot(_))), "{result:?}");
}
