//! A thread that syncs a file while another goes on writing to it.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use super::Core;
use crate::disk::LogFile;

/// Syncs one file at a time.
#[derive(Debug)]
pub(super) struct Syncer {
    files: Sender<Arc<dyn LogFile>>,
    results: Mutex<Receiver<io::Result<()>>>,
}

impl Syncer {
    /// Whoever takes from the log is woken when a result is there.
    pub(super) fn start(core: Arc<Core>) -> io::Result<Self> {
        let (files, asked) = channel::<Arc<dyn LogFile>>();
        let (answer, results) = channel();
        std::thread::Builder::new().name("aof-sync".to_owned()).spawn(move || {
            for file in asked {
                if answer.send(file.sync()).is_err() {
                    break;
                }
                core.log.kick();
            }
        })?;
        Ok(Syncer { files, results: Mutex::new(results) })
    }

    /// Syncs this file. The last result must have been taken.
    pub(super) fn ask(&self, file: Arc<dyn LogFile>) {
        // The thread ends only after this.
        let _ = self.files.send(file);
    }

    /// The result, once it is there.
    pub(super) fn result(&self) -> Option<io::Result<()>> {
        self.results.lock().unwrap_or_else(PoisonError::into_inner).try_recv().ok()
    }
}
