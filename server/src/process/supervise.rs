//! Telling the one who started the process that it is ready: systemd through its socket, upstart by stopping.

use std::env;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

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

/// Says that the process is about to end.
pub fn stopping(supervisor: Option<Supervisor>) {
    if supervisor == Some(Supervisor::Systemd)
        && let Err(error) = tell_systemd("STOPPING=1\n")
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
