//! Why nothing may be changed: what was changed could not be saved, or not be written to the journal.

use super::Shared;
use std::sync::atomic::Ordering::Relaxed;
use tidegate_commands::model::Error;
use tidegate_persistence::disk::without_number;

/// What is wrong with the disk. Where both are, the first counts, as in Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiskTrouble {
    /// The last snapshot could not be written.
    Snapshot,
    /// The journal cannot be written, for this reason.
    Journal(String),
}

impl DiskTrouble {
    /// The answer to a command that would change something.
    pub fn refusal(&self) -> Error {
        match self {
            DiskTrouble::Snapshot => Error::new(
                "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. \
                 Commands that may modify the data set are disabled, because this instance is configured to report errors \
                 during writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs \
                 for details about the RDB error.",
            ),
            DiskTrouble::Journal(why) => {
                Error::text(format!("MISCONF Errors writing to the AOF file: {}", without_number(why)))
            }
        }
    }

    /// The answer to a script that says it may change something.
    pub fn refusal_of_script(&self) -> Error {
        match self {
            DiskTrouble::Snapshot => Error::new(
                "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. \
                 Writable scripts are blocked. Use 'no-writes' flag for read only scripts.",
            ),
            DiskTrouble::Journal(why) => Error::text(format!(
                "MISCONF Redis is configured to persist data to AOF, but it's currently unable to persist to disk. \
                 Writable scripts are blocked. Use 'no-writes' flag for read only scripts. AOF error: {}",
                without_number(why)
            )),
        }
    }
}

impl Shared {
    /// What is wrong with the disk, if that means that nothing may be changed.
    pub fn disk_trouble(&self) -> Option<DiskTrouble> {
        let is_unsaved = !self.saving.is_fine()
            && self.config.hot().stop_writes_on_bgsave_error.get()
            && !self.config.save_points().is_empty();
        if is_unsaved {
            return Some(DiskTrouble::Snapshot);
        }
        if !self.journaled.load(Relaxed) {
            return None;
        }
        self.journal.failure().map(DiskTrouble::Journal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::dispatch::Worker;
    use crate::session::{Client, Session};
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;
    use tidegate_persistence::journal::{Journal, Lsn, Unit};

    /// A journal on a disk that may be full.
    #[derive(Debug, Default)]
    struct Full(AtomicBool);

    impl Journal for Full {
        fn is_enabled(&self) -> bool {
            true
        }

        fn append(&self, unit: &mut Unit) -> Lsn {
            unit.clear();
            1
        }

        fn failure(&self) -> Option<String> {
            self.0.load(Relaxed).then(|| "No space left on device (os error 28)".to_owned())
        }
    }

    fn ask(worker: &mut Worker, session: &mut Session, words: &[&str]) -> String {
        let mut request = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            request.extend(format!("${}\r\n{word}\r\n", word.len()).into_bytes());
        }
        let mut out = Vec::new();
        worker.process(session, &mut request, &mut 0, &mut out);
        String::from_utf8(out).unwrap().trim_end().to_owned()
    }

    #[test]
    fn whoever_changes_something_hears_what_is_wrong() {
        const OF_JOURNAL: &str = "-MISCONF Errors writing to the AOF file: No space left on device";
        let journal = Arc::new(Full::default());
        let shared = Shared::new(Config::for_this_process(), &[], Arc::clone(&journal) as _).unwrap();
        let shared = Arc::new(shared);
        let mut worker = Worker::new(Arc::clone(&shared), 0, 1);
        let client = Client::new(1, String::new(), String::new(), -1, 0, false, true);
        let mut session = Session::new(Arc::new(client), true);
        let mut ask = |words: &[&str]| ask(&mut worker, &mut session, words);
        let declared = ["EVAL", "#!lua\nreturn 1", "0"];
        for request in [&["MULTI"][..], &declared] {
            assert!(ask(request).starts_with('+'));
        }
        journal.0.store(true, Relaxed);
        assert_eq!(
            ask(&["EXEC"]),
            "*1\r\n-MISCONF Redis is configured to persist data to AOF, but it's currently unable to persist to disk. \
             Writable scripts are blocked. Use 'no-writes' flag for read only scripts. AOF error: No space left on device"
        );
        assert_eq!(ask(&["SET", "k", "v"]), OF_JOURNAL);
        assert_eq!(ask(&["PING"]), OF_JOURNAL);
        assert_eq!(ask(&["GET", "k"]), "$-1");
        let script = ["EVAL", "return redis.call('SET', 'k', 'v')", "0"];
        assert!(ask(&script).starts_with(OF_JOURNAL));
        assert_eq!(ask(&declared), OF_JOURNAL);
        assert_eq!(ask(&["EVAL", "#!lua flags=no-writes\nreturn 1", "0"]), ":1");
        // The snapshot is looked at first.
        shared.saving.note_failed();
        assert!(ask(&["SET", "k", "v"]).contains("save RDB snapshots"));
        assert!(ask(&script).contains("save RDB snapshots"));
    }
}
