//! The event loop of one thread's connections.
//!
//! Connections are not tasks: a task per connection costs a wake-up, a trip through the scheduler's queue and a second
//! trip for the deferred reply, for every request. Here the thread asks its own epoll which sockets are ready, lets each
//! read and execute, and then sends all replies. This epoll is itself a descriptor that tokio watches, so timers,
//! listeners and signals share the thread as before.

use super::conn::{Conn, End, Local, Received, Turn};
use crate::session::{Gate, Notified, Wakeups};
use crate::shared::Shared;
use mio::{Events, Token};
use slab::Slab;
use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tidegate_persistence::journal::{Journal, Lsn};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Sockets looked at in one round.
const EVENTS: usize = 256;
/// Woken connections served in one round, where hardly any socket is ready.
const WOKEN_MIN: usize = 16;
/// Rounds before timers and listeners get their turn, while there is always more to do.
const ROUNDS: usize = 4;

/// The connections of one thread.
#[derive(Debug)]
pub struct Reactor {
    poll: AsyncFd<mio::Poll>,
    events: Events,
    conns: Slab<Served>,
    /// What they share.
    local: Rc<RefCell<Local>>,
    shared: Arc<Shared>,
    /// Who was read and is executed next.
    received: Vec<(usize, Received)>,
    /// Who was woken by other threads, timers or other connections.
    wakeups: Arc<Wakeups>,
    /// Those of them who are still to be served.
    woken: VecDeque<usize>,
    /// Who is to be looked at again.
    again: Vec<usize>,
    /// Who is looked at again now.
    due: Vec<usize>,
    /// Who waits for the journal, and for which position.
    gated: BinaryHeap<Reverse<(Lsn, usize)>>,
    /// How many of these the journal knows of.
    told_waiting: usize,
    journal: Arc<dyn Journal>,
    /// Where the journal looks for who waits.
    gate: Arc<Gate>,
}

#[derive(Debug)]
struct Served {
    conn: Conn,
    waker: Waker,
    /// It waits for the journal.
    is_gated: bool,
    /// Kept to know which wake-ups were seen.
    notified: Arc<Notified>,
}

impl Reactor {
    /// Without connections.
    ///
    /// # Errors
    /// The process has no descriptors left.
    pub fn new(local: Rc<RefCell<Local>>, journal: Arc<dyn Journal>, gate: Arc<Gate>) -> io::Result<Self> {
        #[expect(
            deprecated,
            reason = "its successor is unsafe for types that may change their descriptor: mio's do not"
        )]
        let poll = AsyncFd::with_interest(mio::Poll::new()?, Interest::READABLE)?;
        let shared = Arc::clone(&local.borrow().worker.shared);
        Ok(Reactor {
            poll,
            events: Events::with_capacity(EVENTS),
            conns: Slab::new(),
            shared,
            local,
            received: Vec::new(),
            wakeups: Arc::default(),
            woken: VecDeque::new(),
            again: Vec::new(),
            due: Vec::new(),
            gated: BinaryHeap::new(),
            told_waiting: 0,
            journal,
            gate,
        })
    }

    /// Serves a connection from now on.
    ///
    /// # Errors
    /// The kernel cannot watch the socket: the connection is over.
    pub fn add(&mut self, mut conn: Conn) -> io::Result<()> {
        let slot = self.conns.vacant_entry();
        let key = slot.key();
        if let Err(error) = conn.stream_mut().watch(self.poll.get_ref().registry(), Token(key)) {
            conn.finish(End::Error);
            return Err(error);
        }
        let notified = Arc::new(Notified::new(key, Arc::clone(&self.wakeups)));
        let waker = Waker::from(Arc::clone(&notified));
        conn.client().waker.set(Arc::clone(&notified));
        slot.insert(Served { conn, waker, is_gated: false, notified });
        Ok(())
    }

    /// Serves whoever is ready. `Ready` when there is more to do at once, `Pending` when something will wake the task.
    pub fn turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.wakeups.register(cx.waker());
        for _ in 0..ROUNDS {
            let ready = self.serve_ready();
            // One write for all of them, before the first reply that waits for it. Who waits for a sync is counted first.
            if !self.journal.gates_reads() {
                self.journal.advance();
            }
            std::mem::swap(&mut self.again, &mut self.due);
            for index in 0..self.due.len() {
                self.step(self.due[index]);
                self.free_dying();
            }
            self.due.clear();
            self.serve_woken(WOKEN_MIN.max(2 * ready));
            if !self.gated.is_empty() {
                self.tell_waiting();
                self.journal.advance();
                self.serve_gated(cx.waker());
                self.tell_waiting();
            }
            let is_idle = self.again.is_empty() && self.woken.is_empty() && self.wakeups.is_empty();
            if ready < EVENTS && is_idle && self.rest(cx) {
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    }

    /// One look at the sockets. Returns how many were ready; there may be more if that is [`EVENTS`].
    fn serve_ready(&mut self) -> usize {
        // A signal may have interrupted it: then there will be another look.
        if self.poll.get_mut().poll(&mut self.events, Some(Duration::ZERO)).is_err() {
            return EVENTS;
        }
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        let (mut count, mut keys) = (0, 0);
        for event in &events {
            count += 1;
            let key = event.token().0;
            let Some(served) = self.conns.get_mut(key) else { continue };
            served.conn.stream_mut().note(event);
            if let Some(received) = served.conn.receive() {
                keys += received.keys();
                let is_last = !received.is_short() || self.local.borrow().is_full(keys);
                self.received.push((key, received));
                if is_last {
                    self.execute_received();
                    self.free_dying();
                    keys = 0;
                }
            } else {
                self.execute_received();
                keys = 0;
                self.step(key);
                self.free_dying();
            }
        }
        self.events = events;
        self.execute_received();
        count
    }

    /// Connections that were killed are woken, and go before anybody gets more memory.
    #[inline]
    fn free_dying(&mut self) {
        if self.shared.clients.sizes().is_any_dying() {
            self.serve_woken(usize::MAX);
        }
    }

    /// Executes what was received, in order.
    fn execute_received(&mut self) {
        let mut received = std::mem::take(&mut self.received);
        self.local.borrow_mut().bring_nearer(received.iter().map(|(_, received)| received));
        for (key, received) in received.drain(..) {
            if let Some(served) = self.conns.get_mut(key) {
                let turn = served.conn.execute(received);
                self.follow(key, turn);
            }
        }
        self.received = received;
    }

    /// Serves whoever was woken, but not more than `most`, in the order in which they were woken. What others want sent
    /// to a connection gathers until its turn comes: if all who listen to a channel were served between two looks at the
    /// sockets, whoever publishes would wait for all of them, and each of them would be sent one message at a time.
    fn serve_woken(&mut self, most: usize) {
        if self.woken.is_empty() && self.wakeups.is_empty() {
            return;
        }
        let mut woken = self.wakeups.take();
        self.woken.extend(woken.drain(..));
        self.wakeups.give_back(woken);
        for _ in 0..most {
            let Some(key) = self.woken.pop_front() else { break };
            // It may be another connection by now, which minds no wake-up too many.
            if let Some(served) = self.conns.get(key) {
                served.notified.seen();
                self.step(key);
            }
        }
    }

    /// Those for whom the journal is safe enough now. The others are remembered by the gate, so that the thread is woken.
    #[cold]
    fn serve_gated(&mut self, waker: &Waker) {
        self.gate.register(waker);
        loop {
            let Some(&Reverse((lsn, key))) = self.gated.peek() else { return self.gate.close() };
            if self.journal.open_to() < lsn && !self.gate.wait_for(lsn, || self.journal.open_to() >= lsn) {
                return;
            }
            self.gated.pop();
            // It may be another connection by now, which minds no look too many.
            if let Some(served) = self.conns.get_mut(key) {
                served.is_gated = false;
                self.step(key);
            }
        }
    }

    /// The journal knows how many wait for it.
    fn tell_waiting(&mut self) {
        let change = self.gated.len() as isize - self.told_waiting as isize;
        if change != 0 {
            self.journal.note_waiting(change);
            self.told_waiting = self.gated.len();
        }
    }

    #[inline]
    fn step(&mut self, key: usize) {
        let Some(served) = self.conns.get_mut(key) else { return };
        let turn = served.conn.turn(&mut Context::from_waker(&served.waker));
        self.follow(key, turn);
    }

    /// Sees to what a connection does next.
    #[inline]
    fn follow(&mut self, key: usize, turn: Turn) {
        match turn {
            Turn::Idle => {}
            Turn::Again => self.again.push(key),
            Turn::After(lsn) => {
                if let Some(served) = self.conns.get_mut(key)
                    && !std::mem::replace(&mut served.is_gated, true)
                {
                    self.gated.push(Reverse((lsn, key)));
                }
            }
            Turn::Ended(end) => self.remove(key, end),
        }
    }

    #[cold]
    fn remove(&mut self, key: usize, end: End) {
        let mut served = self.conns.remove(key);
        served.conn.stream_mut().unwatch(self.poll.get_ref().registry());
        served.conn.finish(end);
    }

    /// True when tokio will wake this thread for the next socket that is ready. All that were ready before were seen:
    /// what comes later is an edge that is reported, whatever tokio remembers of earlier ones.
    fn rest(&mut self, cx: &mut Context<'_>) -> bool {
        loop {
            match self.poll.poll_read_ready_mut(cx) {
                Poll::Ready(Ok(mut guard)) => guard.clear_ready(),
                // An error means that the runtime is going down.
                Poll::Ready(Err(_)) | Poll::Pending => return true,
            }
        }
    }
}
