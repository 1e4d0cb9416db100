//! The file of the audit log: appended to by one thread, put aside when it is large, opened again when somebody else has put it
//! aside.

use super::Figures;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::Receiver;

/// Bytes that are written at once.
const BATCH_MAX: usize = 256 * 1024;

pub(super) struct Writer {
    path: PathBuf,
    file: File,
    size: u64,
    figures: Arc<Figures>,
    /// The last write failed; that was said.
    is_failing: bool,
}

impl Writer {
    pub(super) fn open(path: PathBuf, figures: Arc<Figures>) -> io::Result<Self> {
        let (file, size) = open(&path)?;
        Ok(Writer { path, file, size, figures, is_failing: false })
    }

    /// Writes until nobody can send any more.
    pub(super) fn run(mut self, lines: &Receiver<String>) {
        while let Ok(mut batch) = lines.recv() {
            let mut count = 1;
            while batch.len() < BATCH_MAX
                && let Ok(more) = lines.try_recv()
            {
                batch.push_str(&more);
                count += 1;
            }
            match self.write(batch.as_bytes()) {
                Ok(()) => {
                    self.figures.written.fetch_add(count, Relaxed);
                    self.is_failing = false;
                }
                Err(error) => {
                    self.figures.dropped.fetch_add(count, Relaxed);
                    if !std::mem::replace(&mut self.is_failing, true) {
                        tracing::warn!("Writing to the audit log {}: {error}", self.path.display());
                    }
                }
            }
        }
    }

    fn write(&mut self, batch: &[u8]) -> io::Result<()> {
        let is_elsewhere = !is_at(&self.file, &self.path);
        let size_max = self.figures.size_max.load(Relaxed);
        if !is_elsewhere && size_max > 0 && self.size > 0 && self.size + batch.len() as u64 > size_max {
            put_aside(&self.path, self.figures.files.load(Relaxed))?;
        }
        if is_elsewhere || !is_at(&self.file, &self.path) {
            (self.file, self.size) = open(&self.path)?;
        }
        self.file.write_all(batch)?;
        self.size += batch.len() as u64;
        Ok(())
    }
}

/// Nobody else needs to read it.
fn open(path: &Path) -> io::Result<(File, u64)> {
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    let size = file.metadata()?.len();
    Ok((file, size))
}

/// True while the name leads to this file: `logrotate` may have moved it.
fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(mine), Ok(there)) => (mine.dev(), mine.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

/// The file becomes `.1`, that `.2`, and so on; of older ones `keep` stay.
fn put_aside(path: &Path, keep: u64) -> io::Result<()> {
    let numbered = |number: u64| {
        let mut name = OsString::from(path);
        name.push(format!(".{number}"));
        PathBuf::from(name)
    };
    if keep == 0 {
        return fs::remove_file(path);
    }
    for number in (1..keep).rev() {
        match fs::rename(numbered(number), numbered(number + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    fs::rename(path, numbered(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer(name: &str, size_max: u64, files: u64) -> (Writer, PathBuf) {
        let dir = std::env::temp_dir().join(format!("tidegate-audit-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).expect("a directory can be made");
        let figures = Arc::new(Figures::default());
        figures.size_max.store(size_max, Relaxed);
        figures.files.store(files, Relaxed);
        let path = dir.join("audit.log");
        (Writer::open(path.clone(), figures).expect("it can be opened"), path)
    }

    #[test]
    fn large_files_are_put_aside_and_some_are_kept() {
        let (mut writer, path) = writer("size", 20, 2);
        for number in 0..5 {
            writer.write(format!("line number {number}\n").as_bytes()).expect("it is written");
        }
        let read = |name: &str| fs::read_to_string(path.with_file_name(name)).ok();
        assert_eq!(read("audit.log").as_deref(), Some("line number 4\n"));
        assert_eq!(read("audit.log.1").as_deref(), Some("line number 3\n"));
        assert_eq!(read("audit.log.2").as_deref(), Some("line number 2\n"));
        assert_eq!(read("audit.log.3"), None);
        let _ = fs::remove_dir_all(path.parent().expect("it is in a directory"));
    }

    #[test]
    fn a_file_that_was_moved_is_made_again() {
        let (mut writer, path) = writer("moved", 0, 2);
        writer.write(b"before\n").expect("it is written");
        fs::rename(&path, path.with_extension("old")).expect("it is there");
        writer.write(b"after\n").expect("it is written");
        assert_eq!(fs::read_to_string(&path).ok().as_deref(), Some("after\n"));
        assert_eq!(fs::metadata(&path).map(|of| of.mode() & 0o777).ok(), Some(0o600));
        let _ = fs::remove_dir_all(path.parent().expect("it is in a directory"));
    }
}
