//! `/metrics` for Prometheus, with `/livez` and `/readyz`, on a port of their own (`metrics-port`).
//!
//! What is told are the figures of `INFO`, every number of it, so that the two cannot differ; `families` gives them the
//! names, types and labels of Prometheus. One thread serves all of it, and is there once a port was configured. It is no worker: it
//! looks at one shard after the other, each for as long as it takes to read a few sums.

mod families;
mod http;

use crate::control::info;
use crate::net::listen::bind_tcp;
use crate::shared::Shared;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use std::io;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

const BACKLOG: i32 = 16;

/// Where figures are served.
#[derive(Debug, Default)]
pub struct Metrics(Mutex<Served>);

#[derive(Debug, Default)]
struct Served {
    addresses: Vec<String>,
    port: u16,
    /// To the thread that serves: the sockets that it serves from then on.
    thread: Option<UnboundedSender<Vec<TcpListener>>>,
}

impl Metrics {
    /// Serves where the configuration says now: at the start, `CONFIG SET metrics-port` and `bind`. Does nothing where that is so
    /// already.
    ///
    /// # Errors
    /// When the port cannot be listened on; then it stays as it was.
    pub fn follow(&self, shared: &Arc<Shared>) -> io::Result<()> {
        let mut served = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let addresses = shared.config.bind();
        let port = u16::try_from(shared.config.number("metrics-port")).unwrap_or(0);
        if served.port == port && (port == 0 || served.addresses == addresses) {
            return Ok(());
        }
        let mut sockets = Vec::new();
        if port != 0 {
            sockets = bind_tcp(&addresses, port, BACKLOG)?;
        }
        let thread = match served.thread.take() {
            Some(thread) => thread,
            None => spawn(shared)?,
        };
        // It lives as long as the process.
        let _ = thread.send(sockets);
        *served = Served { addresses, port, thread: Some(thread) };
        Ok(())
    }
}

fn spawn(shared: &Arc<Shared>) -> io::Result<UnboundedSender<Vec<TcpListener>>> {
    let (sender, sockets) = unbounded_channel();
    let shared = Arc::clone(shared);
    let thread = std::thread::Builder::new().name("metrics".to_owned());
    thread.spawn(move || http::serve(&shared, sockets))?;
    Ok(sender)
}

/// All figures in the text form of OpenMetrics 1.0. O(shards x databases + commands).
fn page(shared: &Shared) -> String {
    let mut registry = Registry::default();
    let figures = families::Figures {
        info: info::everything(shared),
        limits: shared.native.policies.totals(),
        quotas: shared.native.quotas.read(),
    };
    registry.register_collector(Box::new(figures));
    let mut text = String::new();
    // Writing to a string cannot fail; a collector that does has written what it could.
    let _ = encode(&mut text, &registry);
    text
}
