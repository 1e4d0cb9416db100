//! The running server: threads, timers, shutdown.

use crate::clock;
use crate::config::Config;
use crate::dispatch::Worker;
use crate::net::conn::{Conn, Local};
use crate::net::listen::{self, Arrival, Listener};
use crate::net::stream::Stream;
use crate::session::Client;
use crate::shared::{PauseKind, Shared, random_u64};
use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tidegate_persistence::journal::{Journal, NullJournal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Keys one visit of the expiry sweep deletes at most while it holds a shard.
const SWEEP_BUDGET: usize = 256;
/// How often the expiry sweep looks for due segments.
const SWEEP_PERIOD: Duration = Duration::from_millis(50);

/// Tells all threads to stop.
#[derive(Debug, Default)]
pub struct Shutdown {
    requested: AtomicBool,
    notify: tokio::sync::Notify,
}

impl Shutdown {
    /// Asks the process to stop.
    pub fn request(&self) {
        self.requested.store(true, Relaxed);
        self.notify.notify_waiters();
    }

    /// True once somebody asked.
    pub fn is_requested(&self) -> bool {
        self.requested.load(Relaxed)
    }

    async fn requested(&self) {
        loop {
            let notified = self.notify.notified();
            if self.is_requested() {
                return;
            }
            notified.await;
        }
    }
}

/// A running server.
#[derive(Debug)]
pub struct Handle {
    shared: Arc<Shared>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Handle {
    /// What all threads share.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Waits until all threads have stopped.
    pub fn join(self) {
        for thread in self.threads {
            // A thread that panicked has aborted the process already.
            let _ = thread.join();
        }
    }
}

/// A server.
#[derive(Debug)]
pub struct Server;

impl Server {
    /// Starts a server without a journal.
    pub fn start(config: Config, renamed: &[(String, String)]) -> io::Result<Handle> {
        Self::start_with(config, renamed, Arc::new(NullJournal))
    }

    /// Starts a server whose execution units go to `journal`.
    pub fn start_with(
        config: Config,
        renamed: &[(String, String)],
        journal: Arc<dyn Journal>,
    ) -> io::Result<Handle> {
        let listeners = bind(&config)?;
        let port = listeners.iter().find_map(|listener| match listener {
            Listener::Tcp(listener) => listener.local_addr().ok().map(|addr| addr.port()),
            Listener::Unix(_) => None,
        });
        let shared = Arc::new(Shared::new(config, renamed, journal).map_err(io::Error::other)?);
        shared.identity.port.store(u32::from(port.unwrap_or(0)), Relaxed);
        spawn_threads(&shared, listeners)
    }
}

fn bind(config: &Config) -> io::Result<Vec<Listener>> {
    let mut listeners = Vec::new();
    let backlog = config.number("tcp-backlog") as i32;
    if config.port() != 0 {
        // Test suites recognise this text, and try another port.
        let failed =
            |_: &io::Error| tracing::warn!("Failed listening on port {} (TCP), aborting.", config.port());
        listeners = listen::bind_tcp(&config.bind(), config.port(), backlog).inspect_err(failed)?;
    }
    if let Some(path) = config.path("unixsocket") {
        listeners.push(listen::bind_unix(&path, config.number("unixsocketperm") as u32)?);
    }
    if listeners.is_empty() {
        return Err(io::Error::other("Configured to not listen anywhere, exiting."));
    }
    Ok(listeners)
}

fn spawn_threads(shared: &Arc<Shared>, listeners: Vec<Listener>) -> io::Result<Handle> {
    let count = shared.identity.threads;
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..count).map(|_| unbounded_channel()).unzip();
    let mut listeners = Some((listeners, senders));
    let mut threads = Vec::new();
    for (index, arrivals) in receivers.into_iter().enumerate() {
        let shared = Arc::clone(shared);
        // With more threads than cores the kernel places them better than we could.
        let core = if count <= cores.len() { Some(cores[index]) } else { None };
        let listeners = if index == 0 { listeners.take() } else { None };
        let thread = std::thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
            if let Some(core) = core {
                core_affinity::set_for_current(core);
            }
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime =
                runtime.expect("an event loop needs two descriptors and the process has just started");
            let local = tokio::task::LocalSet::new();
            local.block_on(&runtime, run(shared, index, arrivals, listeners));
        })?;
        threads.push(thread);
    }
    Ok(Handle { shared: Arc::clone(shared), threads })
}

type Arrivals = UnboundedReceiver<Arrival>;
type Listeners = (Vec<Listener>, Vec<UnboundedSender<Arrival>>);

/// One thread: its connections, its share of the timers.
async fn run(shared: Arc<Shared>, index: usize, mut arrivals: Arrivals, listeners: Option<Listeners>) {
    let worker = Worker::new(Arc::clone(&shared), index, random_u64());
    let local = Rc::new(RefCell::new(Local::new(worker)));
    if let Some((listeners, senders)) = listeners {
        for listener in listeners {
            tokio::task::spawn_local(listen::accept(listener, Arc::clone(&shared), senders.clone()));
        }
    }
    tokio::task::spawn_local(timers(Rc::clone(&local), index));
    let connections = async {
        while let Some(arrival) = arrivals.recv().await {
            serve(&shared, arrival, &local);
        }
    };
    tokio::select! {
        () = connections => {}
        () = shared.shutdown.requested() => {}
    }
}

fn serve(shared: &Arc<Shared>, arrival: Arrival, local: &Rc<RefCell<Local>>) {
    let Arrival { socket, addr, laddr, is_local, is_unix } = arrival;
    let Ok(stream) = Stream::adopt(socket) else { return };
    let id = shared.clients.next_id();
    let fd = stream.fd();
    let client = Arc::new(Client::new(id, addr, laddr, fd, clock::unix_ms(), is_unix, is_local));
    shared.clients.add(&client);
    let conn = Conn::new(stream, client, Rc::clone(local));
    tokio::task::spawn_local(conn.serve());
}

/// Expiry of this thread's share of the shards, and idle clients.
async fn timers(local: Rc<RefCell<Local>>, index: usize) {
    let mut tick = tokio::time::interval(SWEEP_PERIOD);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut turn = 0u64;
    loop {
        tick.tick().await;
        turn += 1;
        let shared = Arc::clone(&local.borrow().worker.shared);
        if index == 0 && turn.is_multiple_of(2) {
            crate::control::cron(&shared);
        }
        if shared.debug.active_expire.load(Relaxed) && !shared.debug.pause_cron.load(Relaxed) {
            sweep(&local, &shared, index).await;
        }
    }
}

async fn sweep(local: &Rc<RefCell<Local>>, shared: &Arc<Shared>, index: usize) {
    for shard in (index..shared.shards.len()).step_by(shared.identity.threads) {
        loop {
            let more = {
                let worker = &mut local.borrow_mut().worker;
                worker.begin_turn();
                if shared.pause.kind(worker.now_ms()) != PauseKind::None {
                    return;
                }
                worker.exec.sweep_shard(shard as u16, SWEEP_BUDGET)
            };
            if !more {
                break;
            }
            // Requests come first.
            tokio::task::yield_now().await;
        }
    }
}
