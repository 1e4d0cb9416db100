//! Sending keys to other servers, the part of `MIGRATE` that waits: one thread does it for all, started by the first
//! transfer, so that no thread which serves clients ever waits for another machine.
//!
//! What is sent was copied before, and whether keys are deleted here is decided by whoever gets the [`Report`]: this module
//! knows no shard.

mod sockets;
mod target;

use crate::session::Client;
use sockets::Sockets;
use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

/// How often sockets that nobody used for long are looked for.
const TIDY_PERIOD: Duration = Duration::from_secs(1);

/// A key on its way.
#[derive(Debug)]
pub struct Parcel {
    /// Its name.
    pub key: Box<[u8]>,
    /// When its time comes, Unix milliseconds.
    pub deadline_ms: Option<i64>,
    /// Its value, as `DUMP` answers it.
    pub payload: Vec<u8>,
}

/// How the sender makes itself known.
#[derive(Debug)]
pub struct Credentials {
    /// `None` for the user that needs no name.
    pub user: Option<Box<[u8]>>,
    /// What it knows.
    pub password: Box<[u8]>,
}

/// What to send where.
#[derive(Debug)]
pub struct Order {
    /// Name or address of the other server.
    pub host: Box<[u8]>,
    /// Its port.
    pub port: Box<[u8]>,
    /// The database there. It decides which numbers there are.
    pub db: i64,
    /// How long connecting, sending 64 KiB, or waiting for an answer may take.
    pub timeout: Duration,
    /// How long all of it may take.
    pub limit: Option<Duration>,
    /// `AUTH`, `AUTH2`
    pub credentials: Option<Credentials>,
    /// Keys that are there already go.
    pub replace: bool,
    /// The keys are of a slot that is being imported there.
    pub asking: bool,
    /// The keys.
    pub parcels: Vec<Parcel>,
}

/// What became of an order.
#[derive(Debug, Default)]
pub struct Report {
    /// Which of the parcels the other server has taken, ascending.
    pub taken: Vec<usize>,
    /// What to answer if not all is well.
    pub error: Option<Vec<u8>>,
}

/// An order under way.
#[derive(Debug)]
pub struct Transfer {
    report: Mutex<Option<Report>>,
    done: Condvar,
    /// Who is woken when it is done.
    client: Option<Arc<Client>>,
}

impl Transfer {
    /// What became of it, once it is done. Only the first call gets it.
    pub fn take_report(&self) -> Option<Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// True when the report is there.
    pub fn is_done(&self) -> bool {
        self.report.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Waits for the report. For those who cannot be put off.
    pub fn wait(&self) -> Report {
        let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match report.take() {
                Some(report) => return report,
                None => report = self.done.wait(report).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn finish(&self, report: Report) {
        *self.report.lock().unwrap_or_else(PoisonError::into_inner) = Some(report);
        self.done.notify_all();
        if let Some(client) = &self.client {
            client.waker.wake();
        }
    }
}

type Task = (Order, Arc<Transfer>);

/// Carries out orders.
#[derive(Debug, Default)]
pub struct Mover {
    /// To the thread, if it was started.
    tasks: Mutex<Option<UnboundedSender<Task>>>,
    /// Sockets that are kept open.
    cached: Arc<AtomicUsize>,
    /// Keys that are being sent away and that nobody may touch meanwhile.
    moving: AtomicUsize,
}

impl Mover {
    /// Begins to carry out an order. `client` is woken when it is done.
    ///
    /// # Errors
    /// There is no thread that could do it.
    pub fn send(&self, order: Order, client: Option<Arc<Client>>) -> io::Result<Arc<Transfer>> {
        let transfer = Arc::new(Transfer { report: Mutex::default(), done: Condvar::new(), client });
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = match &mut *tasks {
            Some(sender) => sender,
            none => none.insert(start(Arc::clone(&self.cached))?),
        };
        let sent = sender.send((order, Arc::clone(&transfer)));
        sent.map_err(|_| io::Error::other("the thread that sends keys is gone"))?;
        Ok(transfer)
    }

    /// Sockets that are kept open for the next order.
    pub fn cached(&self) -> usize {
        self.cached.load(Relaxed)
    }

    /// True when there are keys that nobody may touch.
    #[inline]
    pub fn is_busy(&self) -> bool {
        self.moving.load(Relaxed) > 0
    }

    /// So many keys more. Call it with their shards held.
    pub fn add_moving(&self, keys: usize) {
        self.moving.fetch_add(keys, Relaxed);
    }

    /// So many keys less.
    pub fn remove_moving(&self, keys: usize) {
        self.moving.fetch_sub(keys, Relaxed);
    }
}

fn start(cached: Arc<AtomicUsize>) -> io::Result<UnboundedSender<Task>> {
    let (sender, tasks) = unbounded_channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("migrate".to_owned()).spawn(move || {
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, work(tasks, cached));
    })?;
    Ok(sender)
}

async fn work(mut tasks: UnboundedReceiver<Task>, cached: Arc<AtomicUsize>) {
    let sockets = Rc::new(RefCell::new(Sockets::new(cached)));
    let mut tidy = tokio::time::interval(TIDY_PERIOD);
    let mut transfers = JoinSet::new();
    loop {
        let has_sockets = !sockets.borrow().is_empty();
        tokio::select! {
            task = tasks.recv() => {
                let Some((order, transfer)) = task else { return };
                let sockets = Rc::clone(&sockets);
                transfers.spawn_local(async move {
                    transfer.finish(target::carry_out(&order, &sockets).await);
                });
            }
            // It may have left a socket behind.
            _ = transfers.join_next(), if !transfers.is_empty() => {}
            _ = tidy.tick(), if has_sockets => sockets.borrow_mut().close_idle(),
        }
    }
}
