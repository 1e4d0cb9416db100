//! A disk in memory that loses what real ones lose: for tests of what survives.
//!
//! The process sees a file system that works. What would be there after the power failed is kept beside it: per file the
//! bytes that were synced and the changes since, per directory the names that were created, changed and removed since it
//! was synced. [`SimDisk::crash`] decides by lot what of these came through. Faults happen at random ([`Faults`]) or at
//! one call ([`SimDisk::crash_at`]), so a run is repeated by its seed.
//!
//! A sync that fails does what Linux does: the pages are dropped and no longer dirty, reading still shows them, and the
//! next sync says that all is well.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, Cursor, IoSlice, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::disk::{Disk, DiskFile, LogFile, directory_of};

/// Bytes that reach the disk together, unless they are torn.
const PAGE: usize = 4096;
/// Bytes that reach the disk together in any case.
const SECTOR: usize = 512;

/// How the process and its machine end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// The process is killed: the kernel keeps all that it has.
    Kill,
    /// The power fails; names and bytes reached the disk in order, mostly.
    Ordered,
    /// The power fails; whatever was not synced came through or did not.
    Reordered,
}

/// How often calls fail, in 1000.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// Appending, after some of the bytes or none.
    pub write: u32,
    /// Appending only some of the bytes, without an error.
    pub short: u32,
    /// Syncing a file.
    pub sync: u32,
    /// Creating, opening for appending, renaming, removing, cutting off, syncing a directory.
    pub other: u32,
}

/// Numbers that look random.
#[derive(Debug, Clone)]
pub struct Lot(u64);

impl Lot {
    /// The same for the same seed.
    pub fn new(seed: u64) -> Self {
        Lot(seed ^ 0x9e37_79b9_7f4a_7c15)
    }

    /// One of `0..below`.
    pub fn pick(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % below.max(1) as u64) as usize
    }

    /// True `of_1000` times in 1000.
    pub fn hits(&mut self, of_1000: u32) -> bool {
        self.pick(1000) < of_1000 as usize
    }
}

#[derive(Debug, Clone)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Truncate(usize),
}

#[derive(Debug, Default, Clone)]
struct Inode {
    /// What reading shows.
    now: Vec<u8>,
    /// What was synced.
    durable: Vec<u8>,
    /// What would be synced.
    pending: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Entry {
    /// This name is this file.
    Link(PathBuf, usize),
    /// This name is another's now.
    Rename(PathBuf, PathBuf, usize),
    Unlink(PathBuf),
    Directory(PathBuf),
}

impl Entry {
    /// Which directories have to be synced for it: one of them.
    fn directories(&self) -> Vec<PathBuf> {
        match self {
            Entry::Link(path, _) | Entry::Unlink(path) | Entry::Directory(path) => vec![directory_of(path)],
            Entry::Rename(from, to, _) => vec![directory_of(from), directory_of(to)],
        }
    }
}

#[derive(Debug, Default, Clone)]
struct Names {
    files: BTreeMap<PathBuf, usize>,
    directories: BTreeSet<PathBuf>,
}

impl Names {
    fn apply(&mut self, entry: &Entry) {
        match entry {
            Entry::Link(path, inode) => {
                self.files.insert(path.clone(), *inode);
            }
            Entry::Rename(from, to, inode) => {
                if self.files.get(from) == Some(inode) {
                    self.files.remove(from);
                }
                self.files.insert(to.clone(), *inode);
            }
            Entry::Unlink(path) => {
                self.files.remove(path);
            }
            Entry::Directory(path) => {
                self.directories.insert(path.clone());
            }
        }
    }
}

#[derive(Debug)]
struct State {
    inodes: Vec<Inode>,
    now: Names,
    durable: Names,
    pending: Vec<Entry>,
    lot: Lot,
    faults: Faults,
    /// Bytes that may still be written.
    space: Option<u64>,
    calls: u64,
    crash_at: Option<u64>,
    is_down: bool,
    /// Files opened before the last crash are no good any more.
    boots: u64,
    log: Vec<String>,
}

/// The disk. Clones are the same disk.
#[derive(Clone)]
pub struct SimDisk(Arc<Mutex<State>>);

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimDisk").field("calls", &self.state().calls).finish_non_exhaustive()
    }
}

fn failed(what: &str) -> io::Error {
    io::Error::other(format!("Input/output error ({what})"))
}

impl SimDisk {
    /// An empty disk with these directories, whose lots are those of `seed`.
    pub fn new(seed: u64, directories: &[&str]) -> Self {
        let directories: BTreeSet<PathBuf> = directories.iter().map(PathBuf::from).collect();
        let names = Names { directories, ..Names::default() };
        SimDisk(Arc::new(Mutex::new(State {
            inodes: Vec::new(),
            now: names.clone(),
            durable: names,
            pending: Vec::new(),
            lot: Lot::new(seed),
            faults: Faults::default(),
            space: None,
            calls: 0,
            crash_at: None,
            is_down: false,
            boots: 0,
            log: Vec::new(),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What goes wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.state().faults = faults;
    }

    /// So many more bytes can be written; `None` for as many as there are.
    pub fn set_space(&self, bytes: Option<u64>) {
        self.state().space = bytes;
    }

    /// Calls that change something so far.
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// The machine stops in the middle of the call with this number, counted as [`SimDisk::calls`] does.
    pub fn crash_at(&self, call: Option<u64>) {
        self.state().crash_at = call;
    }

    /// True when the machine has stopped: all calls fail until [`SimDisk::crash`].
    pub fn is_down(&self) -> bool {
        self.state().is_down
    }

    /// The end of the process, or of the machine; then it starts again, without faults. Files that are open are closed.
    pub fn crash(&self, crash: Crash) {
        let mut state = self.state();
        let state = &mut *state;
        state.boots += 1;
        state.is_down = false;
        state.crash_at = None;
        state.faults = Faults::default();
        state.space = None;
        state.note(|| format!("-- {crash:?}"));
        if crash != Crash::Kill {
            state.lose(crash == Crash::Reordered);
        }
    }

    /// What was done so far, for a report.
    pub fn history(&self) -> String {
        self.state().log.join("\n")
    }

    /// The bytes of a file.
    pub fn bytes(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.state();
        state.now.files.get(path).map(|inode| state.inodes[*inode].now.clone())
    }

    /// Makes a file with these bytes, all on the disk.
    pub fn put(&self, path: &Path, bytes: &[u8]) {
        let mut state = self.state();
        let id = state.inodes.len();
        let (now, durable) = (bytes.to_vec(), bytes.to_vec());
        state.inodes.push(Inode { now, durable, pending: Vec::new() });
        state.now.files.insert(path.to_owned(), id);
        state.durable.files.insert(path.to_owned(), id);
    }

    /// The names of all files.
    pub fn names(&self) -> Vec<PathBuf> {
        self.state().now.files.keys().cloned().collect()
    }
}

impl State {
    fn note(&mut self, text: impl FnOnce() -> String) {
        if self.log.len() > 4000 {
            self.log.drain(..2000);
        }
        let text = format!("{:5} {}", self.calls, text());
        self.log.push(text);
    }

    /// One more call: false when the machine stops in it, or has stopped.
    fn call(&mut self, what: impl FnOnce() -> String) -> bool {
        if self.is_down {
            return false;
        }
        self.calls += 1;
        self.note(what);
        if self.crash_at == Some(self.calls) {
            self.is_down = true;
            self.note(|| "   stops".to_owned());
        }
        true
    }

    fn other(&mut self, what: &str) -> io::Result<()> {
        // Half the calls in which it stops are done, half are not.
        if self.is_down && self.lot.pick(2) == 0 {
            return Err(failed("power"));
        }
        if self.lot.hits(self.faults.other) {
            self.note(|| "   fails".to_owned());
            return Err(failed(what));
        }
        Ok(())
    }

    fn enter(&mut self, entry: Entry) {
        self.now.apply(&entry);
        self.pending.push(entry);
    }

    fn file(&mut self, path: &Path) -> io::Result<usize> {
        if !self.now.directories.contains(&directory_of(path)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let id = self.inodes.len();
        self.inodes.push(Inode::default());
        self.enter(Entry::Link(path.to_owned(), id));
        Ok(id)
    }

    fn append(&mut self, inode: usize, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let size: usize = slices.iter().map(|slice| slice.len()).sum();
        if !self.call(|| format!("append {size} to {inode}")) {
            return Err(failed("power"));
        }
        let mut most = size;
        let mut result = Ok(());
        if self.is_down {
            (most, result) = (self.lot.pick(size + 1), Err(failed("power")));
        } else if self.lot.hits(self.faults.write) {
            (most, result) = (self.lot.pick(size + 1), Err(failed("write")));
            if self.lot.pick(2) == 0 {
                most = 0;
            }
        } else if self.lot.hits(self.faults.short) {
            most = 1 + self.lot.pick(size);
        }
        if let Some(space) = self.space {
            most = most.min(space as usize);
            if most == 0 && size > 0 {
                result = Err(io::Error::new(io::ErrorKind::StorageFull, "No space left on device"));
            }
            self.space = Some(space - most as u64);
        }
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).take(most).collect();
        let inode = &mut self.inodes[inode];
        let offset = inode.now.len();
        if !bytes.is_empty() {
            inode.now.extend_from_slice(&bytes);
            inode.pending.push(Change::Write { offset, bytes });
        }
        if most < size {
            self.note(|| format!("   only {most}"));
        }
        result.map(|()| most)
    }

    fn sync(&mut self, inode: usize) -> io::Result<()> {
        if !self.call(|| format!("sync {inode}")) {
            return Err(failed("power"));
        }
        let power = self.is_down;
        if power && self.lot.pick(2) == 0 {
            return Err(failed("power"));
        }
        let fails = !power && self.lot.hits(self.faults.sync);
        if fails {
            self.note(|| "   fails".to_owned());
        }
        let Inode { durable, pending, .. } = &mut self.inodes[inode];
        for change in pending.drain(..) {
            match change {
                // A cut is no page: it is in the journal of the file system.
                Change::Truncate(size) => durable.resize(size, 0),
                Change::Write { .. } if fails => {}
                Change::Write { offset, bytes } => write_at(durable, offset, &bytes),
            }
        }
        if power || fails { Err(failed("sync")) } else { Ok(()) }
    }

    /// The power fails.
    fn lose(&mut self, reordered: bool) {
        let pending = std::mem::take(&mut self.pending);
        let directories: BTreeSet<PathBuf> =
            pending.iter().map(|entry| entry.directories()[0].clone()).collect();
        for directory in directories {
            let of_it: Vec<&Entry> =
                pending.iter().filter(|entry| entry.directories()[0] == directory).collect();
            let most = self.lot.pick(of_it.len() + 1);
            let share = [0, 500, 1000][self.lot.pick(3)];
            for (index, entry) in of_it.into_iter().enumerate() {
                if if reordered { self.lot.hits(share) } else { index < most } {
                    self.durable.apply(entry);
                }
            }
        }
        let Names { files, directories } = &mut self.durable;
        files.retain(|path, _| directories.contains(&directory_of(path)));
        self.now = self.durable.clone();
        for inode in &mut self.inodes {
            inode.lose(reordered || self.lot.pick(2) == 0, &mut self.lot);
        }
    }
}

impl Inode {
    fn lose(&mut self, reordered: bool, lot: &mut Lot) {
        let pending = std::mem::take(&mut self.pending);
        let share = [0, 500, 1000][lot.pick(3)];
        let most = lot.pick(pending.len() + 1);
        let mut full = self.durable.len();
        for part in pending.split_inclusive(|change| matches!(change, Change::Truncate(_))) {
            let writes: Vec<(usize, &[u8])> = part
                .iter()
                .filter_map(|change| match change {
                    Change::Write { offset, bytes } => Some((*offset, bytes.as_slice())),
                    Change::Truncate(_) => None,
                })
                .collect();
            full = writes.iter().map(|(offset, bytes)| offset + bytes.len()).fold(full, usize::max);
            if reordered {
                self.keep_pages(&writes, share, lot);
            }
            if let Some(Change::Truncate(size)) = part.last()
                && reordered
                && lot.hits(share)
            {
                self.durable.resize(*size, 0);
                full = *size;
            }
        }
        if !reordered {
            for (index, change) in pending.iter().take(most).enumerate() {
                match change {
                    Change::Truncate(size) => self.durable.resize(*size, 0),
                    Change::Write { offset, bytes } => {
                        let end = offset + bytes.len();
                        let sector = (offset / SECTOR + lot.pick(bytes.len() / SECTOR + 2)) * SECTOR;
                        let is_torn = index + 1 == most && lot.pick(2) == 0;
                        let cut = if is_torn { sector.clamp(*offset, end) - offset } else { bytes.len() };
                        write_at(&mut self.durable, *offset, &bytes[..cut]);
                    }
                }
            }
        } else if lot.pick(2) == 0 && self.durable.len() < full {
            // The file may have become as long as it was, without what was in it.
            self.durable.resize(full, 0);
        }
        self.now = self.durable.clone();
    }

    /// Each page is on the disk as it was after some of the writes, because the kernel writes it as a whole; or only its
    /// first sectors are.
    fn keep_pages(&mut self, writes: &[(usize, &[u8])], share: u32, lot: &mut Lot) {
        let pages = |(offset, bytes): &(usize, &[u8])| offset / PAGE..(offset + bytes.len()).div_ceil(PAGE);
        let touched: BTreeSet<usize> = writes.iter().flat_map(pages).collect();
        for page in touched {
            if !lot.hits(share) {
                continue;
            }
            let of_it: Vec<_> = writes.iter().filter(|write| pages(write).contains(&page)).collect();
            let most = if lot.pick(2) == 0 { of_it.len() } else { lot.pick(of_it.len() + 1) };
            let sectors = if lot.pick(4) == 0 { lot.pick(PAGE / SECTOR) } else { PAGE / SECTOR };
            let (begin, end) = (page * PAGE, page * PAGE + sectors * SECTOR);
            for (offset, bytes) in of_it.into_iter().take(most) {
                let (first, last) = ((*offset).max(begin), (offset + bytes.len()).min(end));
                if first < last {
                    write_at(&mut self.durable, first, &bytes[first - offset..last - offset]);
                }
            }
        }
    }
}

fn write_at(file: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if bytes.is_empty() {
        return;
    }
    if file.len() < end {
        file.resize(end, 0);
    }
    file[offset..end].copy_from_slice(bytes);
}

/// A file that is open.
#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    inode: usize,
    boot: u64,
}

impl SimFile {
    fn state(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.disk.state();
        if state.boots == self.boot { Ok(state) } else { Err(failed("it was opened before the crash")) }
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path) -> io::Result<(Box<dyn Read + Send>, u64)> {
        let state = self.state();
        if state.is_down {
            return Err(failed("power"));
        }
        let inode = state.now.files.get(path).ok_or(io::ErrorKind::NotFound)?;
        let bytes = state.inodes[*inode].now.clone();
        let size = bytes.len() as u64;
        Ok((Box::new(Cursor::new(bytes)), size))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        if !state.call(|| format!("create {}", path.display())) {
            return Err(failed("power"));
        }
        state.other("create")?;
        let inode = match state.now.files.get(path).copied() {
            Some(inode) => {
                state.inodes[inode].now.clear();
                state.inodes[inode].pending.push(Change::Truncate(0));
                inode
            }
            None => state.file(path)?,
        };
        Ok(Box::new(SimFile { disk: self.clone(), inode, boot: state.boots }))
    }

    fn create_log(&self, path: &Path) -> io::Result<Arc<dyn LogFile>> {
        let mut state = self.state();
        if !state.call(|| format!("create log {}", path.display())) {
            return Err(failed("power"));
        }
        state.other("create")?;
        if state.now.files.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = state.file(path)?;
        state.note(|| format!("   is {inode}"));
        Ok(Arc::new(SimFile { disk: self.clone(), inode, boot: state.boots }))
    }

    fn open_log(&self, path: &Path) -> io::Result<Arc<dyn LogFile>> {
        let mut state = self.state();
        if !state.call(|| format!("open log {}", path.display())) {
            return Err(failed("power"));
        }
        state.other("open")?;
        let inode = *state.now.files.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(SimFile { disk: self.clone(), inode, boot: state.boots }))
    }

    fn refresh(&self, path: &Path, from: u64) -> io::Result<()> {
        let mut state = self.state();
        if !state.call(|| format!("refresh {} from {from}", path.display())) {
            return Err(failed("power"));
        }
        state.other("refresh")?;
        let id = *state.now.files.get(path).ok_or(io::ErrorKind::NotFound)?;
        let inode = &mut state.inodes[id];
        let offset = (from as usize).min(inode.now.len());
        let bytes = inode.now[offset..].to_vec();
        if !bytes.is_empty() {
            inode.pending.push(Change::Write { offset, bytes });
        }
        state.sync(id)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        if !state.call(|| format!("create directory {}", path.display())) {
            return Err(failed("power"));
        }
        state.other("create")?;
        if !state.now.directories.contains(path) {
            state.enter(Entry::Directory(path.to_owned()));
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        if !state.call(|| format!("rename {} to {}", from.display(), to.display())) {
            return Err(failed("power"));
        }
        state.other("rename")?;
        let inode = *state.now.files.get(from).ok_or(io::ErrorKind::NotFound)?;
        state.enter(Entry::Rename(from.to_owned(), to.to_owned(), inode));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        if !state.now.files.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        if !state.call(|| format!("remove {}", path.display())) {
            return Err(failed("power"));
        }
        state.other("remove")?;
        state.enter(Entry::Unlink(path.to_owned()));
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        let state = &mut *state;
        if !state.call(|| format!("sync directory {}", dir.display())) {
            return Err(failed("power"));
        }
        state.other("sync")?;
        for entry in std::mem::take(&mut state.pending) {
            if entry.directories().iter().any(|directory| directory == dir) {
                state.durable.apply(&entry);
            } else {
                state.pending.push(entry);
            }
        }
        if state.is_down { Err(failed("power")) } else { Ok(()) }
    }
}

impl LogFile for SimFile {
    fn append(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.state()?.append(self.inode, slices)
    }

    fn sync(&self) -> io::Result<()> {
        self.state()?.sync(self.inode)
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        let mut state = self.state()?;
        let inode = self.inode;
        if !state.call(|| format!("truncate {inode} to {size}")) {
            return Err(failed("power"));
        }
        state.other("truncate")?;
        let inode = &mut state.inodes[inode];
        inode.now.resize(size as usize, 0);
        inode.pending.push(Change::Truncate(size as usize));
        Ok(())
    }
}

impl Write for SimFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.state()?.append(self.inode, &[IoSlice::new(bytes)])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl DiskFile for SimFile {
    fn rewrite(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state()?;
        let (inode, offset) = (self.inode, at as usize);
        if !state.call(|| format!("rewrite {inode} at {offset}")) {
            return Err(failed("power"));
        }
        state.other("rewrite")?;
        let inode = &mut state.inodes[inode];
        write_at(&mut inode.now, offset, bytes);
        inode.pending.push(Change::Write { offset, bytes: bytes.to_vec() });
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.state()?.sync(self.inode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> PathBuf {
        Path::new("/d").join(name)
    }

    #[test]
    fn what_was_synced_survives_and_the_rest_may_not() {
        let (mut kept, mut lost) = (0, 0);
        for seed in 0..200 {
            let disk = SimDisk::new(seed, &["/d"]);
            let file = disk.create_log(&path("a")).unwrap();
            file.append(&[IoSlice::new(b"synced")]).unwrap();
            file.sync().unwrap();
            disk.sync_dir(Path::new("/d")).unwrap();
            file.append(&[IoSlice::new(b" and not")]).unwrap();
            disk.crash(if seed % 2 == 0 { Crash::Ordered } else { Crash::Reordered });
            let bytes = disk.bytes(&path("a")).unwrap();
            assert!(bytes.starts_with(b"synced"));
            if bytes == b"synced and not" {
                kept += 1;
            } else {
                lost += 1;
            }
            assert!(file.append(&[IoSlice::new(b"x")]).is_err(), "it was opened before");
        }
        assert!(kept > 20 && lost > 20);
    }

    #[test]
    fn a_name_survives_when_its_directory_was_synced() {
        let mut lost = 0;
        for seed in 0..100 {
            let disk = SimDisk::new(seed, &["/d"]);
            disk.create(&path("a")).unwrap();
            disk.sync_dir(Path::new("/d")).unwrap();
            disk.rename(&path("a"), &path("b")).unwrap();
            disk.crash(Crash::Reordered);
            let names = disk.names();
            assert!(names == [path("a")] || names == [path("b")], "a file is renamed at once: {names:?}");
            lost += usize::from(names == [path("a")]);
        }
        assert!(lost > 10 && lost < 90);
    }

    #[test]
    fn a_sync_that_failed_is_forgotten_and_so_are_the_bytes() {
        let disk = SimDisk::new(1, &["/d"]);
        let file = disk.create_log(&path("a")).unwrap();
        disk.sync_dir(Path::new("/d")).unwrap();
        file.append(&[IoSlice::new(b"first")]).unwrap();
        disk.set_faults(Faults { sync: 1000, ..Faults::default() });
        assert!(file.sync().is_err());
        disk.set_faults(Faults::default());
        assert_eq!(disk.bytes(&path("a")).unwrap(), b"first");
        file.sync().unwrap();
        disk.crash(Crash::Ordered);
        assert_eq!(disk.bytes(&path("a")).unwrap(), b"");
    }
}
