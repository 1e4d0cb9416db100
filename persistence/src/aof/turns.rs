//! Snapshots that come too late: the append-only file was ended, or begun again, while they were made.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use super::load::read_manifest;
use super::{Aof, Manifest, Place};
use crate::disk::Disk as _;
use crate::journal::{Journal as _, Unit, write_command};
use crate::sim::SimDisk;

fn aof(disk: &SimDisk) -> Aof {
    let place = Place { dir: Path::new("/data").join("aof"), stem: "a".to_owned() };
    Aof::new(Arc::new(disk.clone()), place, String::new())
}

/// A snapshot that was just finished.
fn snapshot(disk: &SimDisk) -> PathBuf {
    let path = PathBuf::from("/data").join("aof").join("temp");
    let mut file = disk.create(&path).unwrap();
    file.write_all(b"REDIS0010").unwrap();
    path
}

fn manifest(disk: &SimDisk, aof: &Aof) -> Manifest {
    read_manifest(disk, aof.place()).unwrap()
}

fn begin(disk: &SimDisk, aof: &Aof) {
    aof.begin(aof.prepare(|| Ok(manifest(disk, aof))).unwrap()).unwrap();
}

fn append(aof: &Aof) {
    let mut command = Vec::new();
    write_command(&mut command, [&b"INCR"[..], b"k"].into_iter());
    let mut unit = Unit::default();
    unit.push_encoded(0, 1, &command);
    aof.append(&mut unit);
}

fn wait_for_rewrite(aof: &Aof) {
    while aof.status().is_rewriting.load(SeqCst) {
        std::thread::yield_now();
    }
}

fn names(manifest: &Manifest) -> Vec<&str> {
    manifest.files().map(|file| file.name.as_str()).collect()
}

#[test]
fn a_snapshot_from_before_it_was_turned_off_and_on_is_not_the_base() {
    let disk = SimDisk::new(1, &["/data"]);
    let aof = aof(&disk);
    begin(&disk, &aof);
    aof.rewritten(snapshot(&disk), aof.turn());
    wait_for_rewrite(&aof);
    append(&aof);
    aof.switch();
    let turn = aof.turn();
    append(&aof);
    // Turned off, changed without a journal, turned on again; then the snapshot is ready.
    aof.end();
    assert!(!aof.status().is_rewriting.load(SeqCst), "nobody waits for it");
    begin(&disk, &aof);
    append(&aof);
    let late = snapshot(&disk);
    aof.rewritten(late.clone(), turn);
    aof.not_rewritten(turn);
    aof.advance();
    while aof.log().written() < aof.log().tail() {
        std::thread::yield_now();
    }
    assert!(disk.open(&late).is_err(), "it is removed");
    let before = manifest(&disk, &aof);
    assert_eq!(
        names(&before),
        ["a.1.base.rdb", "a.1.incr.aof", "a.2.incr.aof"],
        "all that counted still does"
    );
    aof.rewritten(snapshot(&disk), aof.turn());
    wait_for_rewrite(&aof);
    assert_eq!(names(&manifest(&disk, &aof)), ["a.2.base.rdb", "a.3.incr.aof"]);
    assert!(aof.stop());
}

#[test]
fn a_snapshot_from_before_it_was_turned_on_is_not_the_base() {
    let disk = SimDisk::new(2, &["/data"]);
    let aof = aof(&disk);
    aof.make_dir().unwrap();
    aof.note_rewriting();
    let turn = aof.turn();
    let late = snapshot(&disk);
    begin(&disk, &aof);
    append(&aof);
    aof.rewritten_alone(|| Ok(manifest(&disk, &aof)), late.clone(), turn).unwrap();
    aof.not_rewritten_alone(turn);
    assert!(disk.open(&late).is_err(), "it is removed");
    assert!(manifest(&disk, &aof).is_empty());
    assert!(aof.status().is_rewriting.load(SeqCst), "the snapshot it was turned on with is still made");
    aof.rewritten(snapshot(&disk), aof.turn());
    wait_for_rewrite(&aof);
    assert_eq!(names(&manifest(&disk, &aof)), ["a.1.base.rdb", "a.1.incr.aof"]);
    assert!(aof.stop());
}

#[test]
fn a_snapshot_while_nothing_is_journaled_waits_for_what_was_ended() {
    let disk = SimDisk::new(3, &["/data"]);
    let aof = aof(&disk);
    begin(&disk, &aof);
    aof.rewritten(snapshot(&disk), aof.turn());
    wait_for_rewrite(&aof);
    append(&aof);
    aof.end();
    aof.note_rewriting();
    let path = snapshot(&disk);
    aof.rewritten_alone(|| Ok(manifest(&disk, &aof)), path, aof.turn()).unwrap();
    assert!(!aof.status().is_rewriting.load(SeqCst));
    assert_eq!(names(&manifest(&disk, &aof)), ["a.2.base.rdb"]);
}
