//! The log, in the format of Redis: `1234:M 22 Nov 2026 04:12:00.123 * message`. The code logs through `tracing`; this
//! is the one place where its events become lines. With `log-format json` or `logfmt` a line is made for programs: the same
//! values under names, and whatever the event says on one line.
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
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tracing::field::{Field, Visit};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

use super::daemon::{self, LocalTime};
use crate::config::choices::{LogFormat, LogLevel};
use crate::config::{Config, Hot};

/// Events with this target are written as they are, without time and level; unless lines are made for programs.
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
        let mut message = Message::default();
        event.record(&mut message);
        let is_raw = event.metadata().target() == RAW;
        let (pid, level, now) = (std::process::id(), *event.metadata().level(), since_epoch());
        let is_replica = self.hot.replicaof.get();
        let line = match self.hot.log_format.get() {
            LogFormat::Text if is_raw => message.plain(),
            LogFormat::Text => line(pid, if is_replica { 'S' } else { 'M' }, level, now, &message.plain()),
            LogFormat::Json => json(&message.pairs(pid, is_replica, level, now)),
            LogFormat::Logfmt => logfmt(&message.pairs(pid, is_replica, level, now)),
        };
        self.write(line.as_bytes());
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the log is written where there is no handler and no server yet"
)]
fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn line(pid: u32, role: char, level: Level, since_epoch: Duration, message: &str) -> String {
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

/// What Redis calls a level.
fn level_name(level: Level) -> &'static str {
    match level {
        Level::TRACE => "debug",
        Level::DEBUG => "verbose",
        Level::INFO => "notice",
        _ => "warning",
    }
}

fn timestamp(since_epoch: Duration) -> String {
    let milli = i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(milli).map_or_else(|_| milli.to_string(), |time| format!("{time:.3}"))
}

/// One JSON object and the end of the line. Everything but the process' number is a string.
fn json(pairs: &[(&str, String)]) -> String {
    let mut line = String::from("{");
    for (index, (name, value)) in pairs.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let _ = if *name == "pid" {
            write!(line, "{comma}\"pid\":{value}")
        } else {
            write!(line, "{comma}\"{name}\":\"{}\"", escaped(value))
        };
    }
    line.push_str("}\n");
    line
}

/// `name=value` pairs and the end of the line. Values that could be taken for something else are quoted.
fn logfmt(pairs: &[(&str, String)]) -> String {
    let plain = |value: &str| {
        !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic() && !b"=\"\\".contains(&byte))
    };
    let mut line = String::new();
    for (index, (name, value)) in pairs.iter().enumerate() {
        let space = if index == 0 { "" } else { " " };
        let _ = if plain(value) {
            write!(line, "{space}{name}={value}")
        } else {
            write!(line, "{space}{name}=\"{}\"", escaped(value))
        };
    }
    line.push('\n');
    line
}

/// As JSON wants it between quotes; control characters, of which a terminal or a reader of lines could make something, too.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for char in value.chars() {
        let _ = match char {
            '"' | '\\' => write!(text, "\\{char}"),
            '\n' => write!(text, "\\n"),
            '\r' => write!(text, "\\r"),
            '\t' => write!(text, "\\t"),
            char if char.is_control() => write!(text, "\\u{:04x}", u32::from(char)),
            char => write!(text, "{char}"),
        };
    }
    text
}

/// The message of an event, and its other fields.
#[derive(Default)]
struct Message {
    text: String,
    fields: Vec<(&'static str, String)>,
}

impl Message {
    /// The message, followed by the fields as `name=value`.
    fn plain(&self) -> String {
        let mut line = self.text.clone();
        for (name, value) in &self.fields {
            let _ = write!(line, " {name}={value}");
        }
        line
    }

    /// All that a line for programs has. Names are `tracing`'s, which are Rust's: none needs escaping.
    fn pairs(
        self,
        pid: u32,
        is_replica: bool,
        level: Level,
        since_epoch: Duration,
    ) -> Vec<(&'static str, String)> {
        let role = if is_replica { "replica" } else { "master" };
        let mut pairs = vec![
            ("timestamp", timestamp(since_epoch)),
            ("level", level_name(level).to_owned()),
            ("pid", pid.to_string()),
            ("role", role.to_owned()),
            ("message", self.text.trim_matches('\n').to_owned()),
        ];
        pairs.extend(self.fields);
        pairs
    }
}

impl Visit for Message {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let value = format!("{value:?}");
        if field.name() == "message" {
            self.text = value;
        } else {
            self.fields.push((field.name(), value));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

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
    fn lines_for_programs_are_one_line_whatever_the_message_says() {
        let message =
            || Message { text: "a \"b\"\n\u{1b}[1m\\".to_owned(), fields: vec![("port", "1".to_owned())] };
        let moment = Duration::from_millis(1_700_000_000_007);
        let line = json(&message().pairs(12, false, Level::INFO, moment));
        assert_eq!(
            line,
            "{\"timestamp\":\"2023-11-14T22:13:20.007Z\",\"level\":\"notice\",\"pid\":12,\"role\":\"master\",\
             \"message\":\"a \\\"b\\\"\\n\\u001b[1m\\\\\",\"port\":\"1\"}\n"
        );
        let line = logfmt(&message().pairs(12, true, Level::ERROR, moment));
        assert_eq!(
            line,
            "timestamp=2023-11-14T22:13:20.007Z level=warning pid=12 role=replica \
             message=\"a \\\"b\\\"\\n\\u001b[1m\\\\\" port=1\n"
        );
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
