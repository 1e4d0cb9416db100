//! Who a connection is: `ID`, `INFO`, `LIST`, `GETNAME`, `SETNAME`, `SETINFO`.

use super::super::ControlCtx;
use super::{Control, Flow, TypeFilter, ok, sub};
use crate::session::Client;
use tidegate_commands::model::{Args, Command, Error, Flag, Reply, parse_i64};

/// Describes a connection as of now, without a line end.
fn line(cx: &ControlCtx, args: &Args, client: &Client) -> String {
    let is_self = client.id == cx.session.client.id;
    let running = if is_self { (0..args.len()).map(|i| args.get(i).len()).sum() } else { 0 };
    client.describe(cx.now_ms(), cx.shared().last_command(client), running)
}

pub(super) static ID: Command<Control> = sub("ID", "", |cx, _, reply| {
    reply.integer(cx.session.client.id as i64);
    Ok(Flow::Done)
})
.about("5.0.0", "O(1)", "Returns the unique ID of the connection.")
.arity(2);

pub(super) static INFO: Command<Control> = sub("INFO", "", |cx, args, reply| {
    let mut text = line(cx, args, &cx.session.client);
    text.push('\n');
    reply.verbatim("txt", text.as_bytes());
    Ok(Flow::Done)
})
.about("6.2.0", "O(1)", "Describes the connection.")
.arity(2)
.tips(&["nondeterministic_output"]);

pub(super) static LIST: Command<Control> =
    sub("LIST", "[TYPE <NORMAL|MASTER|REPLICA|PUBSUB>]@5.0.0 [ID id: client-id [client-id ...]]@6.2.0", list)
        .about("2.4.0", "O(N) where N is the number of client connections", "Describes the open connections.")
        .arity(-2)
        .flags(&[Flag::Admin])
        .tips(&["nondeterministic_output"])
        .history(&[
            ("2.8.12", "Added unique client `id` field."),
            ("5.0.0", "Added optional `TYPE` filter."),
            ("6.0.0", "Added `user` field."),
            (
                "6.2.0",
                "Added `argv-mem`, `tot-mem`, `laddr` and `redir` fields and the optional `ID` filter.",
            ),
            ("7.0.0", "Added `resp`, `multi-mem`, `rbs` and `rbp` fields."),
            ("7.0.3", "Added `ssub` field."),
        ]);

fn list(cx: &mut ControlCtx, args: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    let clients = &cx.shared().clients;
    let wanted = if args.is_done() {
        clients.all()
    } else if args.remaining() == 2 && args.take_word("type") {
        let filter = TypeFilter::parse(args.next()?)?;
        let mut all = clients.all();
        all.retain(|client| filter.matches(client));
        all
    } else if args.remaining() >= 2 && args.take_word("id") {
        let mut wanted = Vec::new();
        for id in args.rest() {
            let id = parse_i64(id).ok_or(Error::new("ERR Invalid client ID"))?;
            wanted.extend(clients.get(id as u64));
        }
        wanted
    } else {
        return Err(Error::Syntax);
    };
    let mut text = String::new();
    for client in wanted {
        text.push_str(&line(cx, args, &client));
        text.push('\n');
    }
    reply.verbatim("txt", text.as_bytes());
    Ok(Flow::Done)
}

pub(super) static GETNAME: Command<Control> = sub("GETNAME", "", |cx, _, reply| {
    let name = cx.session.client.name.get();
    reply.bulk_or_null((!name.is_empty()).then_some(name.as_bytes()));
    Ok(Flow::Done)
})
.about("2.6.9", "O(1)", "Returns the name of the connection.")
.arity(2);

pub(super) static SETNAME: Command<Control> = sub("SETNAME", "connection-name", |cx, args, reply| {
    set_name(cx, args.next()?)?;
    ok(reply)
})
.about("2.6.9", "O(1)", "Names the connection.")
.arity(3);

/// Names the connection; an empty name takes the name away.
pub(in super::super) fn set_name(cx: &mut ControlCtx, name: &[u8]) -> Result<(), Error> {
    let name = printable(name)
        .ok_or(Error::new("ERR Client names cannot contain spaces, newlines or special characters."))?;
    cx.session.client.name.set(name);
    Ok(())
}

pub(super) static SETINFO: Command<Control> =
    sub("SETINFO", "<attr: LIB-NAME libname|LIB-VER libver>", |cx, args, reply| {
        let option = args.next()?;
        let value = args.next()?;
        let client = &cx.session.client;
        let field = if option.eq_ignore_ascii_case(b"lib-name") {
            &client.lib_name
        } else if option.eq_ignore_ascii_case(b"lib-ver") {
            &client.lib_ver
        } else {
            let mut text = b"ERR Unrecognized option '".to_vec();
            text.extend_from_slice(option);
            text.push(b'\'');
            return Err(Error::text(text));
        };
        let value = printable(value).ok_or_else(|| {
            let option = String::from_utf8_lossy(option).to_ascii_lowercase();
            Error::text(format!("ERR {option} cannot contain spaces, newlines or special characters."))
        })?;
        field.set(value);
        ok(reply)
    })
    .about("7.2.0", "O(1)", "Tells which client library speaks.")
    .arity(4)
    .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]);

/// The value if it leaves `CLIENT LIST` parseable: printable ASCII without spaces.
fn printable(value: &[u8]) -> Option<&str> {
    value.iter().all(|byte| (b'!'..=b'~').contains(byte)).then(|| std::str::from_utf8(value).ok())?
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn names_keep_a_line_of_the_list_parseable() {
        assert_eq!(printable(b""), Some(""));
        assert_eq!(printable(b"a~!b"), Some("a~!b"));
        for name in [&b"a b"[..], b"a\nb", b"\x7f", b"\xc3\xa4", b"\0"] {
            assert_eq!(printable(name), None, "{name:?}");
        }
    }
}
