//! `PAUSE` and `UNPAUSE`.

use super::super::ControlCtx;
use super::{Control, Flow, ok, sub, unknown_form};
use crate::shared::PauseKind;
use tidegate_commands::model::{Args, Command, Error, Flag, Reply, parse_i64};

pub(super) static PAUSE: Command<Control> = sub("PAUSE", "timeout(integer) [mode: WRITE|ALL]@6.2.0", pause)
    .about("2.9.50", "O(1)", "Lets commands wait for some time.")
    .arity(-3)
    .flags(&[Flag::Admin])
    .history(&[("6.2.0", "`CLIENT PAUSE WRITE` mode added along with the `mode` option.")]);

fn pause(cx: &mut ControlCtx, args: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    if args.remaining() > 2 {
        return Err(unknown_form(args));
    }
    let timeout = args.next()?;
    let kind = match args.peek() {
        None => PauseKind::All,
        Some(word) if word.eq_ignore_ascii_case(b"write") => PauseKind::Write,
        Some(word) if word.eq_ignore_ascii_case(b"all") => PauseKind::All,
        Some(_) => return Err(Error::new("ERR CLIENT PAUSE mode must be WRITE or ALL")),
    };
    let until_ms = deadline(timeout, cx.now_ms())?.unwrap_or(0);
    cx.shared().pause.begin(kind, until_ms, cx.now_ms());
    ok(reply)
}

pub(super) static UNPAUSE: Command<Control> = sub("UNPAUSE", "", |cx, _, reply| {
    let shared = cx.shared();
    shared.pause.end();
    // Whoever is about to wait sees the end of the pause when it looks once more; who waits already is woken.
    shared.clients.each(|client| client.waker.wake());
    ok(reply)
})
.about("6.2.0", "O(N) Where N is the number of paused clients", "Ends the pause.")
.arity(2)
.flags(&[Flag::Admin]);

/// Reads a timeout in milliseconds and adds it to the clock; `None` for the timeout 0.
pub(in super::super) fn deadline(timeout: &[u8], now_ms: i64) -> Result<Option<i64>, Error> {
    let timeout = parse_i64(timeout).ok_or(Error::new("ERR timeout is not an integer or out of range"))?;
    if timeout < 0 {
        return Err(Error::new("ERR timeout is negative"));
    }
    Ok((timeout > 0).then(|| now_ms.saturating_add(timeout)))
}

#[cfg(test)]
mod tests {
    use super::deadline;

    #[test]
    fn timeouts() {
        assert_eq!(deadline(b"0", 5), Ok(None));
        assert_eq!(deadline(b"10", 5), Ok(Some(15)));
        assert_eq!(deadline(b"9223372036854775807", 5), Ok(Some(i64::MAX)));
        assert!(deadline(b"-1", 5).is_err());
        assert!(deadline(b"1.5", 5).is_err());
    }
}
