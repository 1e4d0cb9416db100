//! Who may use a connection: `AUTH`, and the password check that `HELLO` shares with it.

use super::{Control, ControlCtx, Flow, control};
use sha2::{Digest as _, Sha256};
use std::sync::atomic::Ordering::Relaxed;
use subtle::ConstantTimeEq as _;
use tidegate_commands::model::{Acl, Args, Command, Error, Family, Flag, Reply, family};

pub(super) static FAMILY: Family<Control> = family("connection", Acl::CONNECTION, &[&AUTH]);

/// The only user there is.
pub(super) const DEFAULT_USER: &str = "default";

const WRONG_PASSWORD: Error = Error::new("WRONGPASS invalid username-password pair or user is disabled.");

static AUTH: Command<Control> = control("AUTH", "[username]@6.0.0 password", auth)
    .about(
        "1.0.0",
        "O(N) where N is the number of passwords defined for the user",
        "Authenticates the connection.",
    )
    .arity(-2)
    .flags(&[Flag::Noscript, Flag::Loading, Flag::Stale, Flag::Fast, Flag::NoAuth, Flag::AllowBusy])
    .history(&[("6.0.0", "Added ACL style (username and password).")])
    .secret_from(1);

fn auth(cx: &mut ControlCtx, args: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    match args.remaining() {
        1 if !cx.shared().config.hot().requirepass.get() => Err(Error::new(
            "ERR AUTH <password> called without any password configured for the default user. Are you sure your \
             configuration is correct?",
        )),
        1 => log_in(cx, DEFAULT_USER.as_bytes(), args.next()?),
        2 => {
            let user = args.next()?;
            log_in(cx, user, args.next()?)
        }
        _ => Err(Error::Syntax),
    }?;
    reply.ok();
    Ok(Flow::Done)
}

/// Makes the connection one of `user`. Any password opens a user that needs none.
pub(super) fn log_in(cx: &mut ControlCtx, user: &[u8], password: &[u8]) -> Result<(), Error> {
    let expected = cx.shared().config.text("requirepass");
    if user != DEFAULT_USER.as_bytes() || expected.is_some_and(|expected| !same(&expected, password)) {
        return Err(WRONG_PASSWORD);
    }
    cx.session.authenticated = true;
    cx.session.client.authenticated.store(true, Relaxed);
    cx.session.client.user.set(DEFAULT_USER);
    Ok(())
}

/// Compares without telling by the time it takes where two passwords differ, nor how long the right one is.
fn same(expected: &[u8], given: &[u8]) -> bool {
    Sha256::digest(expected).ct_eq(&Sha256::digest(given)).into()
}

#[cfg(test)]
mod tests {
    use super::same;

    #[test]
    fn passwords_are_compared_whole() {
        assert!(same(b"secret", b"secret"));
        assert!(!same(b"secret", b"secre"));
        assert!(!same(b"secret", b"secret "));
        assert!(!same(b"", b"secret"));
    }
}
