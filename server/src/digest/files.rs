//! The digest of files. An RDB file is read key by key and never held as a whole; an append-only file is replayed, by what
//! replays it when a server starts. Nothing is ever written, not even what a server would repair.

use super::{Digest, Digests};
use crate::aof;
use crate::config::{Config, Sources};
use crate::shared::{Shared, random_hex};
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tidegate_data::{Encodings, Record};
use tidegate_persistence::aof::{Aof, Place};
use tidegate_persistence::disk::{Disk, DiskFile, LogFile, RealDisk, directory_of, os_text};
use tidegate_persistence::rdb::Loader;

const MANIFEST: &str = ".manifest";

/// What counts.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Limits {
    /// Keys whose deadline is before this are left out, Unix milliseconds.
    pub(super) at_ms: i64,
    /// Databases that commands may select.
    pub(super) databases: usize,
}

impl Limits {
    fn is_over(self, record: &Record) -> bool {
        record.expiry_ms().is_some_and(|deadline_ms| deadline_ms < self.at_ms)
    }
}

/// The digest of an append-only file in its directory.
pub(super) fn of_directory(path: &Path, limits: Limits) -> Result<Digest, String> {
    let mut manifests: Vec<String> = std::fs::read_dir(path)
        .map_err(|error| os_text(&error))?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(MANIFEST))
        .collect();
    match (manifests.pop(), manifests.is_empty()) {
        (Some(name), true) => replay(place_of(path.to_owned(), &name), ReadOnly::default(), limits),
        (None, _) => Err("There is no manifest of an append-only file in this directory".to_owned()),
        (Some(_), false) => Err("There are several manifests in this directory: name one".to_owned()),
    }
}

fn place_of(dir: PathBuf, manifest: &str) -> Place {
    Place { dir, stem: manifest.strip_suffix(MANIFEST).unwrap_or(manifest).to_owned() }
}

/// The digest of a manifest's files, of an RDB file, or of an append-only file that is a single file.
pub(super) fn of_file(path: &Path, limits: Limits) -> Result<Digest, String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if name.ends_with(MANIFEST) {
        return replay(place_of(directory_of(path), &name), ReadOnly::default(), limits);
    }
    let failed = |error: io::Error| os_text(&error);
    let mut magic = Vec::new();
    let (file, size) = RealDisk.open(path).map_err(failed)?;
    file.take(6).read_to_end(&mut magic).map_err(failed)?;
    if (magic.starts_with(b"REDIS") || magic.starts_with(b"VALKEY"))
        && let Some(digest) = of_rdb(path, size, limits)?
    {
        return Ok(digest);
    }
    let place = Place { dir: directory_of(path), stem: name.clone() };
    // The manifest that a server writes when it finds such a file.
    let manifest = format!("file {name} seq 1 type b\n").into_bytes();
    let disk = ReadOnly { manifest: Some((place.manifest(), manifest)) };
    replay(place, disk, limits)
}

/// `None` when there is more behind the snapshot: commands.
fn of_rdb(path: &Path, size: u64, limits: Limits) -> Result<Option<Digest>, String> {
    let (file, _) = RealDisk.open(path).map_err(|error| os_text(&error))?;
    let mut note = |_| {};
    let loader = Loader::new(file, size, usize::MAX, Encodings::default(), true, &mut note);
    let mut loader = loader.map_err(|error| error.to_string())?;
    let mut digests = Digests::default();
    while let Some(entry) = loader.next_entry().map_err(|error| error.to_string())? {
        if !limits.is_over(&entry.record) {
            digests.add(entry.db, &entry.record);
        }
    }
    Ok((loader.offset() >= size).then(|| digests.total()))
}

/// Loads the files as a server does at its start.
fn replay(place: Place, disk: ReadOnly, limits: Limits) -> Result<Digest, String> {
    let mut config = Config::for_this_process();
    let settings = format!("databases {}\nio-threads 1\naof-load-truncated no\n", limits.databases);
    let sources = Sources { options: Some(settings.into_bytes()), ..Sources::default() };
    config.load(&sources).map_err(|error| error.to_string())?;
    let disk: Arc<dyn Disk> = Arc::new(disk);
    let journal = Arc::new(Aof::new(Arc::clone(&disk), place, random_hex(40)));
    let shared = Shared::new(config, &[], Arc::clone(&journal) as _)?;
    let shared = Arc::new(Shared { aof: Some(journal), disk, ..shared });
    let loaded = aof::load::load(&shared).map_err(|failure| failure.to_string())?;
    if loaded.is_none() {
        return Err("There is nothing in the manifest".to_owned());
    }
    if shared.loading.strays() > 0 {
        let databases = limits.databases;
        return Err(format!("The files use more than {databases} databases: say how many with --databases"));
    }
    let mut digests = Digests::default();
    shared.shards.hold_all().each(|_, data| {
        for db in 0..data.databases.count() {
            data.databases.table(db).for_each(&mut |record| {
                if !limits.is_over(record) {
                    digests.add(db, record);
                }
            });
        }
    });
    shared.journaled.store(false, Relaxed);
    Ok(digests.total())
}

/// The file system, without its writing half.
#[derive(Debug, Default)]
struct ReadOnly {
    /// A manifest that is not there, and is read all the same.
    manifest: Option<(PathBuf, Vec<u8>)>,
}

fn refused<T>() -> io::Result<T> {
    Err(io::ErrorKind::ReadOnlyFilesystem.into())
}

impl Disk for ReadOnly {
    fn open(&self, path: &Path) -> io::Result<(Box<dyn Read + Send>, u64)> {
        match &self.manifest {
            Some((name, text)) if name == path => {
                Ok((Box::new(Cursor::new(text.clone())), text.len() as u64))
            }
            _ => RealDisk.open(path),
        }
    }

    fn create(&self, _: &Path) -> io::Result<Box<dyn DiskFile>> {
        refused()
    }

    fn create_log(&self, _: &Path) -> io::Result<Arc<dyn LogFile>> {
        refused()
    }

    fn open_log(&self, _: &Path) -> io::Result<Arc<dyn LogFile>> {
        refused()
    }

    fn refresh(&self, _: &Path, _: u64) -> io::Result<()> {
        refused()
    }

    fn create_dir(&self, _: &Path) -> io::Result<()> {
        refused()
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        refused()
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        refused()
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        refused()
    }
}
