//! The Tidegate server.

pub mod clock;
pub mod config;
pub mod control;
pub mod dispatch;
pub mod net;
pub mod process;
pub mod registry;
pub mod server;
pub mod session;
pub mod shard;
pub mod shared;
pub mod version;

pub use server::{Handle, Server};

use config::Config;

/// Starts a server with this configuration and waits for its end.
pub fn run(config: Config) -> std::io::Result<()> {
    Server::start(config, &[])?.join();
    Ok(())
}
