//! The connection: `PING`, `ECHO`, `SELECT`, `HELLO`, `RESET`, `QUIT`.

use super::client::set_name;
use super::{Control, ControlCtx, Flow, auth, control, pubsub};
use crate::session::ReplyMode;
use crate::version::REDIS_VERSION;
use std::sync::atomic::Ordering::Relaxed;
use tidegate_commands::model::{Acl, Args, Command, Error, Family, Flag, Protocol, Reply, family, parse_i64};

pub(super) static FAMILY: Family<Control> =
    family("connection", Acl::CONNECTION, &[&PING, &ECHO, &SELECT, &HELLO, &RESET, &QUIT]);

static PING: Command<Control> = control("PING", "[message]", ping)
    .about("1.0.0", "O(1)", "Answers PONG, or the message.")
    .arity(-1)
    .flags(&[Flag::Fast])
    .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]);

fn ping(cx: &mut ControlCtx, args: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    if args.remaining() > 1 {
        return Err(Error::Arity("ping".into()));
    }
    if cx.session.is_subscriber() {
        // Among messages it has to look like one.
        reply.array(2);
        reply.bulk(b"pong");
        reply.bulk(args.peek().unwrap_or_default());
        return Ok(Flow::Done);
    }
    match args.peek() {
        None => reply.simple("PONG"),
        Some(message) => reply.bulk(message),
    }
    Ok(Flow::Done)
}

static ECHO: Command<Control> = control("ECHO", "message", echo)
    .about("1.0.0", "O(1)", "Returns its argument.")
    .arity(2)
    .flags(&[Flag::Loading, Flag::Stale, Flag::Fast]);

fn echo(_: &mut ControlCtx, args: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    reply.bulk(args.next()?);
    Ok(Flow::Done)
}

static SELECT: Command<Control> = control("SELECT", "index", select)
    .about("1.0.0", "O(1)", "Changes the selected database.")
    .arity(2)
    .flags(&[Flag::Loading, Flag::Stale, Flag::Fast]);

fn select(cx: &mut ControlCtx, args: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    let index = parse_i64(args.next()?).ok_or(Error::NotInteger)?;
    if i32::try_from(index).is_err() {
        return Err(Error::new("ERR value is out of range, value must between -2147483648 and 2147483647"));
    }
    let databases = cx.worker.exec.limits.databases;
    let db = usize::try_from(index).ok().filter(|db| *db < databases);
    cx.session.db = db.ok_or(Error::new("ERR DB index is out of range"))?;
    cx.session.client.db.store(cx.session.db as u16, Relaxed);
    reply.ok();
    Ok(Flow::Done)
}

static HELLO: Command<Control> = control(
    "HELLO",
    "[arguments: protover [AUTH username_password: username password] [SETNAME clientname]]",
    hello,
)
.about("6.0.0", "O(1)", "Chooses the protocol, and may authenticate and name the connection on the way.")
.arity(-1)
.flags(&[Flag::Noscript, Flag::Loading, Flag::Stale, Flag::Fast, Flag::NoAuth, Flag::AllowBusy])
.history(&[(
    "6.2.0",
    "`protover` made optional; when called without arguments the command reports the current connection's \
             context.",
)]);

fn hello(cx: &mut ControlCtx, args: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    let protocol = if args.is_done() {
        cx.session.protocol
    } else {
        match parse_i64(args.next()?) {
            Some(2) => Protocol::Resp2,
            Some(3) => Protocol::Resp3,
            Some(_) => return Err(Error::new("NOPROTO unsupported protocol version")),
            None => return Err(Error::new("ERR Protocol version is not an integer or out of range")),
        }
    };
    while !args.is_done() {
        let option = args.next()?;
        if option.eq_ignore_ascii_case(b"auth") && args.remaining() >= 2 {
            cx.session.redacted.extend([args.index(), args.index() + 1]);
            let user = args.next()?;
            auth::log_in(cx, args.get(0), user, args.next()?)?;
        } else if option.eq_ignore_ascii_case(b"setname") && !args.is_done() {
            set_name(cx, args.next()?)?;
        } else {
            let mut text = b"ERR Syntax error in HELLO option '".to_vec();
            text.extend_from_slice(option);
            text.push(b'\'');
            return Err(Error::text(text));
        }
    }
    if !cx.session.authenticated {
        return Err(Error::new(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> \
             <pass> option can be used to authenticate the client and select the RESP protocol version at the same \
             time",
        ));
    }
    pubsub::change_protocol(cx, protocol, reply);
    speak(cx, protocol);
    reply.set_protocol(protocol);
    let config = &cx.shared().config;
    let role = if config.hot().replicaof.get() { "replica" } else { "master" };
    reply.map(7);
    reply.bulk(b"server");
    // Client libraries decide by this field which features they may use.
    reply.bulk(b"redis");
    reply.bulk(b"version");
    reply.bulk(REDIS_VERSION.as_bytes());
    reply.bulk(b"proto");
    reply.integer(if protocol == Protocol::Resp3 { 3 } else { 2 });
    reply.bulk(b"id");
    reply.integer(cx.session.client.id as i64);
    reply.bulk(b"mode");
    reply.bulk(config.mode().as_bytes());
    reply.bulk(b"role");
    reply.bulk(role.as_bytes());
    reply.bulk(b"modules");
    reply.array(0);
    Ok(Flow::Done)
}

fn speak(cx: &mut ControlCtx, protocol: Protocol) {
    cx.session.protocol = protocol;
    cx.session.client.mailbox.speak(protocol);
    cx.session.client.resp.store(if protocol == Protocol::Resp3 { 3 } else { 2 }, Relaxed);
}

static RESET: Command<Control> = control("RESET", "", reset)
    .about("6.2.0", "O(1)", "Makes the connection like a new one.")
    .arity(1)
    .flags(&[
        Flag::Noscript,
        Flag::Loading,
        Flag::Stale,
        Flag::Fast,
        Flag::NoAuth,
        Flag::AllowBusy,
        Flag::Unqueued,
    ]);

fn reset(cx: &mut ControlCtx, _: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    cx.shared().clients.set_monitoring(&cx.session.client, false);
    cx.worker.discard(cx.session);
    cx.worker.stop_tracking(cx.session);
    cx.worker.unsubscribe_all(cx.session);
    pubsub::deliver(cx, reply);
    speak(cx, Protocol::Resp2);
    reply.set_protocol(Protocol::Resp2);
    let users = &cx.worker.eternal.users;
    let (needs_password, generation) = (users.needs_password(), users.generation());
    let session = &mut *cx.session;
    session.db = 0;
    session.client.db.store(0, Relaxed);
    session.client.readonly.store(false, Relaxed);
    session.authenticated = !needs_password;
    session.client.authenticated.store(session.authenticated, Relaxed);
    session.client.stranger_since_ms.store(crate::clock::unix_ms(), Relaxed);
    session.become_user(users.default_user(), generation);
    session.client.name.set("");
    // A command that was to be skipped stays skipped, even this one.
    if session.reply_mode == ReplyMode::Off {
        session.reply_mode = ReplyMode::On;
    }
    reply.simple("RESET");
    Ok(Flow::Done)
}

static QUIT: Command<Control> =
    control("QUIT", "", quit).about("1.0.0", "O(1)", "Closes the connection.").arity(-1).flags(&[
        Flag::Noscript,
        Flag::Loading,
        Flag::Stale,
        Flag::Fast,
        Flag::NoAuth,
        Flag::AllowBusy,
        Flag::Unqueued,
    ]);

fn quit(_: &mut ControlCtx, _: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    reply.ok();
    Ok(Flow::Close)
}
