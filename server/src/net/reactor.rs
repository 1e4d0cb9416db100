//! The event loop of one thread's connections.
//!
//! Connections are not tasks: a task per connection costs a wake-up, a trip through the scheduler's queue and a second
//! trip for the deferred reply, for every request. Here the thread asks its own epoll which sockets are ready, lets each
//! read and execute, and then sends all replies. This epoll is itself a descriptor that tokio watches, so timers,
//! listeners and signals share the thread as before.

use super::conn::{Conn, End, Turn};
use crate::session::{Notified, Wakeups};
use mio::{Events, Token};
use slab::Slab;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
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
    /// Who was woken by other threads, timers or other connections.
    wakeups: Arc<Wakeups>,
    /// Those of them who are still to be served.
    woken: VecDeque<usize>,
    /// Who is to be looked at again.
    again: Vec<usize>,
    /// Who is looked at again now.
    due: Vec<usize>,
}

#[derive(Debug)]
struct Served {
    conn: Conn,
    waker: Waker,
    /// Kept to know which wake-ups were seen.
    notified: Arc<Notified>,
}

impl Reactor {
    /// Without connections.
    ///
    /// # Errors
    /// The process has no descriptors left.
    pub fn new() -> io::Result<Self> {
        #[expect(
            deprecated,
            reason = "its successor is unsafe for types that may change their descriptor: mio's do not"
        )]
        let poll = AsyncFd::with_interest(mio::Poll::new()?, Interest::READABLE)?;
        Ok(Reactor {
            poll,
            events: Events::with_capacity(EVENTS),
            conns: Slab::new(),
            wakeups: Arc::default(),
            woken: VecDeque::new(),
            again: Vec::new(),
            due: Vec::new(),
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
        slot.insert(Served { conn, waker, notified });
        Ok(())
    }

    /// Serves whoever is ready. `Ready` when there is more to do at once, `Pending` when something will wake the task.
    pub fn turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.wakeups.register(cx.waker());
        for _ in 0..ROUNDS {
            let ready = self.serve_ready();
            std::mem::swap(&mut self.again, &mut self.due);
            for index in 0..self.due.len() {
                self.step(self.due[index]);
            }
            self.due.clear();
            self.serve_woken(WOKEN_MIN.max(2 * ready));
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
        let mut count = 0;
        for event in &events {
            count += 1;
            let key = event.token().0;
            if let Some(served) = self.conns.get_mut(key) {
                served.conn.stream_mut().note(event);
                self.step(key);
            }
        }
        self.events = events;
        count
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

    #[inline]
    fn step(&mut self, key: usize) {
        let Some(served) = self.conns.get_mut(key) else { return };
        match served.conn.turn(&mut Context::from_waker(&served.waker)) {
            Turn::Idle => {}
            Turn::Again => self.again.push(key),
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
