//! Files that were cut off anywhere, or in which any bit is another: what comes out is a beginning of what went in, made of
//! whole units, or a refusal.
//!
//! `LONG=1` takes 64 KiB instead of a few: each byte is cut at, each bit is flipped.

use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tidegate_data::rdb::Checksum;

use super::line::{self, Seal};
use super::load::{LoadError, Loading, Step};
use super::read::{End, Fault, Next, Reader};
use super::{Aof, Fsync, Loaded, Manifest, Place};
use crate::disk::Disk as _;
use crate::journal::{Journal as _, Unit, write_command};
use crate::sim::{Crash, Lot, SimDisk};

fn place() -> Place {
    Place { dir: "/d/appendonlydir".into(), stem: "appendonly.aof".to_owned() }
}

/// A file of about this size, as it is written with checksum lines or without.
fn written(size: u64, seals: bool) -> Vec<u8> {
    let disk = SimDisk::new(1, &["/d"]);
    let aof =
        Aof::new(Arc::new(disk.clone()), place(), "0123456789012345678901234567890123456789".to_owned());
    aof.settings().checksums.store(seals, Relaxed);
    aof.log().set_fsync(Fsync::Always);
    let mut writer = aof.resumed(Loaded::default()).unwrap();
    let mut lot = Lot::new(7);
    let mut number = 0;
    while aof.log().tail() < size {
        for _ in 0..=lot.pick(6) {
            let mut unit = Unit::default();
            for part in 0..if lot.pick(3) == 0 { 1 + lot.pick(4) } else { 1 } {
                number += 1;
                let filling = match lot.pick(5) {
                    0 => vec![0; lot.pick(600)],
                    1 => b"*1\r\n$4\r\nEXEC\r\n#CK:1;s=0;e=1;c=0;r=x:1\r\n".to_vec(),
                    _ => vec![b'x'; lot.pick(60)],
                };
                let words = [b"SET".to_vec(), format!("{number}:{part}").into_bytes(), filling];
                unit.push(lot.pick(2) as u16, words.iter().map(Vec::as_slice));
            }
            aof.append(&mut unit);
        }
        writer.step();
    }
    disk.bytes(&place().file("appendonly.aof.1.incr.aof")).unwrap()
}

/// What was read: the bytes of all commands, where units end in them, and how the file ended.
fn read(bytes: Vec<u8>, has_batches: bool) -> (Vec<u8>, End) {
    let mut reader = Reader::new(Box::new(Cursor::new(bytes)), 0).begun_by_us(has_batches);
    let mut commands = Vec::new();
    loop {
        match reader.next_piece().unwrap() {
            Next::Units(piece) => {
                piece.runs.iter().for_each(|run| commands.extend(&piece.bytes[run.clone()]));
            }
            Next::End(end) => return (commands, end),
        }
    }
}

/// Where units end: transactions count as a whole.
fn boundaries(mut commands: &[u8]) -> Vec<usize> {
    let (all, mut ends, mut is_open) = (commands.len(), vec![0], false);
    while !commands.is_empty() {
        let number = |at: usize| {
            let end = at + commands[at..].iter().position(|byte| *byte == b'\n').unwrap();
            (std::str::from_utf8(&commands[at + 1..end - 1]).unwrap().parse::<usize>().unwrap(), end + 1)
        };
        let (count, mut pos) = number(0);
        for _ in 0..count {
            let (length, start) = number(pos);
            pos = start + length + 2;
        }
        is_open = match &commands[..pos] {
            b"*1\r\n$5\r\nMULTI\r\n" => true,
            b"*1\r\n$4\r\nEXEC\r\n" => false,
            _ => is_open,
        };
        commands = &commands[pos..];
        if !is_open {
            ends.push(all - commands.len());
        }
    }
    ends
}

fn size() -> u64 {
    if std::env::var_os("LONG").is_some_and(|long| !long.is_empty()) { 64 << 10 } else { 2 << 10 }
}

#[test]
fn a_file_cut_anywhere_is_a_beginning_of_whole_units() {
    for seals in [true, false] {
        let file = written(size(), seals);
        let (all, end) = read(file.clone(), seals);
        assert_eq!((end.fault, end.good), (None, file.len() as u64));
        let ends = boundaries(&all);
        for cut in 0..file.len() {
            let (some, end) = read(file[..cut].to_vec(), seals);
            assert!(all.starts_with(&some) && ends.binary_search(&some.len()).is_ok(), "cut at {cut}");
            assert!(end.fault.is_none() || end.is_torn(), "cut at {cut}: {end:?}");
            // What is left after the repair is right, and says the same.
            let (again, end) = read(file[..end.good as usize].to_vec(), seals);
            assert!(again == some && end.fault.is_none(), "cut at {cut}, and again: {end:?}");
        }
    }
}

#[test]
fn a_bit_that_flips_is_noticed() {
    let file = written(size(), true);
    let (all, _) = read(file.clone(), true);
    let ends = boundaries(&all);
    for bit in 0..file.len() * 8 {
        let mut flipped = file.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let (some, end) = read(flipped, true);
        assert!(all.starts_with(&some) && ends.binary_search(&some.len()).is_ok(), "bit {bit}: {end:?}");
        assert!(some.len() == all.len() || end.fault.is_some(), "bit {bit}: silently less");
        // The last two batches may not have been synced, as far as the file tells.
        if end.is_torn() {
            let is_late = all.len() - some.len() < 6 * 4 * 700;
            assert!(is_late, "bit {bit}: {} of {} bytes are left", some.len(), all.len());
        }
    }
}

#[test]
fn a_bit_that_flips_in_a_file_of_redis_does_no_harm_before_it() {
    let file = written(size(), false);
    let (all, _) = read(file.clone(), false);
    let ends = boundaries(&all);
    for bit in 0..file.len() * 8 {
        let mut flipped = file.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let (some, end) = read(flipped, false);
        let sure = ends[ends.partition_point(|end| *end <= bit / 8) - 1];
        assert!(some.len() >= sure && some[..sure] == all[..sure], "bit {bit}: {end:?}");
    }
}

#[test]
fn sectors_of_zeros_are_noticed() {
    let file = written(size(), true);
    let (all, _) = read(file.clone(), true);
    let ends = boundaries(&all);
    for first in 0..file.len() / 512 {
        for count in 1..8 {
            let mut holed = file.clone();
            let last = ((first + count) * 512).min(file.len());
            holed[first * 512..last].fill(0);
            let (some, end) = read(holed, true);
            assert!(
                all.starts_with(&some) && ends.binary_search(&some.len()).is_ok(),
                "sectors {first}+{count}: {end:?}"
            );
        }
    }
}

/// A disk with a manifest and files of these contents.
/// An end that was repaired is vouched for together with what comes behind it. If that does not reach the disk, a part of
/// the whole was synced, but nothing that is missing.
#[test]
fn what_follows_a_repaired_end_may_be_missing_like_any_other_end() {
    let command = |value: &[u8]| {
        let mut bytes = Vec::new();
        write_command(&mut bytes, [&b"SET"[..], b"k", value].into_iter());
        bytes
    };
    let batch = |file: &mut Vec<u8>, value: &[u8], synced: usize| {
        let start = file.len() as u64;
        line::write_batch(file);
        file.extend(command(value));
        let end = file.len() as u64;
        let sum = Checksum::of(&file[start as usize..]);
        Seal { start, end, sum, is_gap: false, lsn: end, synced: synced as u64 }.write(file, "x");
    };
    let mut file = Vec::new();
    batch(&mut file, b"1", 0);
    let sealed = file.len();
    line::write_batch(&mut file);
    file.extend(command(b"2"));
    let repaired = file.len();
    let (start, end) = (sealed as u64, repaired as u64);
    Seal { start, end, sum: 0, is_gap: true, lsn: end, synced: end }.write(&mut file, "x");
    batch(&mut file, &[b'v'; 2000], repaired);
    batch(&mut file, b"3", repaired);
    assert_eq!(read(file.clone(), true).1.fault, None);
    file[repaired..1024].fill(0);
    let (some, end) = read(file.clone(), true);
    assert!(end.is_torn(), "{end:?}");
    assert_eq!((some, end.good), ([command(b"1"), command(b"2")].concat(), repaired as u64));
    // What was synced is not missing for that reason.
    file[repaired - 5..repaired].fill(0);
    let (some, end) = read(file, true);
    assert!(end.fault.is_some() && !end.is_torn(), "{end:?}");
    assert_eq!(some, command(b"1"));
}

fn disk(manifest: &str, files: &[(&str, &[u8])]) -> SimDisk {
    let disk = SimDisk::new(3, &["/d", "/d/appendonlydir"]);
    disk.put(&place().manifest(), manifest.as_bytes());
    for (name, bytes) in files {
        disk.put(&place().file(name), bytes);
    }
    disk
}

/// All commands, or why there are none.
fn load(disk: &SimDisk, may_truncate: bool) -> Result<(String, Loaded), LoadError> {
    let mut commands = String::new();
    let Some(mut loading) = Loading::begin(Arc::new(disk.clone()), place(), may_truncate)? else {
        return Ok((commands, Loaded::default()));
    };
    loop {
        match loading.next_step()? {
            Step::File { .. } => {}
            Step::Snapshot { .. } => loading.snapshot_ended(9)?,
            Step::Units(piece) => {
                for run in &piece.runs {
                    let words = std::str::from_utf8(&piece.bytes[run.clone()]).unwrap().split("\r\n");
                    commands.extend(words.filter(|word| !word.starts_with(['*', '$']) && !word.is_empty()));
                }
            }
            Step::Done(loaded) => return Ok((commands, loaded)),
        }
    }
}

const TWO: &str = "file i1 seq 1 type i\nfile i2 seq 2 type i\n";
const SET: &[u8] = b"*1\r\n$1\r\na\r\n";
const TORN: &[u8] = b"*1\r\n$1\r\na\r\n*1\r\n$5\r\nMULTI\r\n*1\r\n$1\r\nb\r\n*1\r\n$4\r\nEX";

#[test]
fn only_the_end_of_the_last_file_is_repaired() {
    let torn = disk(TWO, &[("i1", SET), ("i2", TORN)]);
    let error = load(&torn, false).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("Unexpected end of file reading the append only file i2. You can: 1) Make")
    );
    let (commands, loaded) = load(&torn, true).unwrap();
    assert_eq!((commands.as_str(), loaded.size, loaded.last_size), ("aa", 22, 11));
    assert_eq!(torn.bytes(&place().file("i2")).unwrap(), SET, "it is cut off before MULTI");
    assert_eq!(load(&torn, false).unwrap().0, "aa");

    let not_last = disk(TWO, &[("i1", TORN), ("i2", SET)]);
    let error = load(&not_last, true).unwrap_err();
    assert_eq!(error.to_string(), "Fatal error: the truncated file is not the last file");

    let last_but_empty = disk(TWO, &[("i1", TORN), ("i2", b"")]);
    assert_eq!(load(&last_but_empty, true).unwrap().0, "a");
    assert_eq!(last_but_empty.bytes(&place().file("i1")).unwrap(), SET);

    let nonsense = disk(TWO, &[("i1", SET), ("i2", b"*1\r\n$1\r\na\r\nnonsense")]);
    let error = load(&nonsense, true).unwrap_err();
    assert!(matches!(error, LoadError::Format { good: 11, fault: Fault::Format, .. }));
    assert_eq!(
        error.to_string(),
        "Bad file format reading the append only file i2: make a backup of your AOF file, then use \
         ./redis-check-aof --fix <filename.manifest>"
    );
}

#[test]
fn what_the_manifest_names_has_to_be_there() {
    let missing = disk(TWO, &[("i1", SET)]);
    let error = load(&missing, true).unwrap_err();
    assert_eq!(error.to_string(), "The append log file i2 doesn't exist: No such file or directory");
    let error = load(&disk("file i1 seq x type i\n", &[]), true).unwrap_err();
    assert_eq!(
        error.to_string(),
        "*** FATAL AOF MANIFEST FILE ERROR ***\nReading the manifest file, at line 1\n>>> 'file i1 seq x type i'\n\
         Invalid AOF manifest file format"
    );
    assert_eq!(load(&SimDisk::new(1, &["/d"]), true).unwrap().0, "");
}

#[test]
fn bytes_that_were_written_again_elsewhere_do_not_count() {
    let manifest = "file i1 seq 1 type i size 11\nfile i2 seq 2 type i\n";
    let limited = disk(manifest, &[("i1", TORN), ("i2", SET)]);
    let (commands, loaded) = load(&limited, false).unwrap();
    assert_eq!((commands.as_str(), loaded.size), ("aa", 22));
    assert_eq!(limited.bytes(&place().file("i1")).unwrap(), SET, "others must not read them either");
}

#[test]
fn a_base_may_be_an_rdb_file_with_commands_behind_it() {
    let both = disk("file b seq 1 type b\n", &[("b", b"REDIS0010*1\r\n$1\r\na\r\n")]);
    let (commands, loaded) = load(&both, true).unwrap();
    assert_eq!((commands.as_str(), loaded.base_size, loaded.last_size), ("a", 20, 0));
}

#[test]
fn a_single_file_of_an_old_version_is_taken_over_whenever_the_power_fails() {
    let old = Path::new("/d/appendonly.aof");
    for call in 0..12 {
        for seed in 0..20 {
            let disk = SimDisk::new(seed, &["/d"]);
            disk.put(old, SET);
            disk.crash_at(Some(call));
            let result = load(&disk, true);
            assert!(disk.is_down() || result.is_ok());
            disk.crash(if seed % 2 == 0 { Crash::Ordered } else { Crash::Reordered });
            assert_eq!(load(&disk, true).unwrap().0, "a", "stopped in call {call}, seed {seed}");
            assert!(disk.open(old).is_err());
            let (_, loaded) = load(&disk, true).unwrap();
            assert_eq!(loaded.manifest, Manifest::upgraded("appendonly.aof"));
        }
    }
}
