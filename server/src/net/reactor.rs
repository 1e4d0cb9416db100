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
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Sockets looked at in one round.
const EVENTS: usize = 256;
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
            let all_seen = self.serve_ready();
            self.serve_woken();
            std::mem::swap(&mut self.again, &mut self.due);
            for index in 0..self.due.len() {
                self.step(self.due[index]);
            }
            self.due.clear();
            if all_seen && self.again.is_empty() && self.wakeups.is_empty() && self.rest(cx) {
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    }

    /// One look at the sockets. False when there may be more that are ready.
    fn serve_ready(&mut self) -> bool {
        // A signal may have interrupted it: then there will be another look.
        if self.poll.get_mut().poll(&mut self.events, Some(Duration::ZERO)).is_err() {
            return false;
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
        count < EVENTS
    }

    fn serve_woken(&mut self) {
        let mut woken = self.wakeups.take();
        for key in woken.drain(..) {
            // It may be another connection by now, which minds no wake-up too many.
            if let Some(served) = self.conns.get(key) {
                served.notified.seen();
                self.step(key);
            }
        }
        self.wakeups.give_back(woken);
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
