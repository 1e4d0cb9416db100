//! Loading the data set when the process starts: connections are served meanwhile, and told to come back later; whoever
//! looks at the log, at a terminal or at `INFO` sees how far it is.

use crate::aof;
use crate::clock;
use crate::dataset::{self, LoadFailure};
use crate::process::supervise;
use crate::shared::{LoadProgress, Shared};
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

/// How often it is looked how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The log is told of every tenth of the whole, but not more often than this,
const TOLD_AFTER_MS: i64 = 1000;
/// and of less than a tenth after this.
const TOLD_ANYWAY_AFTER_MS: i64 = 10_000;
/// For how long a supervisor is asked to wait, once a second.
const SUPERVISOR_PATIENCE: Duration = Duration::from_secs(60);

/// Loads the data set, if there is one. Nothing else may change it. Returns when it is there, and everything that was done
/// so far will survive a power failure; until then [`Shared::loading`] says so.
///
/// It runs on a thread of its own, which ends with it: memory that belongs to a thread without work is nobody's, and that
/// of a thread that is gone is anybody's.
///
/// # Errors
/// The files cannot be loaded, or somebody asked the process to stop.
pub fn at_start(shared: &Arc<Shared>) -> io::Result<()> {
    shared.loading.begin(clock::unix_ms() / 1000);
    let is_done = AtomicBool::new(false);
    let watcher = std::thread::current();
    let work = || {
        let result = load(shared);
        is_done.store(true, SeqCst);
        watcher.unpark();
        result
    };
    let result = std::thread::scope(|scope| {
        let loader = std::thread::Builder::new().name("load".to_owned()).spawn_scoped(scope, work)?;
        let mut display = Display::new(shared);
        let mut supervised_ms = 0;
        while !is_done.load(SeqCst) {
            std::thread::park_timeout(LOOK_EVERY);
            let (progress, now_ms) = (shared.loading.progress(), clock::unix_ms());
            display.show(&progress, now_ms);
            if now_ms - supervised_ms >= TOLD_AFTER_MS {
                supervised_ms = now_ms;
                supervise::loading(&shared.config, progress.percent(), SUPERVISOR_PATIENCE);
            }
        }
        display.clear();
        loader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    if result.is_ok() {
        shared.loading.end();
    }
    result
}

fn load(shared: &Arc<Shared>) -> io::Result<()> {
    if shared.config.flag("appendonly") && shared.aof.is_some() {
        return aof::load::start(shared);
    }
    let loaded = dataset::load_at_start(shared);
    loaded.map(|_| ()).map_err(|failure| {
        if !matches!(failure, LoadFailure::Open(_) | LoadFailure::Stopped) {
            tracing::warn!("Terminating server after rdb file reading failure.");
        }
        io::Error::other(failure)
    })
}

/// Shows how far it is.
struct Display {
    /// On a terminal.
    draws: bool,
    has_drawn: bool,
    /// In the log.
    logs: bool,
    told_ms: i64,
    told_percent: f64,
}

impl Display {
    fn new(shared: &Shared) -> Self {
        let draws = io::stderr().is_terminal();
        // Lines between those that are drawn would be hard to read.
        let logs = !draws || shared.config.path("logfile").is_some();
        Display { draws, has_drawn: false, logs, told_ms: clock::unix_ms(), told_percent: 0.0 }
    }

    fn show(&mut self, progress: &LoadProgress, now_ms: i64) {
        if progress.loaded == 0 {
            return;
        }
        if self.draws {
            self.has_drawn = true;
            let mut terminal = io::stderr().lock();
            // A terminal that is gone is no reason to stop.
            let _ = write!(terminal, "\r{}\x1b[K", bar(progress, now_ms / 1000));
            let _ = terminal.flush();
        }
        if self.logs && self.is_time(progress.percent(), now_ms) {
            tracing::info!("Loading the data set: {}", text(progress, now_ms / 1000));
        }
    }

    fn is_time(&mut self, percent: f64, now_ms: i64) -> bool {
        let since_ms = now_ms - self.told_ms;
        let is_much = percent >= self.told_percent + 10.0 && since_ms >= TOLD_AFTER_MS;
        let is_time = percent < 100.0 && (is_much || since_ms >= TOLD_ANYWAY_AFTER_MS);
        if is_time {
            (self.told_ms, self.told_percent) = (now_ms, percent - percent % 10.0);
        }
        is_time
    }

    fn clear(&self) {
        if self.has_drawn {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

fn text(progress: &LoadProgress, now_s: i64) -> String {
    let mib = |bytes: u64| bytes >> 20;
    let (loaded, total) = (mib(progress.loaded), mib(progress.total));
    format!("{:.0}% ({loaded} of {total} MB), {} s left", progress.percent(), progress.rest_s(now_s))
}

fn bar(progress: &LoadProgress, now_s: i64) -> String {
    const WIDTH: usize = 40;
    let done = (progress.percent() * WIDTH as f64 / 100.0) as usize;
    let done = done.min(WIDTH);
    format!("[{}{}] {}", "#".repeat(done), "-".repeat(WIDTH - done), text(progress, now_s))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(loaded: u64) -> LoadProgress {
        LoadProgress { started_s: 100, total: 400 << 20, used_memory: 0, loaded }
    }

    #[test]
    fn the_bar_grows() {
        let empty = "-".repeat(40);
        assert_eq!(bar(&at(0), 100), format!("[{empty}] 0% (0 of 400 MB), 1 s left"));
        let half = format!("[{}{}] 50% (200 of 400 MB), 7 s left", "#".repeat(20), "-".repeat(20));
        assert_eq!(bar(&at(200 << 20), 108), half);
        assert_eq!(bar(&at(400 << 20), 110), format!("[{}] 100% (400 of 400 MB), 0 s left", "#".repeat(40)));
    }

    #[test]
    fn the_log_is_told_of_every_tenth_but_not_all_the_time() {
        let mut display =
            Display { draws: false, has_drawn: false, logs: true, told_ms: 0, told_percent: 0.0 };
        assert!(!display.is_time(50.0, 500), "what is over in a second is not worth a line");
        assert!(display.is_time(15.0, 1000));
        assert!(!display.is_time(19.0, 3000));
        assert!(display.is_time(20.0, 3100));
        assert!(!display.is_time(30.0, 3200));
        assert!(display.is_time(21.0, 13_100), "slow, but alive");
        assert!(!display.is_time(100.0, 90_000));
    }
}
