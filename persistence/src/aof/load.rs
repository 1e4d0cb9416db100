//! Loading an append-only file as a whole: which files there are, what is in them, and how their ends are repaired.
//!
//! [`Loading`] hands out what has to be replayed, piece by piece; who replays it is the caller's business. Only the last
//! file may end too early, or one that nothing follows: it is cut off behind its last whole unit, if that is allowed.
//! Everything else that is wrong is refused with Redis' words, because what follows would be replayed on a state that it
//! was never meant for.

use std::fmt;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use super::read::{End, Fault, Next, Piece, Reader};
use super::{File, Loaded, Manifest, ManifestError, Place, persist};
use crate::disk::{Disk, directory_of, os_text};
use crate::journal::Lsn;

/// A manifest of more bytes is none.
const MANIFEST_MAX: u64 = 16 << 20;
/// Where nobody knows how much of a file was synced, at most so many bytes at its end may not have been.
const UNSYNCED_MAX: u64 = 64 << 20;
/// What an RDB file begins with.
const RDB: [&[u8]; 2] = [b"REDIS", b"VALKEY"];

/// Why nothing is loaded. The texts are those of Redis.
#[derive(Debug)]
pub enum LoadError {
    /// The manifest makes no sense.
    Manifest(ManifestError),
    /// The manifest cannot be read.
    ManifestFile {
        /// Where it is.
        path: PathBuf,
        /// What the disk said.
        error: io::Error,
    },
    /// The manifest names a file that is not there.
    Missing {
        /// Its name.
        name: String,
    },
    /// A file cannot be opened.
    Open {
        /// Its name.
        name: String,
        /// What the disk said.
        error: io::Error,
    },
    /// A file cannot be read on.
    Read {
        /// Its name.
        name: String,
        /// What the disk said.
        error: io::Error,
    },
    /// A file ends too early, and may not be repaired.
    Short {
        /// Its name.
        name: String,
        /// Where what is right ends, in bytes.
        good: u64,
    },
    /// A file is damaged.
    Format {
        /// Its name.
        name: String,
        /// Where what is right ends, in bytes.
        good: u64,
        /// What is wrong there.
        fault: Fault,
    },
    /// A file ends too early, and others follow.
    NotLast {
        /// Its name.
        name: String,
        /// Where what is right ends, in bytes.
        good: u64,
    },
    /// A file cannot be cut off.
    Truncate {
        /// Its name.
        name: String,
        /// What the disk said.
        error: io::Error,
    },
    /// The file of an older version cannot be taken over.
    Upgrade {
        /// Its name.
        name: String,
        /// Where it should go.
        dir: PathBuf,
        /// What the disk said.
        error: io::Error,
    },
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Manifest(error) => write!(f, "*** FATAL AOF MANIFEST FILE ERROR ***\n{error}"),
            LoadError::ManifestFile { path, error } => write!(
                f,
                "Fatal error: can't open the AOF manifest file {} for reading: {}",
                path.display(),
                os_text(error)
            ),
            LoadError::Missing { name } => {
                write!(f, "The append log file {name} doesn't exist: No such file or directory")
            }
            LoadError::Open { name, error } => {
                write!(
                    f,
                    "Fatal error: can't open the append log file {name} for reading: {}",
                    os_text(error)
                )
            }
            LoadError::Read { name, error } => {
                write!(f, "Unrecoverable error reading the append only file {name}: {}", os_text(error))
            }
            LoadError::Short { name, .. } => write!(
                f,
                "Unexpected end of file reading the append only file {name}. You can: 1) Make a backup of your AOF file, \
                 then use ./redis-check-aof --fix <filename.manifest>. 2) Alternatively you can set the \
                 'aof-load-truncated' configuration option to yes and restart the server."
            ),
            LoadError::Format { name, .. } => write!(
                f,
                "Bad file format reading the append only file {name}: make a backup of your AOF file, then use \
                 ./redis-check-aof --fix <filename.manifest>"
            ),
            LoadError::NotLast { .. } => f.write_str("Fatal error: the truncated file is not the last file"),
            LoadError::Truncate { name, error } => {
                write!(f, "Error truncating the AOF file {name}: {}", os_text(error))
            }
            LoadError::Upgrade { name, dir, error } => write!(
                f,
                "Error trying to move the old AOF file {name} into dir {}: {}",
                dir.file_name().unwrap_or(dir.as_os_str()).to_string_lossy(),
                os_text(error)
            ),
        }
    }
}

impl std::error::Error for LoadError {}

/// The next thing to do.
pub enum Step {
    /// A file begins: for the log, and for figures.
    File {
        /// Its name.
        name: String,
        /// Bytes in it.
        size: u64,
        /// It is the state that the others start from.
        is_base: bool,
    },
    /// This RDB file is to be loaded, and then [`Loading::snapshot_ended`] to be called: commands may follow.
    Snapshot {
        /// The file.
        file: Box<dyn Read + Send>,
        /// Bytes in it.
        size: u64,
        /// It is the beginning of a single file that an older version wrote.
        is_preamble: bool,
    },
    /// Units to be replayed.
    Units(Piece),
    /// That was all.
    Done(Loaded),
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::File { name, .. } => f.debug_tuple("File").field(name).finish(),
            Step::Snapshot { size, .. } => f.debug_tuple("Snapshot").field(size).finish(),
            Step::Units(piece) => f.debug_tuple("Units").field(piece).finish(),
            Step::Done(loaded) => f.debug_tuple("Done").field(loaded).finish(),
        }
    }
}

/// Where it is within a file.
enum Stage {
    /// Not begun.
    Before,
    /// Its snapshot was handed out.
    Snapshot,
    Commands(Box<Reader>),
}

/// Loads the files one after the other.
pub struct Loading {
    disk: Arc<dyn Disk>,
    place: Place,
    manifest: Manifest,
    /// The base, if there is one, and the others, each with its size.
    files: Vec<(File, u64)>,
    present: usize,
    stage: Stage,
    /// The base is an RDB file.
    has_snapshot: bool,
    may_truncate: bool,
    loaded: Loaded,
}

impl fmt::Debug for Loading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loading")
            .field("files", &self.files)
            .field("present", &self.present)
            .finish_non_exhaustive()
    }
}

impl Loading {
    /// Looks what there is; `None` when there is nothing. A single file of an older version, beside the directory, is
    /// taken over. An end that was torn off is cut off only if `may_truncate`: `aof-load-truncated`.
    ///
    /// # Errors
    /// The manifest makes no sense, or names what is not there.
    pub fn begin(disk: Arc<dyn Disk>, place: Place, may_truncate: bool) -> Result<Option<Self>, LoadError> {
        let manifest = upgrade(&*disk, &place, read_manifest(&*disk, &place)?)?;
        if manifest.is_empty() {
            return Ok(None);
        }
        let mut files = Vec::new();
        for file in manifest.base.iter().chain(&manifest.incr) {
            let (_, size) = open(&*disk, &place, &file.name)?;
            files.push((file.clone(), size.min(file.size.unwrap_or(u64::MAX))));
        }
        let loaded = Loaded {
            size: files.iter().map(|(_, size)| size).sum(),
            base_size: manifest.base.as_ref().map_or(0, |_| files[0].1),
            ..Loaded::default()
        };
        let stage = Stage::Before;
        Ok(Some(Loading {
            disk,
            place,
            manifest,
            files,
            present: 0,
            stage,
            has_snapshot: false,
            may_truncate,
            loaded,
        }))
    }

    /// Bytes of all files together.
    pub fn size(&self) -> u64 {
        self.files.iter().map(|(_, size)| size).sum()
    }

    /// What comes next. After an error, or [`Step::Done`], nothing does.
    ///
    /// # Errors
    /// A file is damaged, or cannot be read.
    pub fn next_step(&mut self) -> Result<Step, LoadError> {
        loop {
            let Some((file, size)) = self.files.get(self.present).cloned() else {
                self.loaded.manifest = self.manifest.clone();
                return Ok(Step::Done(std::mem::take(&mut self.loaded)));
            };
            let name = file.name.clone();
            match &mut self.stage {
                Stage::Before => {
                    let is_base = self.present == 0 && self.manifest.base.is_some();
                    let is_rdb = is_base && is_rdb(&mut *open(&*self.disk, &self.place, &name)?.0, &name)?;
                    self.has_snapshot |= is_rdb;
                    self.stage = if is_rdb { Stage::Snapshot } else { self.commands(&file, 0)? };
                    return Ok(Step::File { name, size, is_base });
                }
                Stage::Snapshot => {
                    let (file, size) = open(&*self.disk, &self.place, &name)?;
                    let is_preamble = name == self.place.stem;
                    return Ok(Step::Snapshot { file, size, is_preamble });
                }
                Stage::Commands(reader) => {
                    let next = reader.next_piece();
                    match next.map_err(|error| LoadError::Read { name: name.clone(), error })? {
                        Next::Units(piece) => return Ok(Step::Units(piece)),
                        Next::End(end) => self.end_file(&name, size, &end)?,
                    }
                }
            }
        }
    }

    /// Takes the memory of a piece back, for others.
    pub fn give_back(&mut self, buffer: Vec<u8>) {
        if let Stage::Commands(reader) = &mut self.stage {
            reader.give_back(buffer);
        }
    }

    /// The snapshot was loaded: it took so many bytes of its file.
    ///
    /// # Errors
    /// The file cannot be read on.
    pub fn snapshot_ended(&mut self, offset: u64) -> Result<(), LoadError> {
        if let (Stage::Snapshot, Some((file, _))) = (&self.stage, self.files.get(self.present)) {
            self.stage = self.commands(&file.clone(), offset)?;
        }
        Ok(())
    }

    /// Commands begin at `offset` of this file.
    fn commands(&self, file: &File, offset: u64) -> Result<Stage, LoadError> {
        let name = file.name.clone();
        let (opened, _) = open(&*self.disk, &self.place, &name)?;
        let mut opened = opened.take(file.size.unwrap_or(u64::MAX));
        let skipped = io::copy(&mut opened.by_ref().take(offset), &mut io::sink());
        skipped.map_err(|error| LoadError::Read { name, error })?;
        let reader = Reader::new(Box::new(opened), offset).begun_by_us(file.has_batches);
        Ok(Stage::Commands(Box::new(reader)))
    }

    fn end_file(&mut self, name: &str, size: u64, end: &End) -> Result<(), LoadError> {
        let size = match end.fault {
            Some(fault) => self.repair(name, size, end, fault)?,
            None => size,
        };
        self.cut_surplus(name);
        let is_base = self.present == 0 && self.manifest.base.is_some();
        if !is_base {
            self.loaded.last_size = size;
            self.loaded.sealed_to = end.sealed_to.min(size);
        }
        if size > 0 && !(is_base && self.has_snapshot) {
            let synced = end.synced_to.max(size.saturating_sub(UNSYNCED_MAX));
            self.loaded.unsynced = Some((name.to_owned(), synced.min(size)));
        }
        self.loaded.lsn = lsn_at_end(self.loaded.lsn, end, if is_base { 0 } else { size });
        self.stage = Stage::Before;
        self.present += 1;
        Ok(())
    }

    /// Removes what does not count, for others that do not know so. It does no harm to us if that does not work.
    fn cut_surplus(&self, name: &str) {
        let Some(limit) = self.files.get(self.present).and_then(|(file, _)| file.size) else { return };
        let path = self.place.file(name);
        if self.disk.open(&path).is_ok_and(|(_, size)| size > limit) {
            let cut =
                self.disk.open_log(&path).and_then(|file| file.truncate(limit).and_then(|()| file.sync()));
            if let Err(error) = cut {
                tracing::warn!("Error truncating the AOF file {name}: {}", os_text(&error));
            }
        }
    }

    /// Cuts a file off, if that is allowed. Returns its new size.
    fn repair(&mut self, name: &str, size: u64, end: &End, fault: Fault) -> Result<u64, LoadError> {
        let End { good, at, .. } = *end;
        let name = name.to_owned();
        if !end.is_torn() {
            tracing::warn!("The AOF {name} is damaged ({fault:?}) at offset {at}; it is right up to {good}");
            return Err(LoadError::Format { name, good, fault });
        }
        if self.may_truncate {
            tracing::warn!("!!! Warning: short read while loading the AOF file {name}!!!");
        }
        // Nothing was ever built on the state that the missing end led to, if what follows is empty.
        if self.files[self.present + 1..].iter().any(|(_, size)| *size > 0) {
            return Err(LoadError::NotLast { name, good });
        }
        if !self.may_truncate {
            return Err(LoadError::Short { name, good });
        }
        tracing::warn!("!!! Truncating the AOF {name} at offset {good} !!!");
        let path = self.place.file(&name);
        let cut = self.disk.open_log(&path).and_then(|file| file.truncate(good).and_then(|()| file.sync()));
        cut.map_err(|error| LoadError::Truncate { name: name.clone(), error })?;
        tracing::warn!("AOF {name} loaded anyway because aof-load-truncated is enabled");
        self.loaded.size -= size - good;
        Ok(good)
    }
}

/// Position in the journal at the end of a file with so many bytes. One that has none in it goes on counting.
fn lsn_at_end(before: Lsn, end: &End, size: u64) -> Lsn {
    if end.sealed_to > 0 {
        before.max(end.lsn.saturating_add(size.saturating_sub(end.sealed_to)))
    } else {
        before.saturating_add(size)
    }
}

/// The manifest; an empty one when there is none.
///
/// # Errors
/// It makes no sense, or cannot be read.
pub fn read_manifest(disk: &dyn Disk, place: &Place) -> Result<Manifest, LoadError> {
    let path = place.manifest();
    let mut bytes = Vec::new();
    let read = disk.open(&path).and_then(|(file, _)| file.take(MANIFEST_MAX).read_to_end(&mut bytes));
    match read {
        Ok(_) => Manifest::parse(&bytes).map_err(LoadError::Manifest),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Manifest::default()),
        Err(error) => Err(LoadError::ManifestFile { path, error }),
    }
}

/// Takes over the single file that versions before Redis 7 kept beside the directory. The manifest that names it comes
/// first, so that a crash in between leaves a state that is completed next time.
fn upgrade(disk: &dyn Disk, place: &Place, manifest: Manifest) -> Result<Manifest, LoadError> {
    let name = &place.stem;
    let is_half_done = manifest.incr.is_empty()
        && manifest.base.as_ref().is_some_and(|base| base.name == *name)
        && disk.open(&place.file(name)).is_err();
    let parent = directory_of(&place.dir);
    let old = parent.join(name);
    if !(manifest.is_empty() || is_half_done) || disk.open(&old).is_err() {
        return Ok(manifest);
    }
    let upgraded = Manifest::upgraded(name);
    let result = disk
        .create_dir(&place.dir)
        .and_then(|()| disk.sync_dir(&parent))
        .and_then(|()| persist(disk, place, &upgraded))
        .and_then(|()| disk.rename(&old, &place.file(name)))
        .and_then(|()| disk.sync_dir(&place.dir))
        .and_then(|()| disk.sync_dir(&parent));
    result.map_err(|error| LoadError::Upgrade { name: name.clone(), dir: place.dir.clone(), error })?;
    tracing::info!(
        "Successfully migrated an old-style AOF file ({name}) into the AOF directory ({}).",
        place.dir.file_name().unwrap_or(place.dir.as_os_str()).to_string_lossy()
    );
    Ok(upgraded)
}

fn open(disk: &dyn Disk, place: &Place, name: &str) -> Result<(Box<dyn Read + Send>, u64), LoadError> {
    let name = name.to_owned();
    disk.open(&place.file(&name)).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => LoadError::Missing { name },
        _ => LoadError::Open { name, error },
    })
}

fn is_rdb(file: &mut dyn Read, name: &str) -> Result<bool, LoadError> {
    begins_as_rdb(file).map_err(|error| LoadError::Read { name: name.to_owned(), error })
}

/// Whether what follows in a file is an RDB file.
pub(super) fn begins_as_rdb(file: &mut dyn Read) -> io::Result<bool> {
    let mut magic = Vec::new();
    file.take(6).read_to_end(&mut magic)?;
    Ok(RDB.iter().any(|word| magic.starts_with(word)))
}
