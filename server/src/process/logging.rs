//! The log, in the format of Redis: `1234:M 22 Nov 2026 04:12:00.123 * message`. The code logs through `tracing`; this
//! is the one place where its events become lines.
//!
//! | Redis level | mark | `tracing` level |
//! |---|---|---|
//! | debug | `.` | trace |
//! | verbose | `-` | debug |
//! | notice | `*` | info |
//! | warning | `#` | warn, error |

use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tracing::field::{Field, Visit};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

use super::daemon::{self, LocalTime};
use crate::config::choices::LogLevel;
use crate::config::{Config, Hot};

/// Events with this target are written as they are, without time and level.
pub const RAW: &str = "tidegate::raw";

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Sends every event of the process to the log that `config` describes. `loglevel` may change later; the file is
/// opened for each line, so that it can be moved away by a log rotation.
///
/// # Errors
/// When the process has a log already.
pub fn start(config: &Config) -> Result<(), tracing::subscriber::SetGlobalDefaultError> {
    let log = Log::new(config);
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(log))
}

struct Log {
    file: Option<PathBuf>,
    hot: Arc<Hot>,
}

impl Log {
    fn new(config: &Config) -> Self {
        Self { file: config.path("logfile"), hot: config.share_hot() }
    }

    /// A log that cannot be written is no reason to stop: there is nobody left to tell.
    fn write(&self, line: &[u8]) {
        let append = |file: &PathBuf| File::options().append(true).create(true).open(file)?.write_all(line);
        let print = || {
            let mut out = io::stdout().lock();
            out.write_all(line)?;
            out.flush()
        };
        let _ = self.file.as_ref().map_or_else(print, append);
    }
}

impl<S: Subscriber> Layer<S> for Log {
    fn register_callsite(&self, _metadata: &'static Metadata<'static>) -> Interest {
        // CONFIG SET loglevel may turn any call site on or off later.
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>, _context: Context<'_, S>) -> bool {
        let least = match self.hot.loglevel.get() {
            LogLevel::Debug => Level::TRACE,
            LogLevel::Verbose => Level::DEBUG,
            LogLevel::Notice => Level::INFO,
            LogLevel::Warning => Level::WARN,
        };
        *metadata.level() <= least
    }

    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        if event.metadata().target() == RAW {
            return self.write(message.0.as_bytes());
        }
        let role = if self.hot.replicaof.get() { 'S' } else { 'M' };
        self.write(
            line(std::process::id(), role, *event.metadata().level(), since_epoch(), &message.0).as_bytes(),
        );
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the log is written where there is no handler and no server yet"
)]
fn since_epoch() -> std::time::Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn line(pid: u32, role: char, level: Level, since_epoch: std::time::Duration, message: &str) -> String {
    let mark = match level {
        Level::TRACE => '.',
        Level::DEBUG => '-',
        Level::INFO => '*',
        _ => '#',
    };
    let LocalTime { year, month, day, hour, minute, second } = daemon::local_time(since_epoch.as_secs());
    let month = MONTHS[month];
    let milli = since_epoch.subsec_millis();
    format!(
        "{pid}:{role} {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02}.{milli:03} {mark} {message}\n"
    )
}

/// The message of an event, followed by its other fields as `name=value`.
struct Message(String);

impl Visit for Message {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let result = if field.name() == "message" {
            let fields = std::mem::take(&mut self.0);
            write!(self.0, "{value:?}{fields}")
        } else {
            write!(self.0, " {}={value:?}", field.name())
        };
        result.expect("writing to a String cannot fail");
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::config::{Caller, NotRunning, Sources};

    #[test]
    fn a_line_has_the_form_redis_gives_it() {
        let text = line(12, 'M', Level::INFO, Duration::from_millis(1_700_000_000_007), "Hello");
        let (head, tail) = text.split_at("12:M ".len());
        assert_eq!(head, "12:M ");
        // The day depends on the time zone, the rest does not.
        assert!(tail.contains(" Nov 2023 ") && tail.ends_with(":20.007 * Hello\n"), "{text}");
        for (level, mark) in
            [(Level::TRACE, " . "), (Level::DEBUG, " - "), (Level::WARN, " # "), (Level::ERROR, " # ")]
        {
            assert!(line(1, 'S', level, Duration::ZERO, "x").ends_with(&format!("{mark}x\n")));
        }
    }

    #[test]
    fn the_level_follows_config_set_and_fields_follow_the_message() {
        let file = std::env::temp_dir().join(format!("tidegate-log-{}", std::process::id()));
        let mut config = Config::new(1, Path::new("/"));
        let options = format!("logfile {}", file.display()).into_bytes();
        config.load(&Sources { options: Some(options), ..Sources::default() }).unwrap();
        let log = Log::new(&config);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(log), || {
            tracing::debug!("hidden");
            tracing::info!(port = 6379, name = "x", "shown");
            let caller = Caller { local: true, loading: false };
            config.set(&[b"loglevel", b"debug"], caller, &NotRunning).unwrap();
            tracing::trace!("shown too");
            config.set_replicaof(Some(("h", 1)));
            tracing::info!(target: RAW, "raw\n");
            tracing::warn!("as replica");
        });
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        let lines: Vec<&str> = text
            .lines()
            .map(|line| line.rsplit_once(['.', '#', '*']).map_or(line, |(_, rest)| rest))
            .collect();
        assert_eq!(lines, [" shown port=6379 name=x", " shown too", "raw", " as replica"]);
        assert!(text.lines().last().unwrap().starts_with(&format!("{}:S ", std::process::id())));
    }
}
