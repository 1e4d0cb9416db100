//! One connection: reads, lets the worker execute, writes.
//!
//! An idle connection owns no buffers. Input is read into a buffer of the thread and only an incomplete request is
//! copied aside; output is gathered in a buffer of the thread, written once per input, and only what the socket does
//! not take is kept.
//!
//! Where several connections are ready, all are read before any is executed ([`Conn::receive`], [`Conn::execute`]): at
//! pipeline 1 that is what lets the memory of many keys be on its way at once.

use super::backlog::Backlog;
use super::late;
use super::listen;
use super::stream::Stream;
use crate::config::ClientClass;
use crate::dispatch::{Group, Progress, Worker};
use crate::memory;
use crate::session::{Client, Session};
use crate::shared::{Shared, add};
use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tidegate_persistence::journal::Lsn;
use tokio::time::Sleep;

/// Bytes read at once.
const READ_SIZE: usize = 64 * 1024;
/// The same where a large argument is under way.
const READ_AT_ONCE: usize = 1 << 20;
/// Room for the input of connections that are read before any of them is executed, in bytes. The last of them may read as
/// much as it could alone.
const AHEAD_SIZE: usize = 2 * READ_SIZE;
/// Keys whose memory is asked for at once. Processors have about a dozen such requests under way: more would only wait.
const AHEAD_KEYS: usize = 64;
/// Output up to this size waits until the other connections were read, in bytes: the replies to a pipeline of 64 values
/// of 64 bytes, and more.
const DEFERRED_MAX: usize = 16 * 1024;
/// Reply bytes after which a connection has had its turn.
const OUTPUT_PAUSE: usize = 1 << 20;
/// The same where its peer has not taken earlier replies yet: what is made for it now can wait, and what others ask for
/// cannot. Two hundred such peers would keep them waiting for tens of milliseconds otherwise, turn after turn.
const OUTPUT_PAUSE_BEHIND: usize = 64 * 1024;
/// Output buffers a thread keeps for its connections.
const SPARES_MAX: usize = 64;
/// The thread's output buffer is given back when it grew beyond this.
const OUTPUT_KEPT: usize = 1 << 20;
/// Output a connection may leave unread before it has authenticated, in bytes: what Redis counts, and the buffer of
/// fixed size that it does not count.
const UNAUTHENTICATED_OUTPUT_MAX: u64 = 1024 + 16 * 1024;
/// Input a connection may leave unprocessed before it has authenticated, in bytes.
const UNAUTHENTICATED_INPUT_MAX: usize = 1 << 20;
/// A peer that has not ended its TLS handshake by then does not want to.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// Timers cannot be set arbitrarily far into the future; a wait without end is a chain of these.
const WAIT_MAX: Duration = Duration::from_secs(3600);

/// What the connections of one thread share.
#[derive(Debug)]
pub struct Local {
    /// Executes commands.
    pub worker: Worker,
    input: Vec<u8>,
    /// What was received and not executed yet.
    ahead: Vec<u8>,
    ahead_len: usize,
    output: Vec<u8>,
    /// Output buffers without an owner.
    spare: Vec<Vec<u8>>,
}

impl Local {
    /// The buffers of one thread.
    pub fn new(worker: Worker) -> Self {
        Local {
            worker,
            input: vec![0; READ_SIZE],
            ahead: vec![0; AHEAD_SIZE],
            ahead_len: 0,
            output: Vec::with_capacity(READ_SIZE),
            spare: Vec::new(),
        }
    }

    /// True when what was received, which names so many keys, has to be executed before more is.
    pub fn is_full(&self, keys: usize) -> bool {
        keys >= AHEAD_KEYS || self.ahead_len > AHEAD_SIZE - READ_SIZE
    }

    /// Brings the memory nearer of what is executed next, which is all that was received.
    pub fn bring_nearer<'r>(&mut self, received: impl Iterator<Item = &'r Received> + Clone) {
        self.ahead_len = 0;
        // One key is looked for at once.
        if received.clone().map(Received::keys).sum::<usize>() > 1 {
            self.worker.bring_nearer(received.map(|received| (received.db, &received.group)));
        }
    }
}

/// Input that was received and not executed yet.
#[derive(Debug)]
pub struct Received {
    /// Where it lies in the thread's room for that.
    at: usize,
    len: usize,
    /// The database that was selected.
    db: usize,
    /// What was plain about the beginning.
    group: Group,
    /// It is done with in no time. While something else is executed, nobody may be read and not executed yet: a script that
    /// runs for long answers others from their sockets, and is ended from there.
    is_short: bool,
}

impl Received {
    /// True when others may be read before it is executed.
    pub fn is_short(&self) -> bool {
        self.is_short
    }

    /// How many keys its first commands name.
    pub fn keys(&self) -> usize {
        self.group.keys()
    }
}

/// One connection.
#[derive(Debug)]
pub struct Conn {
    stream: Stream,
    session: Session,
    client: Arc<Client>,
    eternal: &'static Shared,
    local: Rc<RefCell<Local>>,
    /// Output that waits for the other connections' turn: where it is kept, and its size.
    late: Option<(usize, usize)>,
    /// The output never had to wait for the socket.
    deferred: bool,
    /// An incomplete request, or input that came while a request waits.
    partial: Vec<u8>,
    /// There is a complete request in it.
    has_more: bool,
    /// How many more bytes its argument needs, where that is a large one; otherwise 0.
    need: usize,
    /// Output the socket did not take yet.
    pending: Backlog,
    /// Since when the output is above the soft limit, Unix milliseconds.
    soft_since_ms: Option<i64>,
    /// When the waiting request is looked at again, in Unix milliseconds and as what wakes this task then.
    timer: Option<(i64, Pin<Box<Sleep>>)>,
    /// When the output has been above the soft limit for too long.
    limit_timer: Option<Pin<Box<Sleep>>>,
    /// When the parties of an encrypted connection should have agreed, while they have not.
    handshake_timer: Option<Pin<Box<Sleep>>>,
}

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The peer closed it.
    Peer,
    /// A socket error.
    Error,
    /// We did: QUIT, a protocol error, CLIENT KILL.
    Ours,
    /// Its output buffer went over the limit.
    OutputLimit,
    /// Its input buffer went over the limit.
    InputLimit,
}

/// What a connection does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It waits for its socket, for a wake-up or for a timer.
    Idle,
    /// It has more to do once the others had their turn.
    Again,
    /// It goes on when the journal is safe up to here.
    After(Lsn),
    /// It is over.
    Ended(End),
}

impl Conn {
    /// A connection on an adopted socket.
    pub fn new(stream: Stream, client: Arc<Client>, local: Rc<RefCell<Local>>) -> Self {
        let eternal = local.borrow().worker.eternal;
        let users = &eternal.users;
        let generation = users.generation();
        let authenticated = !users.needs_password();
        client.authenticated.store(authenticated, Relaxed);
        client.thread.store(local.borrow().worker.index, Relaxed);
        let mut session = Session::new(Arc::clone(&client), authenticated);
        session.become_user(users.default_user(), generation);
        Conn {
            stream,
            session,
            client,
            eternal,
            local,
            late: None,
            deferred: false,
            partial: Vec::new(),
            has_more: false,
            need: 0,
            pending: Backlog::default(),
            soft_since_ms: None,
            timer: None,
            limit_timer: None,
            handshake_timer: None,
        }
    }

    /// What the rest of the process sees of it.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Its socket.
    pub fn stream_mut(&mut self) -> &mut Stream {
        &mut self.stream
    }

    /// After its end: nothing of it stays behind.
    pub fn finish(mut self, end: End) {
        self.take_late();
        self.pending.drop_all();
        memory::discard(std::mem::take(&mut self.partial));
        if end != End::Error {
            self.stream.close();
        }
        let mut local = self.local.borrow_mut();
        let worker = &mut local.worker;
        tracing::debug!(client = self.client.id, ?end, "Client closed connection");
        worker.unwatch(&mut self.session);
        worker.stop_tracking(&mut self.session);
        worker.end_wait(&mut self.session);
        worker.unsubscribe_all(&mut self.session);
        worker.shared.clients.remove(&self.client);
        worker.shared.clients.release();
    }

    /// Reads, executes and sends what can be now. `cx` is what timers wake.
    pub fn turn(&mut self, cx: &mut Context<'_>) -> Turn {
        loop {
            self.take_late();
            if self.client.killed.load(Relaxed) {
                return Turn::Ended(End::Ours);
            }
            if !self.client.mailbox.is_empty() {
                self.take_mail();
            }
            if let Some(lsn) = self.waits_for_journal() {
                return Turn::After(lsn);
            }
            if self.output_waiting() > 0 {
                let was_deferred = std::mem::take(&mut self.deferred);
                match self.flush(was_deferred) {
                    Poll::Ready(Err(_)) => return Turn::Ended(End::Error),
                    Poll::Pending if self.is_over_output_limit(cx) => return Turn::Ended(End::OutputLimit),
                    Poll::Ready(Ok(())) | Poll::Pending => {}
                }
            }
            if self.stream.is_encrypted()
                && let Some(turn) = self.follow_encryption(cx)
            {
                return turn;
            }
            if self.session.close_after_reply {
                self.client.closing.store(true, Relaxed);
                let is_sent = self.output_waiting() == 0 && !self.stream.has_unsent();
                return if is_sent { Turn::Ended(End::Ours) } else { Turn::Idle };
            }
            if self.session.parked.is_some() {
                if self.resume(cx).is_pending() {
                    return match self.read_aside() {
                        Poll::Ready(end) => Turn::Ended(end),
                        Poll::Pending => Turn::Idle,
                    };
                }
                continue;
            }
            if std::mem::take(&mut self.has_more) {
                let local = Rc::clone(&self.local);
                let local = &mut *local.borrow_mut();
                self.process_partial(local);
                self.note_buffers(local);
                return match self.check_limits(local) {
                    Ok(()) => Turn::Again,
                    Err(end) => Turn::Ended(end),
                };
            }
            match self.read_and_process() {
                Poll::Pending => {
                    if self.stream.is_encrypted() {
                        // The beginning of a record has come, perhaps.
                        self.charge();
                    }
                    return Turn::Idle;
                }
                // Behind every connection that is ready now: replies that were deferred go out when all are read, and
                // nobody's flood keeps the others waiting.
                Poll::Ready(Ok(())) => return Turn::Again,
                // A peer that has said all it has to say still gets every reply.
                Poll::Ready(Err(End::Peer)) if self.output_waiting() > 0 || self.stream.has_unsent() => {
                    self.session.close_after_reply = true;
                }
                Poll::Ready(Err(end)) => return Turn::Ended(end),
            }
        }
    }

    /// Sends what waits encrypted, and sees that a handshake comes to its end. What is to be done at once, if anything is.
    #[cold]
    fn follow_encryption(&mut self, cx: &mut Context<'_>) -> Option<Turn> {
        let had_unsent = self.stream.has_unsent();
        if let Poll::Ready(Err(_)) = self.stream.push() {
            return Some(Turn::Ended(End::Error));
        }
        if had_unsent {
            self.charge();
        }
        if !self.stream.is_handshaking() {
            self.handshake_timer = None;
            self.session.close_after_reply |= self.stream.is_worn();
            return None;
        }
        let timer = self.handshake_timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(HANDSHAKE_MAX)));
        if timer.as_mut().poll(cx).is_ready() {
            tracing::info!(
                "Error accepting a client connection: handshake timed out (addr={})",
                self.client.addr
            );
            return Some(Turn::Ended(End::Error));
        }
        if !self.stream.may_agree() {
            return None;
        }
        let result = self.stream.agree(self.eternal.tls.pool(), &self.client);
        self.charge();
        match result {
            Poll::Pending => Some(Turn::Idle),
            Poll::Ready(Ok(())) => {
                self.recognise();
                Some(Turn::Again)
            }
            Poll::Ready(Err(error)) => {
                tracing::debug!("Error accepting a client connection: {error} (addr={})", self.client.addr);
                Some(Turn::Ended(End::Error))
            }
        }
    }

    /// The handshake is over. The client may not come in now that it can be told so; its certificate may say who it is.
    fn recognise(&mut self) {
        self.handshake_timer = None;
        if listen::is_denied(self.eternal, self.client.is_local) {
            self.eternal.stats.rejected_connections.fetch_add(1, Relaxed);
            self.pending.append(listen::DENIED);
            self.session.close_after_reply = true;
            return;
        }
        let users = &self.eternal.users;
        // Read first: whoever changes the user after that is followed.
        let generation = users.generation();
        let named = self.stream.names().into_iter().find_map(|name| users.get(&name));
        if let Some(user) = named.filter(|user| user.is_enabled()) {
            self.session.authenticated = true;
            self.client.authenticated.store(true, Relaxed);
            self.session.become_user(user, generation);
        }
    }

    /// Reads and decodes, where nothing else is to be done for this connection. `None` when it has to take its
    /// [turn](Conn::turn); otherwise [`Conn::execute`] comes next, before anything else is done with it.
    pub fn receive(&mut self) -> Option<Received> {
        let is_plain = self.partial.is_empty()
            && self.output_waiting() == 0
            && self.session.parked.is_none()
            && !self.session.close_after_reply
            && !self.client.killed.load(Relaxed)
            && self.client.mailbox.is_empty()
            && !self.stream.is_handshaking()
            && self.waits_for_journal().is_none();
        if !is_plain {
            return None;
        }
        let local = Rc::clone(&self.local);
        let local = &mut *local.borrow_mut();
        if local.worker.eternal.scripts.busy.is_busy() {
            return None;
        }
        let at = local.ahead_len;
        // The end of the stream, or an error, is there to be read again.
        let Poll::Ready(Ok(len @ 1..)) = self.stream.read(&mut local.ahead[at..at + READ_SIZE]) else {
            return None;
        };
        self.received(local, len, len);
        local.ahead_len = at + len;
        let (group, is_short) = local.worker.foresee(&mut self.session, &local.ahead[at..at + len]);
        Some(Received { at, len, db: self.session.db, group, is_short })
    }

    /// Executes what was received.
    pub fn execute(&mut self, received: Received) -> Turn {
        let local = Rc::clone(&self.local);
        let local = &mut *local.borrow_mut();
        let mut ahead = std::mem::take(&mut local.ahead);
        let input = &mut ahead[received.at..received.at + received.len];
        if let Some(rest) = self.process(local, input, Some(received.group)) {
            self.partial = input[rest..].to_vec();
        }
        local.ahead = ahead;
        self.note_buffers(local);
        match self.check_limits(local) {
            Ok(()) => Turn::Again,
            Err(end) => Turn::Ended(end),
        }
    }

    /// What is to be sent has to wait, or so much has to be written that nothing more should be read.
    #[inline]
    fn waits_for_journal(&self) -> Option<Lsn> {
        let lsn = self.client.sends_after();
        if lsn == 0 {
            return None;
        }
        let local = self.local.borrow();
        let journal = &local.worker.eternal.journal;
        if self.output_waiting() > 0 && journal.open_to() < lsn { Some(lsn) } else { journal.is_behind() }
    }

    /// The socket may be written to: neither the peer nor the journal is behind.
    fn may_send(&self, local: &Local) -> bool {
        let lsn = self.client.sends_after();
        self.output_waiting() == 0 && (lsn == 0 || local.worker.eternal.journal.open_to() >= lsn)
    }

    /// Reads once and executes what is complete.
    fn read_and_process(&mut self) -> Poll<Result<(), End>> {
        let local = Rc::clone(&self.local);
        let local = &mut *local.borrow_mut();
        if self.partial.is_empty() {
            let n = match ready!(self.stream.read(&mut local.input)) {
                Ok(0) => return Poll::Ready(Err(End::Peer)),
                Ok(n) => n,
                Err(_) => return Poll::Ready(Err(End::Error)),
            };
            self.received(local, n, n);
            let mut input = std::mem::take(&mut local.input);
            let rest = self.process(local, &mut input[..n], None);
            if let Some(rest) = rest {
                self.partial = input[rest..n].to_vec();
            }
            local.input = input;
        } else {
            let n = match ready!(self.read_to_partial()) {
                Ok(n) => n,
                Err(end) => return Poll::Ready(Err(end)),
            };
            self.received(local, n, self.partial.len());
            if self.is_counted() {
                // Before it shrinks again.
                self.note_buffers(local);
                self.check_limits(local)?;
            }
            self.process_partial(local);
        }
        self.note_buffers(local);
        Poll::Ready(self.check_limits(local))
    }

    /// Executes what is complete of the input that was kept.
    fn process_partial(&mut self, local: &mut Local) {
        let mut input = std::mem::take(&mut self.partial);
        if let Some(rest) = self.process(local, &mut input, None) {
            input.drain(..rest);
            if input.capacity() / 4 > input.len().max(READ_SIZE) {
                input.shrink_to(input.len() + READ_SIZE / 4);
            }
            self.partial = input;
        }
    }

    /// Appends what the socket has to the incomplete request, a large argument as far as it is there.
    fn read_to_partial(&mut self) -> Poll<Result<usize, End>> {
        let mut total = 0;
        loop {
            let (room, result) = self.read_some_to_partial();
            match result {
                Poll::Ready(Ok(0)) if total == 0 => return Poll::Ready(Err(End::Peer)),
                Poll::Ready(Ok(n)) => {
                    total += n;
                    if n < room || self.need == 0 || total >= READ_AT_ONCE {
                        return Poll::Ready(Ok(total));
                    }
                }
                // An error is there to be met again.
                Poll::Ready(Err(_)) | Poll::Pending if total > 0 => return Poll::Ready(Ok(total)),
                Poll::Ready(Err(_)) => return Poll::Ready(Err(End::Error)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Reads once; returns also how much there was room for.
    fn read_some_to_partial(&mut self) -> (usize, Poll<io::Result<usize>>) {
        let len = self.partial.len();
        let free = self.partial.capacity() - len;
        // A large argument gets what is missing, but not much more room than has arrived of it: then it is neither copied
        // over and over, nor is a length alone enough to make the server allocate.
        let room = match self.need {
            0 => len.clamp(READ_SIZE / 4, READ_AT_ONCE),
            need if need <= free => free,
            need => need.min(len.max(READ_SIZE)),
        };
        if self.need > 0 {
            self.partial.reserve_exact(room);
        }
        let room = room.min(READ_AT_ONCE);
        self.partial.resize(len + room, 0);
        let result = self.stream.read(&mut self.partial[len..]);
        let read = if let Poll::Ready(Ok(n)) = &result { *n } else { 0 };
        self.partial.truncate(len + read);
        self.need = self.need.saturating_sub(read);
        (room, result)
    }

    /// Input that comes while a request waits is kept; the end of the stream ends the waiting.
    fn read_aside(&mut self) -> Poll<End> {
        loop {
            if let Err(end) = ready!(self.read_to_partial()) {
                return Poll::Ready(end);
            }
            let local = Rc::clone(&self.local);
            if let Err(end) = self.check_limits(&local.borrow()) {
                return Poll::Ready(end);
            }
        }
    }

    fn received(&mut self, local: &Local, n: usize, buffered: usize) {
        add(&local.worker.stats.received, n as u64);
        add(&local.worker.stats.reads, 1);
        add(&self.client.received, n as u64);
        self.client.input.store(buffered, Relaxed);
    }

    /// Executes the complete requests in `input` and sends the replies; returns where the unprocessed rest begins.
    /// Its first commands were decoded already, perhaps.
    fn process(&mut self, local: &mut Local, input: &mut [u8], foreseen: Option<Group>) -> Option<usize> {
        let mut at = 0;
        // What was to be sent when this input was read comes before the replies to it: whoever knows of a change when it
        // asks for something has heard by then which of its keys are stale.
        if !self.client.mailbox.is_empty() {
            self.take_mail();
        }
        let left = self.hard_limit(&local.worker).saturating_sub(self.output_waiting() as u64);
        self.session.output_left = usize::try_from(left).unwrap_or(usize::MAX);
        self.session.output_pause =
            if self.output_waiting() > 0 { OUTPUT_PAUSE_BEHIND } else { OUTPUT_PAUSE };
        let (session, out) = (&mut self.session, &mut local.output);
        let progress = local.worker.process_foreseen(session, input, &mut at, out, foreseen);
        let is_deferred = matches!(progress, Progress::NeedInput(_)) && self.defer(local);
        if !is_deferred {
            self.send(local);
        }
        match progress {
            Progress::NeedInput(need) => self.note_need(need),
            // Others may be as greedy: this is free before their turn comes.
            Progress::Flush if self.client.killed.load(Relaxed) => {
                self.pending.drop_all();
                return None;
            }
            // The others have their turn. Somebody may have been evicted for what this one gets: that is to be free before
            // there is more of it.
            Progress::Flush => self.has_more = true,
            Progress::Parked => self.need = 0,
            Progress::Close => return None,
        }
        (at < input.len()).then_some(at)
    }

    /// A request needs so many more bytes.
    fn note_need(&mut self, need: usize) {
        // What was a large argument stays one while its end is missing.
        self.need = if need >= READ_SIZE / 4 || need == self.need { need } else { 0 };
    }

    /// Keeps a small output until the other connections that are ready have been read, too. Peers are then woken in
    /// one go at the end, as Redis does before it sleeps, instead of between any two requests: waking costs a peer
    /// more than its request costs us.
    fn defer(&mut self, local: &mut Local) -> bool {
        if self.output_waiting() > 0 || local.output.is_empty() || local.output.len() > DEFERRED_MAX {
            return false;
        }
        let spare = local.spare.pop().unwrap_or_default();
        let output = std::mem::replace(&mut local.output, spare);
        let size = output.len();
        self.late = Some((late::keep(self.client.id, output), size));
        true
    }

    /// The others had their turn: what waited for it is output like any other.
    #[inline]
    fn take_late(&mut self) {
        let Some((slot, _)) = self.late.take() else { return };
        let (output, sent) = late::take(slot);
        self.deferred = true;
        self.pending.put(output, sent);
        if sent > 0 {
            let stats = &self.local.borrow().worker.stats;
            add(&stats.sent, sent as u64);
            add(&stats.writes, 1);
        }
    }

    /// Sends the thread's output buffer; what the socket does not take is kept.
    fn send(&mut self, local: &mut Local) {
        if local.output.is_empty() {
            return;
        }
        let mut sent = 0;
        if self.may_send(local) {
            let output = &mut local.output;
            while sent < output.len() {
                add(&local.worker.stats.writes, 1);
                match self.stream.write(&output[sent..]) {
                    Poll::Ready(Ok(n)) if n > 0 => sent += n,
                    // An error shows again when the rest is flushed, or at the next read.
                    _ => break,
                }
            }
            add(&local.worker.stats.sent, sent as u64);
            add(&self.client.sent, sent as u64);
        }
        let output = &mut local.output;
        if sent < output.len() {
            self.pending.append(&output[sent..]);
            self.note_output();
            if self.output_waiting() as u64 >= self.hard_limit(&local.worker) {
                local.worker.close_for_output(&self.session);
            }
        }
        output.clear();
        if output.capacity() > OUTPUT_KEPT {
            *output = Vec::with_capacity(READ_SIZE);
        }
    }

    /// Takes what others want sent.
    fn take_mail(&mut self) {
        if let Some(buffer) = self.pending.buffer() {
            return self.client.mailbox.take_into(buffer);
        }
        let mut mail = Vec::new();
        self.client.mailbox.take_into(&mut mail);
        self.pending.append(&mail);
        memory::discard(mail);
    }

    #[inline]
    fn output_waiting(&self) -> usize {
        self.pending.len() + self.late.map_or(0, |(_, size)| size)
    }

    /// Sends what is waiting; `was_deferred` when it never had to wait for the socket.
    fn flush(&mut self, was_deferred: bool) -> Poll<io::Result<()>> {
        while self.output_waiting() > 0 {
            let n = if let Some(bytes) = self.pending.alone() {
                ready!(self.stream.write(bytes))?
            } else {
                let (slices, count) = self.pending.front();
                ready!(self.stream.write_vectored(&slices[..count]))?
            };
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.pending.advance(n);
            let stats = &self.local.borrow().worker.stats;
            add(&stats.sent, n as u64);
            add(&stats.writes, 1);
            add(&self.client.sent, n as u64);
            if !was_deferred {
                // A peer that takes what it asked for is not idle.
                self.client.last_ms.store(crate::clock::unix_ms(), Relaxed);
            }
        }
        let mut sent = self.pending.take_sent();
        let spare = &mut self.local.borrow_mut().spare;
        if sent.capacity() <= READ_SIZE && spare.len() < SPARES_MAX {
            sent.clear();
            spare.push(sent);
        } else {
            memory::discard(sent);
        }
        self.soft_since_ms = None;
        self.limit_timer = None;
        if !was_deferred {
            self.note_output();
        }
        Poll::Ready(Ok(()))
    }

    fn note_output(&self) {
        let waiting = self.output_waiting();
        self.client.output.store(waiting, Relaxed);
        self.client.output_room.store(self.pending.room(), Relaxed);
        self.client.output_peak.fetch_max(waiting, Relaxed);
        self.charge();
    }

    /// What the connection occupies has changed, perhaps.
    fn charge(&self) {
        if self.stream.is_encrypted() {
            self.client.encryption.store(self.stream.encryption_memory(), Relaxed);
        }
        if self.is_counted() {
            self.eternal.charge_client(&self.client);
        }
    }

    /// What connections occupy has a limit.
    #[inline]
    fn is_counted(&self) -> bool {
        self.eternal.config.hot().maxmemory_clients.get() != 0
    }

    fn class(&self) -> ClientClass {
        match self.client.kind.load(Relaxed) {
            1 => ClientClass::Replica,
            2 => ClientClass::Pubsub,
            _ => ClientClass::Normal,
        }
    }

    /// Output at which the connection is closed at once, in bytes.
    fn hard_limit(&self, worker: &Worker) -> u64 {
        let hot = worker.shared.config.hot();
        let mut limit = hot.output_limits.get(self.class()).hard_or_never();
        if !self.session.authenticated && worker.shared.users.needs_password() {
            limit = limit.min(UNAUTHENTICATED_OUTPUT_MAX);
        }
        limit
    }

    /// Over the hard limit now, or over the soft limit for too long.
    fn is_over_output_limit(&mut self, cx: &mut Context<'_>) -> bool {
        self.note_output();
        let local = Rc::clone(&self.local);
        let local = local.borrow();
        let waiting = self.output_waiting() as u64;
        let limit = local.worker.shared.config.hot().output_limits.get(self.class());
        let mut over = waiting >= self.hard_limit(&local.worker);
        if limit.soft > 0 && waiting >= limit.soft {
            let now_ms = crate::clock::unix_ms();
            let since = *self.soft_since_ms.get_or_insert(now_ms);
            let left_ms = (since + limit.soft_seconds * 1000 + 1).saturating_sub(now_ms);
            let left = Duration::from_millis(left_ms.max(0) as u64).min(WAIT_MAX);
            let timer = self.limit_timer.insert(Box::pin(tokio::time::sleep(left)));
            // A fresh timer is never ready, not even one of no time: the clock decides, the timer only wakes.
            over |= left_ms <= 0 || timer.as_mut().poll(cx).is_ready();
        } else {
            self.soft_since_ms = None;
            self.limit_timer = None;
        }
        if over {
            local.worker.close_for_output(&self.session);
        }
        over
    }

    /// Input that is kept has limits, lower ones before authentication.
    fn check_limits(&self, local: &Local) -> Result<(), End> {
        if self.client.killed.load(Relaxed) {
            return Err(End::OutputLimit);
        }
        let hot = local.worker.shared.config.hot();
        let authenticated = self.session.authenticated || !local.worker.shared.users.needs_password();
        let most = hot.client_query_buffer_limit.get();
        let most = if authenticated { most } else { most.min(UNAUTHENTICATED_INPUT_MAX) };
        if self.partial.len() <= most {
            return Ok(());
        }
        local.worker.shared.stats.query_buffer_disconnections.fetch_add(1, Relaxed);
        tracing::warn!(
            "Closing client that reached max query buffer length: id={} addr={} (qbuf {} bytes)",
            self.client.id,
            self.client.addr,
            self.partial.len()
        );
        Err(End::InputLimit)
    }

    fn note_buffers(&self, local: &Local) {
        let stats = &local.worker.shared.stats;
        let taken = self.session.decoder.taken().min(self.partial.len());
        self.client.input.store(self.partial.len() - taken, Relaxed);
        self.client.input_args.store(taken, Relaxed);
        // What an argument has announced counts before it is here, as in Redis, which takes that memory at once.
        self.client.input_room.store(self.partial.capacity().max(self.partial.len() + self.need), Relaxed);
        self.charge();
        if self.partial.len() > stats.largest_input.load(Relaxed) {
            stats.largest_input.store(self.partial.len(), Relaxed);
        }
        if self.output_waiting() > stats.largest_output.load(Relaxed) {
            stats.largest_output.store(self.output_waiting(), Relaxed);
        }
    }

    /// Goes on with the waiting request if it may; otherwise sets a timer.
    fn resume(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let local = Rc::clone(&self.local);
        let local = &mut *local.borrow_mut();
        let progress = local.worker.resume(&mut self.session, &mut local.output);
        self.send(local);
        if progress.is_some() {
            self.timer = None;
            // What was received in the meantime is complete already, maybe.
            if !self.partial.is_empty() && !self.session.close_after_reply {
                self.process_partial(local);
                self.note_buffers(local);
            }
            return Poll::Ready(());
        }
        let at_ms = self.session.parked.as_ref().map_or(0, |parked| local.worker.wakes_at_ms(parked));
        if self.timer.as_ref().is_none_or(|(set_ms, _)| *set_ms != at_ms) {
            let wait = at_ms.saturating_sub(local.worker.now_ms()).max(0) as u64;
            let wait = Duration::from_millis(wait).min(WAIT_MAX);
            self.timer = Some((at_ms, Box::pin(tokio::time::sleep(wait))));
        }
        if let Some((_, timer)) = &mut self.timer {
            ready!(timer.as_mut().poll(cx));
        }
        self.timer = None;
        Poll::Ready(())
    }
}
