//! The Tidegate server.

pub mod clock;
pub mod config;
pub mod control;
pub mod dispatch;
pub mod memory;
pub mod net;
pub mod process;
pub mod registry;
pub mod server;
pub mod session;
pub mod shard;
pub mod shared;
pub mod usage;
pub mod version;

pub use server::{Handle, Server};

use config::{Command, Config, LoadError};
use process::Process;
use registry::Registry;

/// The `rename-command` lines of the configuration, old names and new ones.
///
/// # Errors
/// The first line that names no command, or takes a name that is in use.
pub fn renamed_commands(config: &Config) -> Result<Vec<(String, String)>, LoadError> {
    let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
    let mut renamed = Vec::new();
    for line in config.commands() {
        let Command::Rename { from, to } = &line.value else { continue };
        renamed.push((text(from), text(to)));
        Registry::new(&renamed).map_err(|reason| line.refuse(reason))?;
    }
    Ok(renamed)
}

/// Starts a server with this configuration, says that it is ready, and waits for its end.
///
/// # Errors
/// When the server cannot be reached on any of its addresses.
pub fn run(config: Config, renamed: &[(String, String)], process: &Process) -> std::io::Result<()> {
    let server = Server::start(config, renamed)?;
    let config = &server.shared().config;
    if config.port() != 0 || config.tls_port() != 0 {
        tracing::info!("Ready to accept connections");
    }
    if let Some(path) = config.path("unixsocket") {
        tracing::info!("The server is now ready to accept connections at {}", path.display());
    }
    process.ready(config.hot().replicaof.get());
    server.join();
    Ok(())
}
