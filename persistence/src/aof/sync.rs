//! A thread that syncs a file while another goes on writing to it.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use super::Core;
use crate::disk::LogFile;

/// What syncs one file at a time in the background.
pub(super) trait Background: std::fmt::Debug + Send {
    /// Syncs this file. The last result must have been taken.
    fn ask(&mut self, file: Arc<dyn LogFile>);

    /// The result, once it is there.
    fn result(&mut self) -> Option<io::Result<()>>;
}

/// Does so with a thread.
#[derive(Debug)]
pub(super) struct Syncer {
    files: Sender<Arc<dyn LogFile>>,
    results: Receiver<io::Result<()>>,
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
        Ok(Syncer { files, results })
    }
}

impl Background for Syncer {
    fn ask(&mut self, file: Arc<dyn LogFile>) {
        // The thread ends only after this.
        let _ = self.files.send(file);
    }

    fn result(&mut self) -> Option<io::Result<()>> {
        self.results.try_recv().ok()
    }
}
