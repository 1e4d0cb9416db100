//! The append-only file as those see it who use it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::channel;
use std::time::Duration;

use super::load::read_manifest;
use super::{Aof, Fsync, Loaded, Manifest, Place};
use crate::journal::{Journal as _, Lsn, Unit};
use crate::sim::SimDisk;

fn place() -> Place {
    Place { dir: Path::new("/data").join("aof"), stem: "a".to_owned() }
}

fn aof(disk: &SimDisk) -> Aof {
    Aof::new(Arc::new(disk.clone()), place(), String::new())
}

fn append(aof: &Aof) -> Lsn {
    let mut unit = Unit::default();
    unit.push(0, [&b"SET"[..], b"k", &[b'v'; 1000]].into_iter());
    aof.append(&mut unit)
}

/// Who waits for a position that is open already would look again and again, and do nothing else.
#[test]
fn who_waits_until_it_has_caught_up_waits() {
    for (fsync, waits) in [(Fsync::Always, true), (Fsync::EverySecond, true), (Fsync::No, false)] {
        let aof = aof(&SimDisk::new(1, &["/data"]));
        let mut writer = aof.resumed(Loaded::default()).unwrap();
        aof.log().set_fsync(fsync);
        aof.log().set_waits_for_write(waits);
        aof.settings().unwritten_max.store(5000, Relaxed);
        while aof.is_behind().is_none() {
            append(&aof);
        }
        assert!(aof.is_behind().is_some_and(|lsn| aof.open_to() < lsn), "{fsync:?}");
        writer.step();
        assert_eq!(aof.is_behind(), None);
        assert!(aof.open_to() >= aof.log().tail());
    }
}

/// Whoever asks may have all shards: then everybody would wait for the disk.
#[test]
fn nobody_waits_for_the_disk_to_learn_which_turn_it_is() {
    let aof = aof(&SimDisk::new(2, &["/data"]));
    std::thread::scope(|scope| {
        let prepared = aof.prepare(|| {
            let (told, turn) = channel();
            let aof = &aof;
            scope.spawn(move || told.send(aof.turn()));
            assert_eq!(turn.recv_timeout(Duration::from_secs(20)), Ok(super::Turn::default()));
            Ok(Manifest::default())
        });
        assert!(prepared.is_ok());
    });
}

/// The process ended when the new base was there, and what it replaced was, too.
#[test]
fn history_of_an_earlier_process_is_removed() {
    let disk = SimDisk::new(4, &["/data"]);
    aof(&disk).resumed(Loaded::default()).unwrap();
    let mut manifest = read_manifest(&disk, &place()).unwrap();
    let old = place().file("a.0.incr.aof");
    disk.put(&old, b"");
    manifest.history.push(super::File::whole("a.0.incr.aof".to_owned(), 1));
    super::persist(&disk, &place(), &manifest).unwrap();
    aof(&disk).resumed(Loaded { manifest, ..Loaded::default() }).unwrap();
    assert!(disk.bytes(&old).is_none());
    assert!(read_manifest(&disk, &place()).unwrap().history.is_empty());
}
