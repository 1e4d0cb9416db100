//! The line about a connection that `CLIENT LIST` and `CLIENT INFO` show.

use super::super::ControlCtx;
use crate::net::conn::Conn;
use crate::session::{Client, ClientKind, TrackOptions};
use std::sync::atomic::Ordering::Relaxed;
use tidegate_commands::model::Args;

/// Describes `client` as of now, without a line end.
pub(super) fn line(cx: &ControlCtx, args: &Args, client: &Client) -> String {
    let now_ms = cx.now_ms();
    let seconds = |since_ms: i64| (now_ms / 1000 - since_ms / 1000).max(0);
    let is_self = client.id == cx.session.client.id;
    let running = if is_self { (0..args.len()).map(|i| args.get(i).len()).sum() } else { 0 };
    let memory = Memory::of(client, running);
    let registry = cx.shared().registry;
    let last = client.last_command.load(Relaxed).checked_sub(1);
    let last = last.and_then(|id| registry.by_id(id as usize)).map_or("NULL", |entry| &entry.name);
    format!(
        "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} db={} sub={} psub={} ssub={} multi={} qbuf={} \
         qbuf-free={} argv-mem={} multi-mem={} rbs={} rbp={} obl={} oll={} omem={} tot-mem={} events={} cmd={} \
         user={} redir={} resp={} lib-name={} lib-ver={}",
        client.id,
        client.addr,
        client.laddr,
        client.fd,
        client.name.get(),
        seconds(client.created_ms),
        seconds(client.last_ms.load(Relaxed)),
        flags(client),
        client.db.load(Relaxed),
        client.channels.load(Relaxed),
        client.patterns.load(Relaxed),
        client.shard_channels.load(Relaxed),
        client.multi.load(Relaxed),
        memory.input,
        memory.input_free,
        memory.args,
        memory.queued,
        client.output_room.load(Relaxed),
        client.output_peak.load(Relaxed),
        // All output that waits is in one buffer of its own size: there is no fixed part.
        0,
        u8::from(memory.output > 0),
        memory.output,
        memory.total(),
        if memory.output > 0 { "rw" } else { "r" },
        last,
        client.user.get(),
        redirect(client),
        client.resp.load(Relaxed),
        client.lib_name.get(),
        client.lib_ver.get(),
    )
}

/// Bytes a connection occupies, as `CLIENT LIST` adds them up in `tot-mem`.
pub(in crate::control) fn memory(client: &Client) -> usize {
    Memory::of(client, 0).total()
}

/// What a connection occupies, in bytes.
#[derive(Debug, Clone, Copy)]
struct Memory {
    input: usize,
    input_free: usize,
    args: usize,
    queued: usize,
    output: usize,
    fixed: usize,
}

impl Memory {
    fn of(client: &Client, running_args: usize) -> Self {
        let texts = [client.name.get(), client.lib_name.get(), client.lib_ver.get(), client.user.get()];
        let texts: usize = texts.iter().map(String::len).sum();
        Memory {
            input: client.input.load(Relaxed),
            input_free: client.input_free.load(Relaxed),
            args: running_args + client.parked_args.load(Relaxed),
            queued: client.multi_memory.load(Relaxed),
            output: client.output_memory(),
            fixed: size_of::<Client>() + size_of::<Conn>() + texts + client.addr.len() + client.laddr.len(),
        }
    }

    fn total(self) -> usize {
        self.input + self.input_free + self.args + self.queued + self.output + self.fixed
    }
}

/// Who hears of the keys that this connection reads instead of itself: 0 for nobody, -1 where it tracks none.
pub(super) fn redirect(client: &Client) -> i64 {
    let tracking = &client.tracking;
    if tracking.options().has(TrackOptions::ON) { tracking.redirect() as i64 } else { -1 }
}

/// One letter for each thing worth knowing, `N` for none.
fn flags(client: &Client) -> String {
    let kind = client.kind.load(Relaxed);
    let tracks = |option| client.tracking.options().has(option);
    let is = |flag: &std::sync::atomic::AtomicBool| flag.load(Relaxed);
    let letters = [
        ('O', is(&client.monitoring)),
        ('S', kind == ClientKind::Replica as u8),
        ('P', kind == ClientKind::Pubsub as u8),
        ('x', client.multi.load(Relaxed) >= 0),
        ('b', client.is_blocked()),
        ('t', tracks(TrackOptions::ON)),
        ('R', tracks(TrackOptions::BROKEN_REDIRECT)),
        ('B', tracks(TrackOptions::BCAST)),
        ('d', client.is_dirty()),
        ('c', is(&client.closing)),
        ('A', is(&client.killed)),
        ('U', client.is_unix),
        ('r', is(&client.readonly)),
        ('e', is(&client.no_evict)),
        ('T', is(&client.no_touch)),
    ];
    let flags: String = letters.iter().filter(|(_, set)| *set).map(|(letter, _)| letter).collect();
    if flags.is_empty() { "N".into() } else { flags }
}
