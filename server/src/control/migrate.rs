//! `MIGRATE`: keys move to another server.

use super::{Control, ControlCtx, Flow, control};
use crate::dispatch::Begun;
use crate::migrate::{Credentials, Order};
use crate::session::Parked;
use std::time::Duration;
use tidegate_commands::model::{
    Acl, Args, Command, Error, Family, Flag, KeyPosition, KeySpec, Reply, StoredRequest, family, parse_i64,
};
use tidegate_data::Key;

pub(super) static FAMILY: Family<Control> =
    family("generic", Acl::KEYSPACE.with(Acl::DANGEROUS), &[&MIGRATE]);

const OF_KEY: KeySpec = KeySpec::at(3).rw().access().delete();
const OF_KEYS: KeySpec = KeySpec::after_keyword("KEYS", -2)
    .find(tidegate_commands::model::FindKeys::Range { last: -1, step: 1, limit: 0 })
    .rw()
    .access()
    .delete()
    .incomplete();

static MIGRATE: Command<Control> = control(
    "MIGRATE",
    "host port <key_or_empty_string: key|empty_string:''> destination-db timeout(integer) [COPY@3.0.0] \
     [REPLACE@3.0.0] [authentication: [AUTH password]@4.0.7|[AUTH2 <username_password: username password>]@6.0.0] \
     [KEYS key [key ...]]@3.0.6",
    migrate,
)
.about(
    "2.6.0",
    "O(N) for each key, as DUMP here and RESTORE there, and the transfer of its bytes.",
    "Moves keys to another server.",
)
.arity(-6)
.keys(OF_KEY)
.keys(OF_KEYS)
.key_finder(keys_to_move)
.flags(&[Flag::Write])
.tips(&["nondeterministic_output"])
.history(&[
    ("3.0.0", "Options `COPY` and `REPLACE`."),
    ("3.0.6", "Option `KEYS`."),
    ("4.0.7", "Option `AUTH`."),
    ("6.0.0", "Option `AUTH2`."),
]);

/// Milliseconds that are meant by a timeout that is none.
const TIMEOUT_MS: u64 = 1000;
/// Where nothing can wait, inside of `MULTI` and in scripts, everybody who needs the same shards stands still until the
/// other server has answered: not longer than this.
const AT_ONCE_MAX: Duration = Duration::from_secs(10);

/// The keys: that at its place, or those behind `KEYS`.
fn keys_to_move(words: &[&[u8]], found: &mut dyn FnMut(KeyPosition)) {
    let mut at = 6;
    while let Some(word) = words.get(at) {
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        if is("KEYS") {
            // With a key at its place as well, it is a mistake.
            if words[3].is_empty() {
                (at + 1..words.len()).for_each(|arg| found(KeyPosition { arg, flags: OF_KEYS.flags }));
            }
            return;
        }
        at += 1 + if is("AUTH2") { 2 } else { usize::from(is("AUTH")) };
    }
    found(KeyPosition { arg: 3, flags: OF_KEY.flags });
}

/// What is asked for.
struct Wanted {
    order: Order,
    is_copy: bool,
}

impl Wanted {
    /// Reads the arguments. Secrets among them are noted in `redacted`.
    fn parse(args: &mut Args, redacted: &mut impl Extend<usize>) -> Result<Self, Error> {
        let (host, port, key) = (args.next()?, args.next()?, args.next()?);
        let (db, timeout) = (args.next()?, args.next()?);
        let (mut is_copy, mut replace, mut credentials) = (false, false, None);
        let mut secret = |args: &mut Args| -> Result<Box<[u8]>, Error> {
            redacted.extend([args.index()]);
            Ok(args.next()?.into())
        };
        while !args.is_done() {
            if args.take_word("COPY") {
                is_copy = true;
            } else if args.take_word("REPLACE") {
                replace = true;
            } else if args.take_word("AUTH") {
                // Redis forgets no name that came before.
                let user = credentials.take().and_then(|Credentials { user, .. }| user);
                credentials = Some(Credentials { user, password: secret(args)? });
            } else if args.remaining() > 2 && args.take_word("AUTH2") {
                let user = Some(secret(args)?);
                credentials = Some(Credentials { user, password: secret(args)? });
            } else if args.take_word("KEYS") {
                if !key.is_empty() {
                    return Err(Error::new(
                        "ERR When using MIGRATE KEYS option, the key argument must be set to the empty string",
                    ));
                }
                break;
            } else {
                return Err(Error::Syntax);
            }
        }
        let timeout_ms = parse_i64(timeout).ok_or(Error::NotInteger)?;
        let db = parse_i64(db).ok_or(Error::NotInteger)?;
        let timeout_ms = u64::try_from(timeout_ms).ok().filter(|ms| *ms > 0).unwrap_or(TIMEOUT_MS);
        let order = Order {
            host: host.into(),
            port: port.into(),
            db,
            timeout: Duration::from_millis(timeout_ms),
            limit: None,
            credentials,
            replace,
            asking: false,
            parcels: Vec::new(),
        };
        Ok(Wanted { order, is_copy })
    }
}

fn migrate(cx: &mut ControlCtx, args: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    let Wanted { mut order, is_copy } = Wanted::parse(args, &mut cx.session.redacted)?;
    order.asking = cx.shared().config.hot().cluster_enabled.get();
    let keys: Vec<Key<'_>> = args.keys().collect();
    if let Some(hold) = &mut cx.hold {
        order.limit = Some(AT_ONCE_MAX);
        if cx.worker.move_at_once(hold, cx.session, cx.entry, &keys, order, is_copy)? {
            reply.ok();
        } else {
            reply.simple("NOKEY");
        }
        return Ok(Flow::Done);
    }
    match cx.worker.begin_move(cx.session, cx.entry, &keys, order, is_copy)? {
        Begun::NoKey => {
            reply.simple("NOKEY");
            Ok(Flow::Done)
        }
        Begun::Sent(moving) => Ok(Flow::Park(Parked::for_move(moving))),
        Begun::GaveWay => {
            let words: Vec<&[u8]> = (0..args.len()).map(|index| args.get(index)).collect();
            Ok(Flow::Park(Parked::for_pause(cx.now_ms() + 1, StoredRequest::of_words(&words))))
        }
    }
}
