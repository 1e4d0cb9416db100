//! The process around the server: command line, log, daemon, limits and warnings. It knows the configuration but
//! not what the server does with it.

pub mod args;
pub mod check;
pub mod cores;
pub mod crash;
pub mod daemon;
pub mod logging;
pub mod oom;
pub mod supervise;
pub mod title;
pub mod warnings;

use std::ffi::OsString;
use std::fs;
use std::io::{self, IsTerminal as _};
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

use self::supervise::Supervisor;
use crate::config::Config;
use crate::version::{COMMIT, REDIS_VERSION, TIDEGATE_VERSION};
use tidegate_persistence::disk::os_text;

const DEFAULT_PID_FILE: &str = "/var/run/redis.pid";

/// Everything the start depends on.
#[derive(Debug)]
pub struct Options {
    pub config: Config,
    /// The program's name as it was called.
    pub program: OsString,
    /// Whether there was a command line at all; without one the start suggests a config file.
    pub configured: bool,
}

/// What remains to be told and undone at the end.
#[derive(Debug)]
pub struct Process {
    pub supervisor: Option<Supervisor>,
    pid_file: Option<PathBuf>,
}

impl Process {
    /// Says that clients can connect.
    pub fn ready(&self, replica: bool) {
        supervise::ready(self.supervisor, replica);
    }

    /// Removes the pid file. Call it when the server has stopped.
    pub fn finish(&self) {
        supervise::stopping(self.supervisor);
        if let Some(file) = &self.pid_file {
            // It may be gone already, and nothing can be done about it now.
            let _ = fs::remove_file(file);
        }
    }
}

/// Gets the process ready for the server: background, log, working directory, limits, pid file, warnings. Must run
/// before any thread is started.
///
/// # Errors
/// The reason why the server cannot start.
pub fn prepare(options: &Options) -> Result<Process, String> {
    let config = &options.config;
    logging::start(config).map_err(|error| error.to_string())?;
    let supervisor = supervise::find(config);
    let background = config.flag("daemonize") && supervisor.is_none();
    if background {
        daemon::detach().map_err(|error| format!("Can't run in the background: {}", os_text(&error)))?;
    }

    log_start(options);
    let dir = config.dir();
    std::env::set_current_dir(&dir)
        .map_err(|error| format!("Can't chdir to '{}': {}", dir.display(), os_text(&error)))?;
    warnings::fit_maxclients(config)?;
    let pid_file = (background || config.text("pidfile").is_some())
        .then(|| config.path("pidfile").unwrap_or_else(|| DEFAULT_PID_FILE.into()));
    if let Some(file) = &pid_file
        && let Err(error) = fs::write(file, format!("{}\n", std::process::id()))
    {
        tracing::debug!("Can't write the pid file {}: {}", file.display(), os_text(&error));
    }
    if config.flag("set-proc-title") {
        set_title(config, &options.program);
    }
    log_logo(config);
    warnings::log_backlog(config);
    tracing::warn!("Server initialized");
    warnings::log(config);
    crash::enable(config.flag("crash-log-enabled"), config.flag("hide-user-data-from-log"));
    Ok(Process { supervisor, pid_file })
}

/// Shows the configured title in `ps`; also what CONFIG SET proc-title-template needs. `program` is the name the
/// process was started with.
pub fn set_title(config: &Config, program: &OsString) {
    let template = config.text("proc-title-template").unwrap_or_default();
    let port = if config.port() == 0 { config.tls_port() } else { config.port() };
    let text = |name: &str| config.text(name).unwrap_or_default();
    let variable = |name: &str| match name {
        "title" => program.clone().into_vec(),
        "listen-addr" if port == 0 => [b"unixsocket:".to_vec(), text("unixsocket")].concat(),
        "listen-addr" => {
            let address = config.bind().into_iter().next().unwrap_or_else(|| "*".to_owned());
            format!("{address}:{port}").into_bytes()
        }
        "server-mode" if config.hot().cluster_enabled.get() => b"[cluster]".to_vec(),
        "config-file" => config.file().map_or(b"-".to_vec(), |file| file.as_os_str().to_owned().into_vec()),
        "port" => config.port().to_string().into_bytes(),
        "tls-port" => config.tls_port().to_string().into_bytes(),
        "unixsocket" => text("unixsocket"),
        _ => Vec::new(),
    };
    if let Some(title) = title::expand(&template, variable)
        && let Err(error) = daemon::set_title(&title)
    {
        tracing::debug!("Can't set the process title: {}", os_text(&error));
    }
}

fn log_start(options: &Options) {
    let pid = std::process::id();
    tracing::warn!("Tidegate is starting");
    tracing::warn!(
        "Tidegate version={TIDEGATE_VERSION}, Redis version={REDIS_VERSION}, bits={}, commit={COMMIT}, modified=0, \
         pid={pid}, just started",
        usize::BITS
    );
    if options.configured {
        tracing::warn!("Configuration loaded");
    } else {
        tracing::warn!(
            "Warning: no config file specified, using the default config. In order to specify a config file use {} \
             /path/to/redis.conf",
            options.program.to_string_lossy()
        );
    }
    if options.config.flag("syslog-enabled") {
        tracing::warn!("syslog-enabled has no effect: the log goes to logfile or to standard output");
    }
}

/// The banner, on a terminal or when it is asked for. Test suites find the process by its ` PID: ` line.
fn log_logo(config: &Config) {
    let mode = config.mode();
    let port = if config.port() == 0 { config.tls_port() } else { config.port() };
    let terminal = config.text("logfile").is_none() && io::stdout().is_terminal();
    if !terminal && !config.flag("always-show-logo") {
        tracing::info!("Running mode={mode}, port={port}.");
        return;
    }
    let pid = std::process::id();
    let threads = config.threads();
    tracing::info!(
        target: logging::RAW,
        "
      ~~~        ~~~~
   ~~~~~~~~   ~~~~~~~~    Tidegate {TIDEGATE_VERSION} (Redis {REDIS_VERSION}), {bits} bit
  ||======||=||======||   Running in {mode} mode on {threads} threads
  ||  ||  || ||  ||  ||   Port: {port}
 ~||~~||~~||~||~~||~~||~  PID: {pid}
~~~~~~~~~~~~~~~~~~~~~~~~

",
        bits = usize::BITS,
    );
}
