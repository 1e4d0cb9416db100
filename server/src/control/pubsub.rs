//! Channels: subscribing, publishing, and what `PUBSUB` tells of both.

use super::help::{help, unknown_form};
use super::{Control, ControlCtx, Flow, control};
use crate::dispatch::Worker;
use crate::session::{Client, ClientKind, Mailbox, NAME_SIZE, Names, Parked, Session, Subscriptions};
use crate::shared::Topic;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use tidegate_commands::families::{Case, glob_matches};
use tidegate_commands::model::{
    Acl, Args, Command, Error, Family, Flag, KeySpec, Protocol, Reply, container, family,
};

pub(super) static FAMILY: Family<Control> = family(
    "pubsub",
    Acl::NONE,
    &[
        &PUBLISH,
        &SPUBLISH,
        &SUBSCRIBE,
        &UNSUBSCRIBE,
        &PSUBSCRIBE,
        &PUNSUBSCRIBE,
        &SSUBSCRIBE,
        &SUNSUBSCRIBE,
        &PUBSUB,
    ],
);

static PUBLISH: Command<Control> =
    control("PUBLISH", "channel message", |cx, args, reply| publish(cx, Topic::Channel, args, reply))
        .about(
            "2.0.0",
            "O(N+M) where N is the number of clients subscribed to the receiving channel and M is the total number of \
             subscribed patterns (by any client).",
            "Sends a message to everybody who listens to a channel.",
        )
        .arity(3)
        .flags(&[Flag::Pubsub, Flag::Loading, Flag::Stale, Flag::Fast, Flag::MayReplicate]);

static SPUBLISH: Command<Control> = control("SPUBLISH", "shardchannel message", |cx, args, reply| {
    publish(cx, Topic::ShardChannel, args, reply)
})
.about(
    "7.0.0",
    "O(N) where N is the number of clients subscribed to the receiving shard channel.",
    "Sends a message to everybody who listens to a shard channel.",
)
.arity(3)
.keys(KeySpec::first().not_key())
.flags(&[Flag::Pubsub, Flag::Loading, Flag::Stale, Flag::Fast, Flag::MayReplicate]);

fn publish(cx: &mut ControlCtx, topic: Topic, args: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    let (channel, message) = (args.next()?, args.next()?);
    let shared = Arc::clone(&cx.worker.shared);
    let bells = cx.worker.exec.news.bells();
    let published = shared.pubsub.publish(&shared, topic, channel, message, bells);
    let mut receivers = published.receivers;
    if topic == Topic::Channel && !shared.native.bindings.is_empty() {
        let access = cx.worker.access(cx.session);
        receivers += cx.worker.publish_to_queues(channel, message, access, cx.hold.as_deref_mut());
    }
    // Who listens to what it publishes sees the message before the reply. In a transaction that would be in the middle of
    // the reply of EXEC, where RESP3 has no place for it: there it comes behind that.
    if !cx.in_transaction() {
        deliver(cx, reply);
    }
    reply.integer(receivers as i64);
    Ok(match published.behind {
        Some(client) if !cx.in_transaction() => Flow::Park(Parked::for_delivery(client, cx.now_ms())),
        _ => Flow::Done,
    })
}

/// Writes what others sent to this connection, because what comes now must not come before it.
pub(super) fn deliver(cx: &mut ControlCtx, reply: &mut Reply) {
    take_messages(cx, reply, Mailbox::take_into);
}

/// Has what others send written in another protocol; what they sent in the old one comes before the reply.
pub(super) fn change_protocol(cx: &mut ControlCtx, protocol: Protocol, reply: &mut Reply) {
    take_messages(cx, reply, |mailbox, out| mailbox.change_protocol(protocol, out));
}

fn take_messages(cx: &mut ControlCtx, reply: &mut Reply, take: impl FnOnce(&Mailbox, &mut Vec<u8>)) {
    let in_transaction = cx.in_transaction();
    let session = &mut *cx.session;
    if in_transaction {
        take(&session.client.mailbox, &mut session.before_exec);
    } else if !session.reply_mode.is_silent() && !session.client.mailbox.is_empty() {
        let mut sent = Vec::new();
        take(&session.client.mailbox, &mut sent);
        reply.raw(&sent);
    }
}

const SUBSCRIBING: &[Flag] = &[Flag::Pubsub, Flag::Noscript, Flag::Loading, Flag::Stale];

static SUBSCRIBE: Command<Control> = control("SUBSCRIBE", "channel [channel ...]", |cx, args, reply| {
    subscribe(cx, Topic::Channel, args, reply)
})
.about("2.0.0", "O(N) where N is the number of channels to subscribe to.", "Listens to channels.")
.arity(-2)
.flags(SUBSCRIBING);

static PSUBSCRIBE: Command<Control> = control("PSUBSCRIBE", "<pattern: pattern>...", |cx, args, reply| {
    subscribe(cx, Topic::Pattern, args, reply)
})
.about(
    "2.0.0",
    "O(N) where N is the number of patterns the client is already subscribed to.",
    "Listens to all channels that match a pattern.",
)
.arity(-2)
.flags(SUBSCRIBING);

static SSUBSCRIBE: Command<Control> =
    control("SSUBSCRIBE", "shardchannel [shardchannel ...]", |cx, args, reply| {
        if cx.in_transaction() {
            return Err(Error::new("ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client"));
        }
        subscribe(cx, Topic::ShardChannel, args, reply)
    })
    .about(
        "7.0.0",
        "O(N) where N is the number of shard channels to subscribe to.",
        "Listens to shard channels.",
    )
    .arity(-2)
    .keys(KeySpec::all().not_key())
    .flags(SUBSCRIBING);

static UNSUBSCRIBE: Command<Control> =
    control("UNSUBSCRIBE", "[channel [channel ...]]", |cx, args, reply| {
        unsubscribe(cx, Topic::Channel, args, reply)
    })
    .about(
        "2.0.0",
        "O(N) where N is the number of clients already subscribed to a channel.",
        "Listens to channels no longer.",
    )
    .arity(-1)
    .flags(SUBSCRIBING);

static PUNSUBSCRIBE: Command<Control> = control("PUNSUBSCRIBE", "[pattern [pattern ...]]", |cx, args, reply| {
    unsubscribe(cx, Topic::Pattern, args, reply)
})
.about(
    "2.0.0",
    "O(N+M) where N is the number of patterns the client is already subscribed and M is the number of total patterns \
     subscribed in the system (by any client).",
    "Listens to the channels of patterns no longer.",
)
.arity(-1)
.flags(SUBSCRIBING);

static SUNSUBSCRIBE: Command<Control> =
    control("SUNSUBSCRIBE", "[shardchannel [shardchannel ...]]", |cx, args, reply| {
        unsubscribe(cx, Topic::ShardChannel, args, reply)
    })
    .about(
        "7.0.0",
        "O(N) where N is the number of clients already subscribed to a shard channel.",
        "Listens to shard channels no longer.",
    )
    .arity(-1)
    .keys(KeySpec::all().not_key())
    .flags(SUBSCRIBING);

/// The words that confirm a subscription and its end.
fn confirmations(topic: Topic) -> [&'static [u8]; 2] {
    match topic {
        Topic::Channel => [b"subscribe", b"unsubscribe"],
        Topic::Pattern => [b"psubscribe", b"punsubscribe"],
        Topic::ShardChannel => [b"ssubscribe", b"sunsubscribe"],
    }
}

fn names(subscriptions: &mut Subscriptions, topic: Topic) -> &mut Names {
    match topic {
        Topic::Channel => &mut subscriptions.channels,
        Topic::Pattern => &mut subscriptions.patterns,
        Topic::ShardChannel => &mut subscriptions.shard_channels,
    }
}

fn count(client: &Client, topic: Topic) -> &AtomicU32 {
    match topic {
        Topic::Channel => &client.channels,
        Topic::Pattern => &client.patterns,
        Topic::ShardChannel => &client.shard_channels,
    }
}

/// What a confirmation counts: channels and patterns together, shard channels by themselves.
fn counted(client: &Client, topic: Topic) -> i64 {
    i64::from(match topic {
        Topic::ShardChannel => client.shard_channels.load(Relaxed),
        _ => client.channels.load(Relaxed) + client.patterns.load(Relaxed),
    })
}

/// Whoever takes channels from users looks for their subscribers after that; this one may have come later.
fn has_lost_channels(cx: &mut ControlCtx, topic: Topic) -> bool {
    let users = &cx.worker.eternal.users;
    let session = &mut *cx.session;
    if session.users_seen == users.generation() {
        return false;
    }
    session.follow_users(users);
    let (Some(user), Some(subscriptions)) = (session.user.clone(), &mut session.subscriptions) else {
        return false;
    };
    let names = names(subscriptions, topic).in_order();
    names.iter().any(|name| !user.may_listen(topic == Topic::Pattern, name))
}

fn subscribe(cx: &mut ControlCtx, topic: Topic, args: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    for name in args.rest() {
        let name: Arc<[u8]> = name.into();
        let session = &mut *cx.session;
        let subscriptions = session.subscriptions.get_or_insert_default();
        let is_new = names(subscriptions, topic).insert(&name);
        if is_new {
            session.client.hold(NAME_SIZE + name.len());
            count(&session.client, topic).fetch_add(1, Relaxed);
        }
        // First, because where nothing is answered it goes the way of the messages.
        confirm(session, confirmations(topic)[0], Some(&name), topic, reply);
        if is_new {
            let client = Arc::clone(&session.client);
            cx.shared().pubsub.subscribe(topic, &name, &client);
        }
    }
    if has_lost_channels(cx, topic) {
        return Ok(Flow::Close);
    }
    let kind = &cx.session.client.kind;
    // A replica stays one.
    let _ = kind.compare_exchange(ClientKind::Normal as u8, ClientKind::Pubsub as u8, Relaxed, Relaxed);
    Ok(Flow::Done)
}

fn unsubscribe(cx: &mut ControlCtx, topic: Topic, args: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    let all = args.is_done();
    let given: Vec<Arc<[u8]>> = if all {
        let subscriptions = cx.session.subscriptions.as_deref_mut();
        subscriptions.map(|subscriptions| names(subscriptions, topic).in_order()).unwrap_or_default()
    } else {
        args.rest().map(Arc::from).collect()
    };
    for name in &given {
        let session = &mut *cx.session;
        let subscribed = session.subscriptions.as_deref_mut();
        if subscribed.is_some_and(|subscriptions| names(subscriptions, topic).remove(name)) {
            session.client.let_go(NAME_SIZE + name.len());
            count(&session.client, topic).fetch_sub(1, Relaxed);
            let client = Arc::clone(&session.client);
            cx.shared().pubsub.unsubscribe(topic, name, &client);
            // What was published until now comes before the confirmation, and nothing does behind it.
            deliver(cx, reply);
        }
        confirm(cx.session, confirmations(topic)[1], Some(name), topic, reply);
    }
    if given.is_empty() {
        confirm(cx.session, confirmations(topic)[1], None, topic, reply);
    }
    forget_if_none(cx.session);
    Ok(Flow::Done)
}

/// A connection without subscriptions is an ordinary one.
fn forget_if_none(session: &mut Session) {
    if session.subscriptions.as_ref().is_some_and(|subscriptions| subscriptions.is_empty()) {
        session.subscriptions = None;
        let kind = &session.client.kind;
        let _ = kind.compare_exchange(ClientKind::Pubsub as u8, ClientKind::Normal as u8, Relaxed, Relaxed);
    }
}

/// Confirms one subscription or its end. That is a message, not a reply: `CLIENT REPLY OFF` does not suppress it.
fn confirm(session: &Session, word: &[u8], name: Option<&[u8]>, topic: Topic, reply: &mut Reply) {
    let write = |reply: &mut Reply| {
        reply.push(3);
        reply.bulk(word);
        reply.bulk_or_null(name);
        reply.integer(counted(&session.client, topic));
    };
    if session.reply_mode.is_silent() {
        let mut push = Vec::new();
        write(&mut Reply::new(&mut push, session.protocol));
        session.client.send(&push);
    } else {
        write(reply);
    }
}

impl Session {
    /// Its subscriptions leave it with nothing but commands about them: RESP2 cannot tell a message from a reply.
    #[inline]
    pub(crate) fn is_subscriber(&self) -> bool {
        self.subscriptions.is_some() && self.protocol == Protocol::Resp2
    }
}

impl Worker {
    /// Ends all subscriptions without a word.
    pub fn unsubscribe_all(&self, session: &mut Session) {
        let Some(mut subscriptions) = session.subscriptions.take() else { return };
        for topic in [Topic::Channel, Topic::Pattern, Topic::ShardChannel] {
            for name in names(&mut subscriptions, topic).in_order() {
                session.client.let_go(NAME_SIZE + name.len());
                self.shared.pubsub.unsubscribe(topic, &name, &session.client);
            }
            count(&session.client, topic).store(0, Relaxed);
        }
        let kind = &session.client.kind;
        let _ = kind.compare_exchange(ClientKind::Pubsub as u8, ClientKind::Normal as u8, Relaxed, Relaxed);
    }
}

static PUBSUB: Command<Control> = container(
    "PUBSUB",
    &[&CHANNELS, &HELP, &NUMPAT, &NUMSUB, &SHARDCHANNELS, &SHARDNUMSUB],
)
.about("2.8.0", "Depends on subcommand.", "A container of commands about channels.");

const ASKING: &[Flag] = &[Flag::Pubsub, Flag::Loading, Flag::Stale];

static CHANNELS: Command<Control> = control("CHANNELS", "[pattern]", |cx, args, reply| {
    channels(cx, Topic::Channel, args, reply)
})
.about(
    "2.8.0",
    "O(N) where N is the number of active channels, and assuming constant time pattern matching (relatively \
             short channels and patterns)",
    "Lists the channels that somebody listens to.",
)
.arity(-2)
.flags(ASKING);

static SHARDCHANNELS: Command<Control> = control("SHARDCHANNELS", "[pattern]", |cx, args, reply| {
    channels(cx, Topic::ShardChannel, args, reply)
})
.about(
    "7.0.0",
    "O(N) where N is the number of active shard channels, and assuming constant time pattern matching \
             (relatively short shard channels).",
    "Lists the shard channels that somebody listens to.",
)
.arity(-2)
.flags(ASKING);

fn channels(cx: &mut ControlCtx, topic: Topic, args: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    if args.remaining() > 1 {
        return Err(unknown_form(args));
    }
    let pattern = args.peek();
    let is_wanted = |name: &[u8]| pattern.is_none_or(|pattern| glob_matches(pattern, name, Case::Sensitive));
    let found = cx.shared().pubsub.names(topic, is_wanted);
    reply.array(found.len());
    for name in &found {
        reply.bulk(name);
    }
    Ok(Flow::Done)
}

static NUMSUB: Command<Control> =
    control("NUMSUB", "[channel [channel ...]]", |cx, args, reply| numsub(cx, Topic::Channel, args, reply))
        .about(
            "2.8.0",
            "O(N) for the NUMSUB subcommand, where N is the number of requested channels",
            "Counts the connections that listen to channels.",
        )
        .arity(-2)
        .flags(ASKING);

static SHARDNUMSUB: Command<Control> =
    control("SHARDNUMSUB", "[shardchannel [shardchannel ...]]", |cx, args, reply| {
        numsub(cx, Topic::ShardChannel, args, reply)
    })
    .about(
        "7.0.0",
        "O(N) for the SHARDNUMSUB subcommand, where N is the number of requested shard channels",
        "Counts the connections that listen to shard channels.",
    )
    .arity(-2)
    .flags(ASKING);

fn numsub(cx: &mut ControlCtx, topic: Topic, args: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    reply.array(2 * args.remaining());
    for name in args.rest() {
        reply.bulk(name);
        reply.integer(cx.shared().pubsub.subscribers(topic, name) as i64);
    }
    Ok(Flow::Done)
}

static NUMPAT: Command<Control> = control("NUMPAT", "", |cx, _, reply| {
    reply.integer(cx.shared().pubsub.len(Topic::Pattern) as i64);
    Ok(Flow::Done)
})
.about("2.8.0", "O(1)", "Counts the patterns that somebody listens to.")
.arity(2)
.flags(ASKING);

static HELP: Command<Control> = control("HELP", "", |_, _, reply| {
    help(
        reply,
        "PUBSUB",
        &[
            "CHANNELS [<pattern>]",
            "    The channels that somebody listens to, or those of them that match <pattern>.",
            "NUMPAT",
            "    How many different patterns are subscribed to.",
            "NUMSUB [<channel> ...]",
            "    How many connections listen to each channel, not counting patterns.",
            "SHARDCHANNELS [<pattern>]",
            "    The shard channels that somebody listens to.",
            "SHARDNUMSUB [<shardchannel> ...]",
            "    How many connections listen to each shard channel.",
        ],
    );
    Ok(Flow::Done)
})
.about("6.2.0", "O(1)", "Lists the subcommands.")
.arity(2)
.flags(&[Flag::Loading, Flag::Stale]);
