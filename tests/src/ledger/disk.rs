//! A slow or failing disk for a real server: `disk.c`, compiled here and preloaded into it.
//!
//! Why not `strace` with injected delays: it needs the right to trace, which containers often do not give, stops the
//! server at every call it watches, and cannot cut a write in two. What it would show is the same.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The longest delays; each one is drawn between none and this.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Speed {
    /// Before each `fsync` and `fdatasync`.
    pub sync: Duration,
    /// Before each write to an incremental file.
    pub write: Duration,
    /// Between the two parts of a write that is cut in two, one in four. Zero: none is.
    pub split: Duration,
}

impl Speed {
    /// Nothing is delayed.
    pub const FAST: Speed = Speed { sync: Duration::ZERO, write: Duration::ZERO, split: Duration::ZERO };
    /// A disk that is busy with something else: what cloud volumes do when their credits are gone.
    pub const SLOW: Speed = Speed {
        sync: Duration::from_millis(1800),
        write: Duration::from_millis(10),
        split: Duration::from_millis(60),
    };
}

/// What is preloaded, and the files that tell it what to do.
#[derive(Debug)]
pub struct SlowDisk {
    dir: PathBuf,
}

impl SlowDisk {
    /// Compiles it into this directory.
    ///
    /// # Errors
    /// There is no C compiler, or the directory cannot be written to.
    pub fn new(dir: &Path) -> io::Result<Self> {
        let disk = SlowDisk { dir: dir.to_owned() };
        let source = dir.join("disk.c");
        fs::write(&source, include_str!("disk.c"))?;
        let compiled = Command::new("cc")
            .args(["-O1", "-shared", "-fPIC", "-o"])
            .arg(disk.library())
            .arg(&source)
            .output()?;
        if !compiled.status.success() {
            return Err(io::Error::other(String::from_utf8_lossy(&compiled.stderr).into_owned()));
        }
        disk.set(Speed::FAST)?;
        Ok(disk)
    }

    fn library(&self) -> PathBuf {
        self.dir.join("disk.so")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Variables for a server's environment.
    pub fn environment(&self) -> Vec<(&'static str, PathBuf)> {
        vec![
            ("LD_PRELOAD", self.library()),
            ("TIDEGATE_DISK_SPEED", self.file("speed")),
            ("TIDEGATE_DISK_FAILS", self.file("fails")),
            ("TIDEGATE_DISK_SEEN", self.file("seen")),
        ]
    }

    /// So slow from now on, also for a server that runs.
    ///
    /// # Errors
    /// The directory cannot be written to.
    pub fn set(&self, speed: Speed) -> io::Result<()> {
        let Speed { sync, write, split } = speed;
        let text = format!("{} {} {}", sync.as_micros(), write.as_micros(), split.as_micros());
        // Replaced as a whole: it may be read at any time.
        fs::write(self.file("speed.new"), text)?;
        fs::rename(self.file("speed.new"), self.file("speed"))
    }

    /// The next sync of an incremental file fails.
    ///
    /// # Errors
    /// The directory cannot be written to.
    pub fn fail_once(&self) -> io::Result<()> {
        fs::write(self.file("fails"), "")
    }

    /// How many syncs were delayed, writes delayed, and syncs failed: a server it has no effect on proves nothing.
    pub fn seen(&self) -> [usize; 3] {
        let seen = fs::read(self.file("seen")).unwrap_or_default();
        let seen = String::from_utf8_lossy(&seen);
        ['s', 'w', 'e'].map(|what| seen.matches(what).count())
    }
}
