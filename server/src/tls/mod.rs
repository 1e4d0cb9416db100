//! Encrypted connections: TLS 1.2 and 1.3, by rustls.
//!
//! [`Tls`] holds what new connections are accepted with. It is built whole from the configuration and takes the place of the one
//! before, so that changing certificates neither stops the server nor leaves something half done; connections that are there keep
//! what they began with.

mod ciphers;
mod files;
mod identity;
mod pool;
mod sessions;
mod settings;
mod transport;

pub use pool::{Encrypted, Pool, Step};
pub use transport::Transport;

use crate::config::Config;
use rustls::ServerConfig;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// What new connections are accepted with.
#[derive(Debug, Clone)]
pub struct Acceptor {
    config: Arc<ServerConfig>,
    /// What of a client's certificate names its ACL user.
    identity: identity::Field,
}

/// The TLS of one server.
#[derive(Debug, Default)]
pub struct Tls {
    acceptor: Mutex<Option<Acceptor>>,
    /// Who agrees with peers on keys, once there may be any.
    pool: OnceLock<Pool>,
}

impl Tls {
    /// Reads certificates, keys and settings again; nothing, where TLS is not used. After an error, which is in the log, everything
    /// is as it was.
    ///
    /// # Errors
    /// A file that cannot be read or is not what it should be, or a setting that leaves nothing to agree on.
    pub fn follow(&self, config: &Config) -> Result<(), settings::Failure> {
        let is_used = config.tls_port() != 0 || config.flag("tls-replication") || config.flag("tls-cluster");
        if !is_used {
            return Ok(());
        }
        let acceptor = settings::acceptor(config).inspect_err(|failure| tracing::warn!("{failure}"))?;
        if self.pool.get().is_none() {
            // Without threads, those who serve do it.
            match Pool::start(config.threads()) {
                Ok(pool) => drop(self.pool.set(pool)),
                Err(error) => tracing::warn!("No thread for handshakes: {error}"),
            }
        }
        *self.acceptor.lock().unwrap_or_else(PoisonError::into_inner) = Some(acceptor);
        Ok(())
    }

    /// The threads for handshakes, if there are any.
    pub fn pool(&self) -> Option<&Pool> {
        self.pool.get()
    }

    /// What a connection that comes now is accepted with.
    pub fn acceptor(&self) -> Option<Acceptor> {
        self.acceptor.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
