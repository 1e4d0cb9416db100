use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tidegate_data::{Encodings, Record, StringEncoding, ValueRef};

use super::*;
use crate::disk::{Disk, DiskFile, LogFile};

type Files = Arc<Mutex<BTreeMap<PathBuf, Vec<u8>>>>;

/// Files in memory. One step can be made to fail, by its name.
#[derive(Debug, Default)]
struct MemoryDisk {
    files: Files,
    fails: Option<&'static str>,
    steps: Arc<Mutex<Vec<String>>>,
}

#[derive(Debug)]
struct MemoryFile {
    path: PathBuf,
    files: Files,
    fails: Option<&'static str>,
    steps: Arc<Mutex<Vec<String>>>,
}

impl MemoryDisk {
    fn step(&self, name: &'static str) -> io::Result<()> {
        self.steps.lock().unwrap().push(name.to_owned());
        if self.fails == Some(name) { Err(io::Error::from_raw_os_error(28)) } else { Ok(()) }
    }

    fn content(&self, path: &str) -> Option<Vec<u8>> {
        self.files.lock().unwrap().get(Path::new(path)).cloned()
    }
}

impl Disk for MemoryDisk {
    fn open(&self, path: &Path) -> io::Result<(Box<dyn Read + Send>, u64)> {
        let content = self.files.lock().unwrap().get(path).cloned().ok_or(io::ErrorKind::NotFound)?;
        let size = content.len() as u64;
        Ok((Box::new(io::Cursor::new(content)), size))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.step("create")?;
        self.files.lock().unwrap().insert(path.to_owned(), Vec::new());
        let (files, steps) = (Arc::clone(&self.files), Arc::clone(&self.steps));
        Ok(Box::new(MemoryFile { path: path.to_owned(), files, fails: self.fails, steps }))
    }

    fn create_log(&self, _: &Path) -> io::Result<Arc<dyn LogFile>> {
        unreachable!("a snapshot is no log")
    }

    fn open_log(&self, _: &Path) -> io::Result<Arc<dyn LogFile>> {
        unreachable!("a snapshot is no log")
    }

    fn refresh(&self, _path: &Path, _from: u64) -> io::Result<()> {
        unreachable!("no RDB file is appended to")
    }

    fn create_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step("rename")?;
        let mut files = self.files.lock().unwrap();
        let content = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), content);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.files.lock().unwrap().remove(path).map(|_| ()).ok_or(io::ErrorKind::NotFound.into())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        self.step("sync_dir")
    }
}

impl Write for MemoryFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.fails == Some("write") {
            return Err(io::Error::from_raw_os_error(28));
        }
        self.files.lock().unwrap().get_mut(&self.path).unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl DiskFile for MemoryFile {
    fn sync(&mut self) -> io::Result<()> {
        self.steps.lock().unwrap().push("sync".to_owned());
        if self.fails == Some("sync") { Err(io::Error::from_raw_os_error(5)) } else { Ok(()) }
    }

    fn rewrite(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let mut files = self.files.lock().unwrap();
        files.get_mut(&self.path).unwrap()[at as usize..][..bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
}

fn header() -> Header {
    Header { aux: vec![("redis-ver", "7.0.15".into())], compress: true, checksum: true, sync_often: true }
}

fn string(key: &str, value: &str, expiry_ms: Option<i64>) -> Record {
    Record::new_bytes(key.as_bytes(), value.as_bytes(), StringEncoding::Embstr, expiry_ms)
}

fn fill(saver: &mut Saver) {
    saver.database(0, 2, 1);
    saver.entry(&(&string("a", "hello", None)).into(), None, None);
    saver.entry(&(&string("b", &"long".repeat(100), Some(1_700_000_000_000))).into(), Some(77), None);
    saver.database(9, 1, 0);
    saver.entry(&(&Record::new_int(b"n", -5, None)).into(), None, Some(200));
}

fn line(Entry { db, record, idle_s, frequency }: Entry) -> String {
    let key = String::from_utf8_lossy(record.key()).into_owned();
    let size = record.value().string(&mut [0; 20]).map_or(0, <[u8]>::len);
    let expiry_ms = record.expiry_ms();
    format!("{db} {key} {size} {expiry_ms:?} {idle_s:?} {frequency:?}")
}

/// Everything in a file, one line each, whether it is read key by key or in parts.
fn lines(content: &[u8]) -> Result<Vec<String>, LoadError> {
    let whole = lines_of_keys(content);
    let parts = lines_of_parts(content);
    assert_eq!(format!("{whole:?}"), format!("{parts:?}"));
    whole
}

fn lines_of_parts(content: &[u8]) -> Result<Vec<String>, LoadError> {
    let mut notes = Vec::new();
    let mut note = |note: Note| notes.push(format!("{note:?}"));
    let file = Box::new(io::Cursor::new(content.to_vec()));
    let mut loader = Loader::new(file, content.len() as u64, 16, Encodings::default(), true, &mut note)?;
    let (mut lines, mut empty) = (Vec::new(), Vec::new());
    while let Some(found) = loader.next_found()? {
        match found {
            Found::Entry(entry) => lines.push(line(entry)),
            Found::Part(part) => {
                let mut each = |entry| {
                    lines.push(line(entry));
                    true
                };
                part.decode(&mut each, &mut |key| {
                    empty.push(format!("{:?}", Note::Empty(key.to_vec())));
                })?;
                loader.give_back(part.into_buffer());
            }
        }
    }
    assert!(loader.next_found()?.is_none());
    assert!(loader.offset() <= content.len() as u64);
    drop(loader);
    notes.append(&mut empty);
    notes.append(&mut lines);
    Ok(notes)
}

fn lines_of_keys(content: &[u8]) -> Result<Vec<String>, LoadError> {
    let mut notes = Vec::new();
    let mut note = |note: Note| notes.push(format!("{note:?}"));
    let file = Box::new(io::Cursor::new(content.to_vec()));
    let mut loader = Loader::new(file, content.len() as u64, 16, Encodings::default(), true, &mut note)?;
    let mut lines = Vec::new();
    while let Some(entry) = loader.next_entry()? {
        lines.push(line(entry));
    }
    assert!(loader.next_entry()?.is_none());
    drop(loader);
    notes.append(&mut lines);
    Ok(notes)
}

#[test]
fn what_is_saved_is_loaded() {
    let disk = MemoryDisk::default();
    let path = Path::new("dir/dump.rdb");
    let size = save(&disk, path, &header(), &mut fill).unwrap();
    let content = disk.content("dir/dump.rdb").unwrap();
    assert_eq!((content.len() as u64, &content[..9]), (size, &b"REDIS0010"[..]));
    assert_eq!(*disk.steps.lock().unwrap(), ["create", "sync", "rename", "sync_dir"]);
    let expected = [
        "Aux { name: [114, 101, 100, 105, 115, 45, 118, 101, 114], value: [55, 46, 48, 46, 49, 53] }",
        "0 a 5 None None None",
        "0 b 400 Some(1700000000000) Some(77) None",
        "9 n 2 None None Some(200)",
    ];
    assert_eq!(lines(&content).unwrap(), expected);
}

#[test]
fn many_keys_come_in_parts_and_large_ones_alone() {
    let disk = MemoryDisk::default();
    let large: Vec<u8> = (0..1u32 << 19).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let mut fill = |saver: &mut Saver| {
        saver.database(0, 9, 0);
        for number in 0..30_000 {
            let expiry_ms = (number % 3 == 0).then_some(1_700_000_000_000 + number);
            saver.entry(&(&string(&format!("key {number}"), "value", expiry_ms)).into(), None, Some(7));
            if number % 10_000 == 0 {
                let key = format!("large {number}");
                let record = Record::new_bytes(key.as_bytes(), &large, StringEncoding::Raw, None);
                saver.entry(&(&record).into(), None, None);
            }
        }
    };
    save(&disk, Path::new("dump.rdb"), &Header { compress: false, ..header() }, &mut fill).unwrap();
    let content = disk.content("dump.rdb").unwrap();
    assert_eq!(lines(&content).unwrap().len(), 30_004);
    let mut note = |_| {};
    let file = Box::new(io::Cursor::new(content.clone()));
    let mut loader =
        Loader::new(file, content.len() as u64, 16, Encodings::default(), true, &mut note).unwrap();
    let (mut parts, mut alone) = (0, 0);
    while let Some(found) = loader.next_found().unwrap() {
        if matches!(found, Found::Part(_)) { parts += 1 } else { alone += 1 }
    }
    // The first key of the database comes with what stands before it.
    assert_eq!((parts > 2, parts < 20, alone), (true, true, 4));
}

#[test]
fn every_cut_and_every_flipped_bit_is_noticed() {
    let disk = MemoryDisk::default();
    save(&disk, Path::new("dump.rdb"), &header(), &mut fill).unwrap();
    let content = disk.content("dump.rdb").unwrap();
    for len in 0..content.len() {
        assert!(lines(&content[..len]).is_err(), "cut at {len}");
    }
    for at in 0..content.len() {
        for bit in 0..8 {
            let mut damaged = content.clone();
            damaged[at] ^= 1 << bit;
            assert!(lines(&damaged).is_err(), "byte {at} bit {bit}");
        }
    }
}

#[test]
fn a_failure_leaves_the_old_file() {
    for fails in ["create", "write", "sync", "rename"] {
        let mut disk = MemoryDisk::default();
        disk.files.lock().unwrap().insert("dump.rdb".into(), b"old".to_vec());
        disk.fails = Some(fails);
        let error = save(&disk, Path::new("dump.rdb"), &header(), &mut fill).unwrap_err();
        assert!(!error.to_string().is_empty());
        assert_eq!(disk.content("dump.rdb").as_deref(), Some(&b"old"[..]), "{fails}");
        assert_eq!(disk.files.lock().unwrap().len(), 1, "{fails} leaves nothing else");
    }
}

#[test]
fn a_large_file_is_synced_on_the_way() {
    let disk = MemoryDisk::default();
    let value: Vec<u8> = (0..1u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let mut fill = |saver: &mut Saver| {
        saver.database(0, 9, 0);
        for number in 0..9 {
            let key = format!("key {number}");
            let record = Record::new_bytes(key.as_bytes(), &value, StringEncoding::Raw, None);
            saver.entry(&(&record).into(), None, None);
        }
    };
    let header = Header { compress: false, ..header() };
    save(&disk, Path::new("dump.rdb"), &header, &mut fill).unwrap();
    let syncs = disk.steps.lock().unwrap().iter().filter(|step| *step == "sync").count();
    // After each 2 MiB of nine, and at the end.
    assert_eq!(syncs, 5);
    assert_eq!(lines(&disk.content("dump.rdb").unwrap()).unwrap().len(), 10);
}

#[test]
fn a_value_that_redis_cannot_hold_raises_the_version() {
    let disk = MemoryDisk::default();
    let mut hash = tidegate_data::Hash::default();
    let limits = Encodings::default().hash_limits();
    hash.set(b"f", b"v", tidegate_data::Expiry::At(1_900_000_000_000), limits);
    let record = Record::new_collection(b"h", hash, None);
    let mut fill = |saver: &mut Saver| {
        saver.database(0, 1, 0);
        saver.entry(&(&record).into(), None, None);
    };
    save(&disk, Path::new("dump.rdb"), &header(), &mut fill).unwrap();
    let content = disk.content("dump.rdb").unwrap();
    assert_eq!(&content[..9], b"REDIS0012");
    assert_eq!(lines(&content).unwrap().len(), 2);
}

#[test]
fn without_a_checksum_nothing_is_verified() {
    let disk = MemoryDisk::default();
    let header = Header { checksum: false, ..header() };
    save(&disk, Path::new("dump.rdb"), &header, &mut fill).unwrap();
    let content = disk.content("dump.rdb").unwrap();
    assert_eq!(content[content.len() - 8..], [0; 8]);
    assert_eq!(lines(&content).unwrap().len(), 4);
}

#[test]
fn files_of_all_ages() {
    // Redis 1.0 wrote seconds and no checksum.
    let old = b"REDIS0001\xfe\x00\xfd\x00\x94\x35\x77\x00\x01k\x01v\xff";
    assert_eq!(lines(old).unwrap(), ["0 k 1 Some(2000000000000) None None"]);
    for (magic, expected) in [
        (&b"REDIS0011"[..], true),
        (b"REDIS0012", true),
        (b"REDIS0013", false),
        (b"REDIS0000", false),
        (b"REDIS9001", true),
        (b"VALKEY080", true),
        (b"VALKEY081", false),
    ] {
        let file = [magic, b"\xf5\x03lua\xf4\x01\x01\x00\xff\0\0\0\0\0\0\0\0"].concat();
        assert_eq!(lines(&file).is_ok(), expected, "{}", magic.escape_ascii());
    }
    assert!(matches!(lines(b"REDUS0010\xff"), Err(LoadError::Signature)));
    assert!(matches!(lines(b"REDIS00x0\xff"), Err(LoadError::Signature)));
    assert!(matches!(lines(b"REDIS0010\xfe\x10\xff"), Err(LoadError::Database(16))));
    assert!(matches!(lines(b"REDIS0010\xf0"), Err(LoadError::Value { .. })));
    let empty = [&b"REDIS0010\x01\x01k\x00\x00\x01n\x01v\xff"[..], &[0; 8]].concat();
    assert_eq!(lines(&empty).unwrap(), ["Empty([107])", "0 n 1 None None None"]);
}

#[test]
fn a_disk_that_cannot_be_read_is_no_damage() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::from_raw_os_error(5))
        }
    }
    let mut note = |_: Note| {};
    let result = Loader::new(Box::new(Broken), 1000, 16, Encodings::default(), true, &mut note);
    assert!(matches!(result, Err(LoadError::Io(_))));
    assert!(matches!(string("k", "v", None).value(), ValueRef::Bytes { .. }));
}
