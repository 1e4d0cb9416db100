//! Telling the one who started the process that it is ready: systemd through its socket, upstart by stopping.

use std::env;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use super::daemon;
use crate::config::Config;
use crate::config::choices::Supervised;

/// Who supervises this process, once that is known to be true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Supervisor {
    Systemd,
    Upstart,
}

/// Finds the supervisor that `supervised` asks for and greets it; `None` when there is none.
pub fn find(config: &Config) -> Option<Supervisor> {
    let has = |name| env::var_os(name).is_some();
    let supervisor = match config.supervised() {
        Supervised::Systemd => Supervisor::Systemd,
        Supervised::Upstart => Supervisor::Upstart,
        Supervised::Auto if has("UPSTART_JOB") => Supervisor::Upstart,
        Supervised::Auto if has("NOTIFY_SOCKET") => Supervisor::Systemd,
        Supervised::Auto | Supervised::No => return None,
    };
    match supervisor {
        Supervisor::Upstart if has("UPSTART_JOB") => {
            tracing::info!("supervised by upstart, will stop to signal readiness.");
            daemon::stop_self();
            Some(supervisor)
        }
        Supervisor::Upstart => {
            tracing::warn!("upstart supervision requested, but UPSTART_JOB not found!");
            None
        }
        Supervisor::Systemd => match tell_systemd("STATUS=Tidegate is loading...\n") {
            Ok(()) => {
                tracing::info!(
                    "Supervised by systemd. Please make sure you set appropriate values for TimeoutStartSec and \
                     TimeoutStopSec in your service unit."
                );
                Some(supervisor)
            }
            Err(error) => {
                tracing::warn!("systemd supervision error: {error}");
                None
            }
        },
    }
}

/// Says that clients can connect.
pub fn ready(supervisor: Option<Supervisor>, replica: bool) {
    if supervisor != Some(Supervisor::Systemd) {
        return;
    }
    let status = if replica {
        "Ready to accept connections in read-only mode. Waiting for MASTER <-> REPLICA sync"
    } else {
        "Ready to accept connections"
    };
    if let Err(error) = tell_systemd(&format!("STATUS={status}\nREADY=1\n")) {
        tracing::warn!("systemd supervision error: {error}");
    }
}

/// Whether systemd is to be told something. Unlike [`find`] it asks nobody and says nothing.
fn is_told(config: &Config) -> bool {
    let has = |name| env::var_os(name).is_some();
    has("NOTIFY_SOCKET")
        && match config.supervised() {
            Supervised::Systemd => true,
            Supervised::Auto => !has("UPSTART_JOB"),
            Supervised::Upstart | Supervised::No => false,
        }
}

/// Says how far loading is, and that the start takes longer than usual, but not for ever: for `patience` from now on, and
/// so on with every call.
pub fn loading(config: &Config, percent: f64, patience: Duration) {
    if is_told(config) {
        // Nothing can be done about it, and the next call follows.
        let _ = tell_systemd(&format!(
            "EXTEND_TIMEOUT_USEC={}\nSTATUS=Loading the data set: {percent:.0}%\n",
            patience.as_micros()
        ));
    }
}

/// How often systemd is to be told that the process lives: twice in the time after which the unit's `WatchdogSec` takes it
/// for dead. `None` when it does not want to know.
pub fn watchdog_period(config: &Config) -> Option<Duration> {
    let number = |name| env::var(name).ok()?.parse::<u64>().ok();
    let is_other = number("WATCHDOG_PID").is_some_and(|pid| pid != u64::from(std::process::id()));
    let after = number("WATCHDOG_USEC").filter(|after| *after > 0)?;
    (is_told(config) && !is_other).then(|| Duration::from_micros((after / 2).max(1)))
}

/// Tells systemd that the process lives, for ever.
pub async fn feed_watchdog(period: Duration) {
    let mut tick = tokio::time::interval(period);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        // Whoever does not hear it will act.
        let _ = tell_systemd("WATCHDOG=1\n");
    }
}

/// SIGHUP, by which programs are told that their log was moved away, and SIGUSR1 do not end the process. The log is opened
/// for each line anyway: the line that says so is the first in the new file.
pub async fn attend_harmless_signals() {
    use tokio::signal::unix::{SignalKind, signal};
    let kinds = (signal(SignalKind::hangup()), signal(SignalKind::user_defined1()));
    let (Ok(mut hangup), Ok(mut user)) = kinds else { return };
    loop {
        tokio::select! {
            _ = hangup.recv() => tracing::info!("Received SIGHUP: the log goes on in its file"),
            _ = user.recv() => {}
        }
    }
}

/// Says that the process is about to end.
pub fn stopping(supervisor: Option<Supervisor>) {
    if supervisor == Some(Supervisor::Systemd)
        && let Err(error) = tell_systemd("STATUS=Stopping\nSTOPPING=1\n")
    {
        tracing::warn!("systemd supervision error: {error}");
    }
}

fn tell_systemd(text: &str) -> io::Result<()> {
    let name = env::var_os("NOTIFY_SOCKET")
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "NOTIFY_SOCKET not found!"))?;
    // A leading @ is a name that is not in the file system.
    let address = match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(&name)?,
    };
    UnixDatagram::unbound()?.send_to_addr(text.as_bytes(), &address)?;
    Ok(())
}
