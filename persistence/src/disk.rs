//! What persistence needs of a file system: the one seam at which tests make disks full, slow, lying or powerless.

use std::fmt;
use std::fs;
use std::io::{self, IoSlice, Read, Write};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file system, as far as it matters here.
pub trait Disk: fmt::Debug + Send + Sync {
    /// Opens a file for reading, and tells its size in bytes.
    fn open(&self, path: &Path) -> io::Result<(Box<dyn Read + Send>, u64)>;

    /// Creates a file, or empties the one that is there.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Creates a file that is not there yet, to append to it.
    fn create_log(&self, path: &Path) -> io::Result<Arc<dyn LogFile>>;

    /// Opens a file that is there, to append to it.
    fn open_log(&self, path: &Path) -> io::Result<Arc<dyn LogFile>>;

    /// Writes the bytes of a file from `from` on once more, as they are, and syncs them. After a sync has failed the kernel
    /// may show bytes that it takes for synced and that no disk has: also to the next process, which knows nothing of it.
    fn refresh(&self, path: &Path, from: u64) -> io::Result<()>;

    /// Creates a directory; one that is there is left as it is.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// Gives a file another name, at once and in the place of any other file of that name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Returns when all names created, changed and removed in a directory so far survive a power failure.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

/// A file that is being written.
pub trait DiskFile: Write + Send {
    /// Returns when all that was written survives a power failure. After an error nothing is known about it, whatever
    /// a second call says.
    fn sync(&mut self) -> io::Result<()>;

    /// Puts other bytes in the place of some that were written before, which begin at `at`. What is written next goes to
    /// the end as always.
    fn rewrite(&mut self, _at: u64, _bytes: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// A file that is appended to, from one thread, and synced, maybe from another.
pub trait LogFile: fmt::Debug + Send + Sync {
    /// Appends some of these bytes, from the beginning; tells how many.
    fn append(&self, slices: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Returns when all that was appended survives a power failure. After an error nothing is known about it, whatever a
    /// second call says.
    fn sync(&self) -> io::Result<()>;

    /// Cuts the file off at this size in bytes.
    fn truncate(&self, size: u64) -> io::Result<()>;
}

/// The real file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn open(&self, path: &Path) -> io::Result<(Box<dyn Read + Send>, u64)> {
        let file = fs::File::open(path)?;
        let size = file.metadata()?.len();
        Ok((Box::new(file), size))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(fs::File::create(path)?))
    }

    fn create_log(&self, path: &Path) -> io::Result<Arc<dyn LogFile>> {
        Ok(Arc::new(fs::OpenOptions::new().append(true).create_new(true).open(path)?))
    }

    fn open_log(&self, path: &Path) -> io::Result<Arc<dyn LogFile>> {
        Ok(Arc::new(fs::OpenOptions::new().append(true).open(path)?))
    }

    fn refresh(&self, path: &Path, from: u64) -> io::Result<()> {
        let file = fs::OpenOptions::new().read(true).write(true).open(path)?;
        let (mut at, mut bytes) = (from, vec![0; 1 << 20]);
        loop {
            match file.read_at(&mut bytes, at) {
                Ok(0) => break,
                Ok(read) => {
                    file.write_all_at(&bytes[..read], at)?;
                    at += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        file.sync_data()
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        match fs::create_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            result => result,
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        fs::File::open(dir)?.sync_all()
    }
}

impl DiskFile for fs::File {
    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn rewrite(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(self, bytes, at)
    }
}

impl LogFile for fs::File {
    fn append(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut file = self;
        file.write_vectored(slices)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        self.set_len(size)
    }
}

/// What the operating system calls an error, as C programs and so Redis print it: without the number that Rust adds.
pub fn os_text(error: &io::Error) -> String {
    match error.kind() {
        // Rust has words of its own for it where no call of the system said so.
        io::ErrorKind::NotFound if error.raw_os_error().is_none() => "No such file or directory".to_owned(),
        _ => without_number(&error.to_string()).to_owned(),
    }
}

/// The text of an error of the operating system without ` (os error 2)`.
pub fn without_number(text: &str) -> &str {
    text.split(" (os error ").next().unwrap_or(text)
}

/// The directory a file is in.
pub fn directory_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}
