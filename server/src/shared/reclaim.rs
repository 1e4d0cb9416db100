//! Freeing large things off the hot path: one thread that drops what it is sent, after everybody else had their turn.

use crate::memory::{self, Returns};
use crate::session::{Client, Ending};
use crate::shard::track::Tracked;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;
use tidegate_data::{Contents, Record};

/// How often the thread looks whether memory can go back to the kernel, while others still free what was theirs.
const PURGE_PERIOD: Duration = Duration::from_millis(50);
/// Bytes that may wait before it would be too much: see [`Reclaim::is_behind`].
const WAITING_MAX: usize = 64 << 20;

/// What is to be freed together.
#[derive(Debug, Default)]
pub struct Removed {
    /// Whole tables.
    pub tables: Vec<Contents>,
    /// Single keys.
    pub records: Vec<Record>,
    /// What is remembered about keys that clients read.
    pub tracked: Vec<Tracked>,
    /// Keys among them that the user wanted freed in the background, and is told about.
    pub lazy: usize,
    /// Who waits for it.
    pub awaited: Option<Awaited>,
}

impl Removed {
    /// True when there is nothing to free.
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty() && self.records.is_empty() && self.tracked.is_empty()
    }

    /// Bytes it occupies.
    fn size(&self) -> usize {
        let records: usize = self.records.iter().map(Record::heap_size).sum();
        let tracked: usize =
            self.tracked.iter().map(|tracked| size_of::<Tracked>() + tracked.key.len()).sum();
        records + tracked + self.tables.iter().map(Contents::bytes).sum::<usize>()
    }
}

/// A connection that gets its reply when everything is freed.
#[derive(Debug)]
pub struct Awaited {
    /// The connection.
    pub client: Arc<Client>,
    /// The number of its wait: see [`crate::session::Waiting`].
    pub wait: u64,
    /// The reply.
    pub reply: Vec<u8>,
}

impl Awaited {
    fn answer(self) {
        if let Some(claim) = self.client.waiting.claim(self.wait) {
            self.client.mailbox.put(&self.reply);
            claim.end(Ending::Served);
            self.client.waker.wake();
        }
    }
}

/// What the thread is asked for.
#[derive(Debug)]
enum Task {
    Free(Removed),
    /// Give memory back to the kernel.
    Purge,
}

#[derive(Debug, Default)]
struct Figures {
    /// Keys waiting to be freed that the user is told about.
    pending: AtomicUsize,
    /// Those freed.
    freed: AtomicU64,
    /// Bytes waiting to be freed.
    waiting: AtomicUsize,
}

/// The reclaiming thread's mailbox and figures.
#[derive(Debug)]
pub struct Reclaim {
    sender: Mutex<Option<mpsc::Sender<Task>>>,
    figures: Arc<Figures>,
}

impl Default for Reclaim {
    fn default() -> Self {
        let (sender, receiver) = mpsc::channel();
        let figures = Arc::<Figures>::default();
        let theirs = Arc::clone(&figures);
        let thread =
            std::thread::Builder::new().name("reclaim".into()).spawn(move || reclaim(&receiver, &theirs));
        // Without the thread everything is freed where it is removed: slower, never wrong.
        Reclaim { sender: Mutex::new(thread.ok().map(|_| sender)), figures }
    }
}

impl Reclaim {
    /// Frees in the background.
    pub fn free(&self, removed: Removed) {
        let (lazy, size) = (removed.lazy, removed.size());
        self.figures.pending.fetch_add(lazy, Relaxed);
        self.figures.waiting.fetch_add(size, Relaxed);
        match removed.awaited {
            None => self.send(Task::Free(removed)),
            // On a busy machine it could take very long until everybody else has had enough.
            Some(_) => self.free_now(removed),
        }
    }

    /// Frees in a thread that runs beside the others, not after them.
    fn free_now(&self, removed: Removed) {
        let figures = Arc::clone(&self.figures);
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let task = Arc::new(Mutex::new(Some(Task::Free(removed))));
        let theirs = Arc::clone(&task);
        let take = |task: &Mutex<Option<Task>>| task.lock().unwrap_or_else(PoisonError::into_inner).take();
        let thread = std::thread::Builder::new().name("reclaim-now".into()).spawn(move || {
            if let Some(task) = take(&theirs) {
                work(task, &mut Returns::patient(), &figures);
                // The other thread is gone only when the process is.
                let _ = sender.map(|sender| sender.send(Task::Purge));
            }
        });
        if thread.is_err()
            && let Some(task) = take(&task)
        {
            self.send(task);
        }
    }

    /// Gives memory that is free back to the kernel, in the background.
    pub fn purge(&self) {
        self.send(Task::Purge);
    }

    fn send(&self, task: Task) {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        let refused = match &*sender {
            Some(sender) => sender.send(task).err().map(|error| error.0),
            None => Some(task),
        };
        drop(sender);
        if let Some(task) = refused {
            work(task, &mut Returns::new(None), &self.figures);
        }
    }

    /// Counts keys that the user wanted freed in the background, but which it took no background to free.
    pub fn count(&self, lazy: usize) {
        if lazy > 0 {
            self.figures.freed.fetch_add(lazy as u64, Relaxed);
        }
    }

    /// True when so much waits already that whoever removes more should free it where it is.
    pub fn is_behind(&self) -> bool {
        self.figures.waiting.load(Relaxed) > WAITING_MAX
    }

    /// Bytes waiting to be freed.
    pub fn waiting(&self) -> usize {
        self.figures.waiting.load(Relaxed)
    }

    /// Keys waiting to be freed, of those the user is told about.
    pub fn pending(&self) -> usize {
        self.figures.pending.load(Relaxed)
    }

    /// Keys freed so far, of those the user is told about.
    pub fn freed(&self) -> u64 {
        self.figures.freed.load(Relaxed)
    }

    /// Starts the count of freed keys again: `CONFIG RESETSTAT`.
    pub fn reset(&self) {
        self.figures.freed.store(0, Relaxed);
    }
}

/// The thread.
fn reclaim(tasks: &mpsc::Receiver<Task>, figures: &Figures) {
    // It runs when nobody else wants to. Where that cannot be said it competes with the others, as any thread.
    let _ = rustix::process::setpriority_process(None, 19);
    let mut returns = Returns::patient();
    while let Ok(task) = tasks.recv() {
        work(task, &mut returns, figures);
        // What was returned is freed by its owners in their own time; the regions they leave empty are given back here.
        loop {
            let last = !memory::any_waiting();
            match tasks.recv_timeout(PURGE_PERIOD) {
                Ok(task) => work(task, &mut returns, figures),
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    memory::purge();
                    if last {
                        break;
                    }
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
        }
    }
}

fn work(task: Task, returns: &mut Returns, figures: &Figures) {
    let Task::Free(removed) = task else { return };
    let (lazy, size) = (removed.lazy, removed.size());
    let Removed { tables, records, tracked, awaited, .. } = removed;
    returns.while_dropping(|| {
        drop(tables);
        drop(records);
        drop(tracked);
    });
    returns.flush();
    figures.waiting.fetch_sub(size, Relaxed);
    figures.pending.fetch_sub(lazy, Relaxed);
    figures.freed.fetch_add(lazy as u64, Relaxed);
    if let Some(awaited) = awaited {
        awaited.answer();
    }
}
