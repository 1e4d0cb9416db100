//! The running server: threads, timers, shutdown.

use crate::aof;
use crate::clock;
use crate::config::Config;
use crate::dataset;
use crate::dispatch::Worker;
use crate::loading;
use crate::memory;
use crate::native::soft;
use crate::net::conn::{Conn, Local};
use crate::net::listen::{self, Arrival, Listener};
use crate::net::reactor::Reactor;
use crate::net::stream::Stream;
use crate::process::{cores, supervise};
use crate::session::Client;
use crate::shared::{PauseKind, Shared, random_hex, random_u64};
use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;
use tidegate_persistence::disk::RealDisk;
use tidegate_persistence::journal::Journal;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Keys one visit of the expiry sweep deletes at most while it holds a shard.
const SWEEP_BUDGET: usize = 256;
/// Keys that are forgotten to have been read at once, when there are too many.
const FORGOTTEN_MAX: usize = 10_000;
/// How often the end of the threads is looked for, once they were asked to stop.
const JOIN_STEP: Duration = Duration::from_millis(2);
/// Once all shards are held for good, threads that do not stop in this time wait for them.
const SEALED_PATIENCE: Duration = Duration::from_millis(100);
/// How long a thread frees what it gets back before it looks for requests again.
const TAKE_BACK_NANOS: u64 = 50_000;
/// The pause after that where there were requests.
const TAKE_BACK_PAUSE: Duration = Duration::from_millis(1);
/// How often the expiry sweep looks for due segments.
const SWEEP_PERIOD: Duration = Duration::from_millis(50);

/// Tells all threads to stop.
#[derive(Debug, Default)]
pub struct Shutdown {
    /// A signal asked for it, with these words of `SHUTDOWN_ON_SIGNAL`; the cron will see to it.
    scheduled: Mutex<Option<i64>>,
    /// Somebody is saving, and will ask then.
    saving: AtomicBool,
    requested: AtomicBool,
    /// The last state is saved, and no shard is released any more.
    sealed: AtomicBool,
    notify: tokio::sync::Notify,
    /// For [`Handle::join`], which is no task.
    waited: Condvar,
}

impl Shutdown {
    /// Asks the process to stop.
    pub fn request(&self) {
        self.requested.store(true, Relaxed);
        self.notify.notify_waiters();
        // Who is about to wait has looked already, or looks after this.
        drop(self.scheduled());
        self.waited.notify_all();
    }

    /// Says that nothing can be changed from now on: the last state is on disk, and all shards are held for good.
    pub fn seal(&self) {
        self.sealed.store(true, Relaxed);
    }

    /// True when threads may wait for shards for ever.
    pub fn is_sealed(&self) -> bool {
        self.sealed.load(Relaxed)
    }

    /// Has the cron ask the process to stop, in the way these words of `SHUTDOWN_ON_SIGNAL` say.
    pub fn schedule(&self, words: i64) {
        *self.scheduled() = Some(words);
    }

    /// Calls off what was scheduled, and tells what that was.
    pub fn abort(&self) -> Option<i64> {
        self.scheduled().take()
    }

    /// True when the cron is to ask, or somebody is saving before the end.
    pub fn is_under_way(&self) -> bool {
        self.scheduled().is_some() || self.saving.load(Relaxed)
    }

    /// Says whether somebody is saving before the end.
    pub fn set_saving(&self, saving: bool) {
        self.saving.store(saving, Relaxed);
    }

    fn scheduled(&self) -> MutexGuard<'_, Option<i64>> {
        self.scheduled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True once somebody asked.
    pub fn is_requested(&self) -> bool {
        self.requested.load(Relaxed)
    }

    /// Sleeps until somebody asks.
    fn wait(&self) {
        let scheduled = self.scheduled();
        let woken = self.waited.wait_while(scheduled, |_| !self.is_requested());
        drop(woken.unwrap_or_else(PoisonError::into_inner));
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
        self.shared.shutdown.wait();
        let shared = Arc::clone(&self.shared);
        self.end();
        shared.audit.close();
        tracing::warn!("Redis is now ready to exit, bye bye...");
    }

    /// Waits for the threads, which were asked to stop, and leaves nothing behind.
    fn end(self) {
        let shutdown = &self.shared.shutdown;
        for thread in self.threads {
            let mut waited = Duration::ZERO;
            while !thread.is_finished() {
                if shutdown.is_sealed() && waited > SEALED_PATIENCE {
                    break;
                }
                std::thread::sleep(JOIN_STEP);
                waited += JOIN_STEP;
            }
        }
        if !shutdown.is_sealed() {
            soft::flush_all(&self.shared);
        }
        if let Some(aof) = self.shared.aof.as_ref().filter(|_| self.shared.journaled.load(Relaxed)) {
            tracing::info!("Calling fsync() on the AOF file.");
            if !aof.stop() {
                tracing::error!("Not everything could be written to the AOF file and synced.");
            }
        }
        if let Some(path) = self.shared.config.path("unixsocket") {
            tracing::info!("Removing the unix socket file.");
            // It may be gone already, and nothing can be done about it now.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// A server.
#[derive(Debug)]
pub struct Server;

impl Server {
    /// Starts a server. Its journal is the append-only file, if the configuration says so.
    pub fn start(config: Config, renamed: &[(String, String)]) -> io::Result<Handle> {
        let disk = Arc::new(RealDisk);
        let journal = Arc::new(aof::new(&config, disk, random_hex(40)));
        let shared = Shared::new(config, renamed, Arc::clone(&journal) as _).map_err(io::Error::other)?;
        journal.settings().delays.tell(Arc::clone(&shared.latency) as _);
        Self::start_shared(Shared { aof: Some(journal), ..shared })
    }

    /// Starts a server whose execution units go to `journal`.
    pub fn start_with(
        config: Config,
        renamed: &[(String, String)],
        journal: Arc<dyn Journal>,
    ) -> io::Result<Handle> {
        Self::start_shared(Shared::new(config, renamed, journal).map_err(io::Error::other)?)
    }

    fn start_shared(shared: Shared) -> io::Result<Handle> {
        let shared = Arc::new(shared);
        let waiting = Arc::downgrade(&shared);
        if let Some(aof) = &shared.aof {
            aof.log().on_progress(Box::new(move || {
                let Some(shared) = waiting.upgrade() else { return };
                let open_to = shared.journal.open_to();
                shared.gates.iter().for_each(|gate| gate.open_to(open_to));
            }));
        }
        // The score cannot be set everywhere; that is in the log, and no reason not to start.
        let _ = shared.oom_score.apply(&shared.config);
        let (handoff, handed) = unbounded_channel();
        let listeners = bind(&shared, handoff)?;
        shared.metrics.follow(&shared)?;
        shared.audit.follow(&shared)?;
        // Whoever connects before everything is there is told so, from the first moment on.
        shared.loading.begin(clock::unix_ms() / 1000);
        let handle = spawn_threads(&shared, listeners, handed)?;
        match loading::at_start(&shared) {
            // The caller will see that it was asked to stop meanwhile.
            Err(_) if shared.shutdown.is_requested() => Ok(handle),
            Err(error) => {
                shared.shutdown.request();
                handle.end();
                Err(error)
            }
            Ok(()) => Ok(handle),
        }
    }
}

fn bind(shared: &Shared, handoff: UnboundedSender<Listener>) -> io::Result<Vec<Listener>> {
    let config = &shared.config;
    // Test suites recognise this text, and try another port.
    let failed =
        |_: &io::Error| tracing::warn!("Failed listening on port {} (TCP), aborting.", config.port());
    let mut listeners = shared.listening.start(config, handoff.clone()).inspect_err(failed)?;
    if config.tls_port() != 0 {
        let failed = |_| io::Error::other("Failed to configure TLS. Check logs for more info.");
        shared.tls.follow(config).map_err(failed)?;
    }
    let failed = |_: &io::Error| {
        tracing::warn!("Failed listening on port {} (TLS), aborting.", config.tls_port());
    };
    listeners.extend(shared.tls_listening.start(config, handoff).inspect_err(failed)?);
    if let Some(path) = config.path("unixsocket") {
        let (mode, backlog) = (config.number("unixsocketperm") as u32, config.number("tcp-backlog") as i32);
        listeners.push(listen::bind_unix(&path, mode, backlog)?);
    }
    if listeners.is_empty() {
        return Err(io::Error::other("Configured to not listen anywhere, exiting."));
    }
    Ok(listeners)
}

fn spawn_threads(
    shared: &Arc<Shared>,
    listeners: Vec<Listener>,
    handed: UnboundedReceiver<Listener>,
) -> io::Result<Handle> {
    let count = shared.identity.threads;
    let cores = cores::for_workers(count, shared.config.text("server_cpulist").as_deref());
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..count).map(|_| unbounded_channel()).unzip();
    let mut first = Some(First { listeners, handed, senders });
    let mut threads = Vec::new();
    for (index, arrivals) in receivers.into_iter().enumerate() {
        let shared = Arc::clone(shared);
        let core = cores.as_ref().map(|cores| cores[index]);
        let first = if index == 0 { first.take() } else { None };
        let thread = std::thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
            if let Some(core) = core {
                core_affinity::set_for_current(core);
            }
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime =
                runtime.expect("an event loop needs two descriptors and the process has just started");
            let local = tokio::task::LocalSet::new();
            local.block_on(&runtime, run(shared, index, arrivals, first));
        })?;
        threads.push(thread);
    }
    Ok(Handle { shared: Arc::clone(shared), threads })
}

type Arrivals = UnboundedReceiver<Arrival>;

/// What only the first thread has: it accepts for all.
struct First {
    listeners: Vec<Listener>,
    /// Listeners that are bound later.
    handed: UnboundedReceiver<Listener>,
    senders: Vec<UnboundedSender<Arrival>>,
}

/// One thread: its connections, its share of the timers.
async fn run(shared: Arc<Shared>, index: usize, mut arrivals: Arrivals, first: Option<First>) {
    let own = memory::Own::claim();
    let mut worker = Worker::new(Arc::clone(&shared), index, random_u64());
    crate::script::attend::begin(worker.eternal, index);
    worker.exec.take_back(own.as_ref());
    let local = Rc::new(RefCell::new(Local::new(worker)));
    if let Some(own) = own {
        tokio::task::spawn_local(take_back(own, Rc::clone(&local)));
    }
    if let Some(first) = first {
        shared.stats.startup_memory.store(crate::memory::used(), Relaxed);
        tokio::task::spawn_local(signals(Arc::clone(&shared)));
        tokio::task::spawn_local(supervise::attend_harmless_signals());
        if let Some(period) = supervise::watchdog_period(&shared.config) {
            tokio::task::spawn_local(supervise::feed_watchdog(period));
        }
        tokio::task::spawn_local(accept_all(first, Arc::clone(&shared)));
    }
    tokio::task::spawn_local(timers(Rc::clone(&local), index));
    tokio::task::spawn_local(flush_soft(Arc::clone(&shared), index));
    tokio::task::spawn_local(wake_waiters(Rc::clone(&local), Arc::clone(&shared), index));
    let connections = async {
        let gate = Arc::clone(&shared.gates[index]);
        let reactor = Reactor::new(Rc::clone(&local), Arc::clone(&shared.journal), gate);
        let mut reactor = reactor.expect("an event loop needs two descriptors");
        loop {
            let turn = std::future::poll_fn(|cx| {
                while let Poll::Ready(Some(arrival)) = arrivals.poll_recv(cx) {
                    serve(&shared, arrival, &local, &mut reactor);
                }
                reactor.turn(cx)
            });
            turn.await;
            // Timers and listeners have their turn, too.
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = connections => {}
        () = shared.shutdown.requested() => {}
    }
}

/// Waits until the data set is loaded, but not for long: who connects meanwhile waits to be accepted. Where there is nothing
/// to load, or little, nobody is told that it is being loaded; Redis, too, answers that only between parts of a long load.
async fn loaded_soon(shared: &Shared) {
    const LOOKS: u32 = 100;
    for _ in 0..LOOKS {
        if !shared.loading.is_on() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Accepts on all listeners, now and later.
async fn accept_all(mut first: First, shared: Arc<Shared>) {
    shared.listening.serve_on(first.senders.clone());
    shared.tls_listening.serve_on(first.senders.clone());
    loaded_soon(&shared).await;
    for listener in first.listeners {
        tokio::task::spawn_local(listen::accept(listener, Arc::clone(&shared), first.senders.clone()));
    }
    while let Some(listener) = first.handed.recv().await {
        tokio::task::spawn_local(listen::accept(listener, Arc::clone(&shared), first.senders.clone()));
    }
}

/// SIGTERM and SIGINT stop the server at the next run of the cron. Who presses Ctrl+C again does not want to wait.
async fn signals(shared: Arc<Shared>) {
    use tokio::signal::unix::{SignalKind, signal};
    let kinds = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    let (Ok(mut terminate), Ok(mut interrupt)) = kinds else {
        tracing::warn!("Signals cannot be caught: SIGTERM will end the process at once");
        return;
    };
    loop {
        let (name, directive, insists) = tokio::select! {
            _ = terminate.recv() => ("SIGTERM", "shutdown-on-sigterm", false),
            _ = interrupt.recv() => ("SIGINT", "shutdown-on-sigint", shared.shutdown.is_under_way()),
        };
        if insists {
            tracing::warn!("You insist... exiting now.");
            dataset::remove_temporary(&shared);
            std::process::exit(1);
        }
        if shared.loading.is_on() {
            tracing::warn!("Received shutdown signal during loading, scheduling shutdown.");
        } else {
            tracing::warn!("Received {name} scheduling shutdown...");
        }
        shared.shutdown.schedule(shared.config.choice(directive));
    }
}

fn serve(shared: &Arc<Shared>, arrival: Arrival, local: &Rc<RefCell<Local>>, reactor: &mut Reactor) {
    let Arrival { socket, addr, laddr, is_local, is_unix } = arrival;
    let stream = match Stream::adopt(socket) {
        Ok(stream) => stream,
        Err(error) => {
            tracing::warn!("A connection cannot be served: {error}");
            shared.clients.release();
            return;
        }
    };
    let id = shared.clients.next_id();
    let fd = stream.fd();
    let mut client = Client::new(id, addr, laddr, fd, clock::unix_ms(), is_unix, is_local);
    client.is_encrypted = stream.is_encrypted();
    let client = Arc::new(client);
    shared.clients.add(&client);
    if let Err(error) = reactor.add(Conn::new(stream, client, Rc::clone(local))) {
        tracing::warn!("A connection cannot be served: {error}");
    }
}

/// Expiry of this thread's share of the shards, and idle clients.
async fn timers(local: Rc<RefCell<Local>>, index: usize) {
    let mut tick = tokio::time::interval(SWEEP_PERIOD);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut turn = 0u64;
    let mut freed = memory::Freed::default();
    loop {
        tick.tick().await;
        turn += 1;
        let shared = Arc::clone(&local.borrow().worker.shared);
        local.borrow_mut().worker.exec.return_memory();
        local.borrow_mut().worker.end_orphans();
        if index == 0 {
            let eternal = local.borrow().worker.eternal;
            crate::script::attend::end(eternal);
        }
        if index == 0 && turn.is_multiple_of(4) && freed.much() {
            shared.reclaim.purge();
        }
        // Idle threads, too, forget what CONFIG RESETSTAT wants forgotten.
        local.borrow().worker.stats.follow(shared.stats.epoch());
        if shared.debug.pause_cron.load(Relaxed) {
            continue;
        }
        if index == 0 && turn.is_multiple_of(2) {
            crate::control::cron(&shared);
        }
        if shared.loading.is_on() {
            // Whoever loads has most shards, and finds no key missing.
            continue;
        }
        tend_tracked(&local, &shared, index);
        local.borrow_mut().worker.tidy_scripts();
        local.borrow_mut().worker.age_some(turn);
        while local.borrow_mut().worker.tend_memory() {
            // Requests come first.
            tokio::task::yield_now().await;
        }
        while shared.native.quotas.is_on() && local.borrow_mut().worker.tend_quotas() {
            tokio::task::yield_now().await;
        }
        if shared.debug.active_expire.load(Relaxed) {
            sweep(&local, &shared, index).await;
        }
    }
}

/// Tells the journal of soft state in this thread's share of the shards.
async fn flush_soft(shared: Arc<Shared>, index: usize) {
    /// While nothing is gathered it is looked so often whether that has changed.
    const IDLE_MS: u64 = 100;
    loop {
        let wait_ms = u64::try_from(shared.config.hot().native_soft_flush_ms.get()).unwrap_or(0);
        tokio::time::sleep(Duration::from_millis(if wait_ms == 0 { IDLE_MS } else { wait_ms })).await;
        if shared.loading.is_on() {
            continue;
        }
        let mut last = 0;
        for shard in (index..shared.shards.len()).step_by(shared.identity.threads) {
            let shard = shard as u16;
            if shared.native.is_unflushed(shard)
                && let Some(mut hold) = shared.shards.try_hold_one(shard)
            {
                last = soft::flush(&shared, shard, hold.data_mut()).max(last);
            }
        }
        if last > 0 {
            shared.journal.advance();
        }
    }
}

/// Looks at keys of this thread's share of the shards when those who wait for them want it: see `native/timers.rs`.
async fn wake_waiters(local: Rc<RefCell<Local>>, shared: Arc<Shared>, index: usize) {
    /// While nothing may be changed it is looked so often whether that is over.
    const PAUSE: Duration = Duration::from_millis(10);
    loop {
        for shard in shared.native.timers.come_due(index, || shared.native.clock.now_untold_ns()).await {
            let is_done = !shared.loading.is_on() && local.borrow_mut().worker.run_timers(shard);
            if !is_done {
                tokio::time::sleep(PAUSE).await;
            }
            // Requests come first.
            tokio::task::yield_now().await;
        }
    }
}

/// Frees what this thread allocated and others have dropped, a little at a time: nobody waits longer for a reply.
async fn take_back(mut own: memory::Own, local: Rc<RefCell<Local>>) {
    let clock = clock::Stopwatch::default();
    let mut reads = 0;
    loop {
        std::future::poll_fn(|cx| own.poll(cx)).await;
        let started = clock.ticks();
        own.free(|| clock.nanos(started, clock.ticks()) < TAKE_BACK_NANOS);
        let reads_now = local.borrow().worker.stats.reads.load(Relaxed);
        if reads_now == reads {
            // Nobody asks for anything: but requests are looked for between any two steps.
            tokio::task::yield_now().await;
        } else {
            reads = reads_now;
            tokio::time::sleep(TAKE_BACK_PAUSE).await;
        }
    }
}

/// Client-side caching: this thread's share of the shards forgets readers that are gone, and keys that are too many.
fn tend_tracked(local: &Rc<RefCell<Local>>, shared: &Arc<Shared>, index: usize) {
    let worker = &mut local.borrow_mut().worker;
    for shard in (index..shared.shards.len()).step_by(shared.identity.threads) {
        worker.tend_tracked(shard as u16);
    }
    if index == 0 {
        worker.limit_tracked(FORGOTTEN_MAX);
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
                let started_us = clock::unix_us();
                let more = worker.sweep_shard(shard as u16, SWEEP_BUDGET);
                note_sweep(shared, clock::unix_us() - started_us);
                more
            };
            if !more {
                break;
            }
            // Requests come first.
            tokio::task::yield_now().await;
        }
    }
}

/// Tells the latency monitor of a visit that took long.
fn note_sweep(shared: &Shared, took_us: i64) {
    let threshold_ms = shared.config.hot().latency_monitor_threshold.get();
    if threshold_ms > 0 && took_us >= threshold_ms * 1000 {
        shared.latency.add("expire-cycle", took_us / 1000, clock::unix_ms() / 1000);
    }
}
