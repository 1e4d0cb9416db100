//! What one connection does to others: `KILL`, `UNBLOCK`.

use super::super::ControlCtx;
use super::{Control, Flow, TypeFilter, sub, unknown_form};
use crate::acl::Users;
use crate::session::{Client, Ending};
use tidegate_commands::model::{Args, Command, Error, Flag, Reply, parse_i64};

pub(super) static KILL: Command<Control> = sub(
    "KILL",
    "<filter: ip:port@-2.8.12|<new-format: [ID client-id]@2.8.12|\
     [TYPE normal_master_slave_pubsub: NORMAL|MASTER@3.2.0|SLAVE|REPLICA@5.0.0|PUBSUB]@2.8.12|[USER username]|\
     [ADDR ip:port]|[LADDR ip:port]@6.2.0|[SKIPME yes/no]|[MAXAGE maxage]@7.4.0>...>",
    kill,
)
.about("2.4.0", "O(N) where N is the number of client connections", "Closes connections.")
.arity(-3)
.flags(&[Flag::Admin])
.history(&[
    ("2.8.12", "Added new filter format."),
    ("2.8.12", "`ID` option."),
    ("3.2.0", "Added `master` type in for `TYPE` option."),
    ("5.0.0", "Replaced `slave` `TYPE` with `replica`. `slave` still supported for backward compatibility."),
    ("6.2.0", "`LADDR` option."),
]);

/// Which connections are closed: those to which everything that is set applies.
#[derive(Debug, Default)]
struct Filter<'a> {
    addr: Option<&'a [u8]>,
    laddr: Option<&'a [u8]>,
    kind: Option<TypeFilter>,
    id: Option<u64>,
    user: Option<&'a [u8]>,
    max_age_s: Option<i64>,
    keep_me: bool,
}

impl<'a> Filter<'a> {
    fn parse(users: &Users, args: &mut Args<'a>) -> Result<Self, Error> {
        let mut filter = Filter { keep_me: true, ..Filter::default() };
        while !args.is_done() {
            let option = args.next()?;
            let value = args.next()?;
            let is = |word: &str| option.eq_ignore_ascii_case(word.as_bytes());
            if is("id") {
                let id = parse_i64(value).filter(|id| *id > 0);
                let id = id.ok_or(Error::new("ERR client-id should be greater than 0"))?;
                filter.id = Some(id as u64);
            } else if is("type") {
                filter.kind = Some(TypeFilter::parse(value)?);
            } else if is("addr") {
                filter.addr = Some(value);
            } else if is("laddr") {
                filter.laddr = Some(value);
            } else if is("user") {
                if users.get(value).is_none() {
                    let mut text = b"ERR No such user '".to_vec();
                    text.extend_from_slice(value);
                    text.push(b'\'');
                    return Err(Error::text(text));
                }
                filter.user = Some(value);
            } else if is("maxage") {
                let age = parse_i64(value);
                let age = age.ok_or(Error::new("ERR maxage is not an integer or out of range"))?;
                if age <= 0 {
                    return Err(Error::new("ERR maxage should be greater than 0"));
                }
                filter.max_age_s = Some(age);
            } else if is("skipme") {
                filter.keep_me = value.eq_ignore_ascii_case(b"yes");
                if !filter.keep_me && !value.eq_ignore_ascii_case(b"no") {
                    return Err(Error::Syntax);
                }
            } else {
                return Err(Error::Syntax);
            }
        }
        Ok(filter)
    }

    fn matches(&self, client: &Client, now_ms: i64) -> bool {
        let age_s = now_ms / 1000 - client.created_ms / 1000;
        self.addr.is_none_or(|addr| client.addr.as_bytes() == addr)
            && self.laddr.is_none_or(|laddr| client.laddr.as_bytes() == laddr)
            && self.kind.is_none_or(|kind| kind.matches(client))
            && self.id.is_none_or(|id| client.id == id)
            && self.user.is_none_or(|user| client.user.get() == String::from_utf8_lossy(user))
            && self.max_age_s.is_none_or(|most| age_s >= most)
    }
}

fn kill(cx: &mut ControlCtx, args: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    // The old form names an address and spares nobody.
    let old_form = args.remaining() == 1;
    let filter = if old_form {
        Filter { addr: Some(args.next()?), ..Filter::default() }
    } else {
        Filter::parse(&cx.shared().users, args)?
    };
    let (mut killed, mut kills_itself) = (0, false);
    for client in cx.shared().clients.all() {
        if !filter.matches(&client, cx.now_ms()) {
            continue;
        }
        if client.id == cx.session.client.id {
            if filter.keep_me {
                continue;
            }
            kills_itself = true;
            killed += 1;
        } else if cx.shared().clients.kill(&client) {
            killed += 1;
        }
    }
    if !old_form {
        reply.integer(killed);
    } else if killed > 0 {
        reply.ok();
    } else {
        return Err(Error::new("ERR No such client"));
    }
    Ok(if kills_itself { Flow::Close } else { Flow::Done })
}

pub(super) static UNBLOCK: Command<Control> =
    sub("UNBLOCK", "client-id [timeout_error: TIMEOUT|ERROR]", unblock)
        .about(
            "5.0.0",
            "O(log N) where N is the number of client connections",
            "Lets a waiting connection go on before its time.",
        )
        .arity(-3)
        .flags(&[Flag::Admin]);

fn unblock(cx: &mut ControlCtx, args: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    if args.remaining() > 2 {
        return Err(unknown_form(args));
    }
    let id = args.next()?;
    let how = match args.peek() {
        None => Ending::TimedOut,
        Some(word) if word.eq_ignore_ascii_case(b"timeout") => Ending::TimedOut,
        Some(word) if word.eq_ignore_ascii_case(b"error") => Ending::Failed,
        Some(_) => return Err(Error::new("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")),
    };
    let id = parse_i64(id).ok_or(Error::NotInteger)?;
    let target = cx.shared().clients.get(id as u64);
    reply.integer(i64::from(target.is_some_and(|client| client.unblock(how))));
    Ok(Flow::Done)
}
