//! A connection as `CLIENT LIST` and the log show it, and what it occupies.

use super::{Client, ClientKind, TrackOptions, Watched};
use crate::net::conn::Conn;
use std::sync::atomic::Ordering::Relaxed;

/// What a name costs that a connection is subscribed to, or a prefix that it tracks, beyond its bytes: the entries of its
/// own table and of the one of all connections.
pub const NAME_SIZE: usize = 96;
/// What a watched key costs beyond its name: the connection's entry and that of the shard.
pub const WATCHED_SIZE: usize = size_of::<Watched>() + 64;

/// What a connection occupies, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClientMemory {
    /// Input that was not decoded yet.
    pub input: usize,
    /// Room for more of it.
    pub input_free: usize,
    /// What of its input is not in its own buffer.
    pub borrowed: usize,
    /// Arguments: of a request that waits, or that was not received as a whole yet.
    pub args: usize,
    /// Queued commands of its transaction.
    pub queued: usize,
    /// Output that waits.
    pub output: usize,
    /// Room for more of it.
    pub output_free: usize,
    /// Its encryption: keys, and encrypted text that waits for either side.
    pub encryption: usize,
    /// Watched keys, subscriptions and prefixes.
    pub held: usize,
    /// Everything that does not depend on what it does.
    pub fixed: usize,
}

impl ClientMemory {
    /// The sum.
    pub fn total(self) -> usize {
        self.input
            + self.input_free
            + self.args
            + self.queued
            + self.output
            + self.output_free
            + self.encryption
            + self.held
            + self.fixed
            - self.borrowed
    }
}

impl Client {
    /// What it occupies now, as far as its thread has told.
    pub fn memory(&self) -> ClientMemory {
        let texts = [&self.name, &self.lib_name, &self.lib_ver, &self.user];
        let texts: usize = texts.iter().map(|text| text.len()).sum();
        let output = self.output.load(Relaxed);
        let (input, input_args) = (self.input.load(Relaxed), self.input_args.load(Relaxed));
        let input_room = self.input_room.load(Relaxed);
        let (messages, messages_room) = self.mailbox.sizes();
        ClientMemory {
            input,
            input_free: input_room.saturating_sub(input + input_args),
            // What its thread has read for it and is executing lies in the thread's buffer.
            borrowed: (input + input_args).saturating_sub(input_room),
            args: input_args + self.parked_args.load(Relaxed),
            queued: self.multi_memory.load(Relaxed),
            output: output + messages,
            output_free: self.output_room.load(Relaxed).saturating_sub(output) + messages_room - messages,
            encryption: self.encryption.load(Relaxed),
            held: self.held.load(Relaxed),
            fixed: size_of::<Self>() + size_of::<Conn>() + texts + self.addr.len() + self.laddr.len(),
        }
    }

    /// The line about it that `CLIENT LIST` shows, without a line end. `last_command` is the name of the command it
    /// called last, `running_args` the size of what it is executing now.
    pub fn describe(&self, now_ms: i64, last_command: &str, running_args: usize) -> String {
        self.describe_as(now_ms, last_command, running_args, false)
    }

    /// The same for the log: with `hides_names`, without what its user has chosen to call it and itself.
    pub fn describe_as(
        &self,
        now_ms: i64,
        last_command: &str,
        running_args: usize,
        hides_names: bool,
    ) -> String {
        let named = |name: &super::Label| match name.get() {
            name if hides_names && !name.is_empty() => "(redacted)".to_owned(),
            name => name,
        };
        let seconds = |since_ms: i64| (now_ms / 1000 - since_ms / 1000).max(0);
        let mut memory = self.memory();
        memory.args += running_args;
        format!(
            "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} db={} sub={} psub={} ssub={} multi={} \
             qbuf={} qbuf-free={} argv-mem={} multi-mem={} rbs={} rbp={} obl={} oll={} omem={} tot-mem={} events={} \
             cmd={} user={} redir={} resp={} lib-name={} lib-ver={}",
            self.id,
            self.addr,
            self.laddr,
            self.fd,
            named(&self.name),
            seconds(self.created_ms),
            seconds(self.last_ms.load(Relaxed)),
            self.flags(),
            self.db.load(Relaxed),
            self.channels.load(Relaxed),
            self.patterns.load(Relaxed),
            self.shard_channels.load(Relaxed),
            self.multi.load(Relaxed),
            memory.input,
            memory.input_free,
            memory.args,
            memory.queued,
            self.output_room.load(Relaxed),
            self.output_peak.load(Relaxed),
            // All output that waits is in one buffer of its own size: there is no fixed part.
            0,
            u8::from(memory.output > 0),
            memory.output,
            memory.total(),
            if memory.output > 0 { "rw" } else { "r" },
            last_command,
            named(&self.user),
            self.redirect(),
            self.resp.load(Relaxed),
            named(&self.lib_name),
            named(&self.lib_ver),
        )
    }

    /// Who hears of the keys that this connection reads instead of itself: 0 for nobody, -1 where it tracks none.
    pub fn redirect(&self) -> i64 {
        if self.tracking.options().has(TrackOptions::ON) { self.tracking.redirect() as i64 } else { -1 }
    }

    /// One letter for each thing worth knowing, `N` for none.
    fn flags(&self) -> String {
        let kind = self.kind.load(Relaxed);
        let tracks = |option| self.tracking.options().has(option);
        let is = |flag: &std::sync::atomic::AtomicBool| flag.load(Relaxed);
        let letters = [
            ('O', is(&self.monitoring)),
            ('S', kind == ClientKind::Replica as u8),
            ('P', kind == ClientKind::Pubsub as u8),
            ('x', self.multi.load(Relaxed) >= 0),
            ('b', self.is_blocked()),
            ('t', tracks(TrackOptions::ON)),
            ('R', tracks(TrackOptions::BROKEN_REDIRECT)),
            ('B', tracks(TrackOptions::BCAST)),
            ('d', self.is_dirty()),
            ('c', is(&self.closing)),
            ('A', is(&self.killed)),
            ('U', self.is_unix),
            ('r', is(&self.readonly)),
            ('e', is(&self.no_evict)),
            ('T', is(&self.no_touch)),
        ];
        let flags: String = letters.iter().filter(|(_, set)| *set).map(|(letter, _)| letter).collect();
        if flags.is_empty() { "N".into() } else { flags }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_connection_occupies_is_the_sum_of_its_parts() {
        let client = Client::new(7, "a:1".into(), "b:2".into(), 9, 0, false, true);
        let idle = client.memory();
        assert_eq!(idle.total(), idle.fixed);
        client.input.store(10, Relaxed);
        client.input_args.store(30, Relaxed);
        client.input_room.store(60, Relaxed);
        client.multi_memory.store(40, Relaxed);
        client.output.store(50, Relaxed);
        client.output_room.store(110, Relaxed);
        client.held.store(70, Relaxed);
        client.encryption.store(80, Relaxed);
        assert_eq!(client.memory().total(), idle.fixed + 60 + 40 + 110 + 70 + 80);
        client.encryption.store(0, Relaxed);
        let line = client.describe(5_000, "get", 3);
        for part in ["id=7 ", " qbuf=10 qbuf-free=20 argv-mem=33 multi-mem=40 ", " omem=50 ", " cmd=get "] {
            assert!(line.contains(part), "{line}");
        }
        client.input_room.store(0, Relaxed);
        assert_eq!(client.memory().total(), idle.fixed + 40 + 110 + 70, "its input is the thread's");
    }
}
