//! Which command this thread executes, for the report of a crash. Its name and whose it is, never what it is about: arguments are
//! what users store.
//!
//! A handler of signals reads it, of the thread that it interrupted: it has no destructor, takes no lock, and is there from the
//! thread's first instruction on.

use crate::registry::Entry;
use std::cell::Cell;

/// What a thread executes.
#[derive(Debug, Clone, Copy)]
pub struct Running {
    /// The command that a client has sent.
    pub command: Option<&'static Entry>,
    /// What it calls: a command of a script or of a transaction, or that of somebody who has waited for it.
    pub inner: Option<&'static Entry>,
    /// The client's number.
    pub client: u64,
}

thread_local! {
    static COMMAND: Cell<Option<&'static Entry>> = const { Cell::new(None) };
    static INNER: Cell<Option<&'static Entry>> = const { Cell::new(None) };
    static CLIENT: Cell<u64> = const { Cell::new(0) };
}

/// A client's requests come next.
#[inline]
pub fn serve(client: u64) {
    CLIENT.set(client);
}

/// One of them begins; `None` is one that no command was found for.
#[inline]
pub fn begin(command: Option<&'static Entry>) {
    COMMAND.set(command);
}

/// They are done with.
#[inline]
pub fn rest() {
    COMMAND.set(None);
}

/// Something else begins as part of it.
#[inline]
pub fn begin_inner(command: &'static Entry) {
    INNER.set(Some(command));
}

/// And is done with.
#[inline]
pub fn end_inner() {
    INNER.set(None);
}

/// What the calling thread executes.
pub fn now() -> Running {
    Running { command: COMMAND.get(), inner: INNER.get(), client: CLIENT.get() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Registry;

    #[test]
    fn a_thread_knows_what_it_does() {
        let registry: &'static Registry =
            Box::leak(Box::new(Registry::new(&[]).expect("nothing is renamed")));
        let [get, exec] = ["get", "exec"].map(|name| registry.lookup(name.as_bytes()));
        serve(7);
        begin(exec);
        begin_inner(get.expect("it is there"));
        let names = |of: Running| (of.command.map(|c| &*c.name), of.inner.map(|c| &*c.name), of.client);
        assert_eq!(names(now()), (Some("exec"), Some("get"), 7));
        end_inner();
        assert_eq!(names(now()), (Some("exec"), None, 7));
        rest();
        assert_eq!(names(now()), (None, None, 7));
        let other = std::thread::spawn(|| now().client);
        assert_eq!(other.join().expect("it does not crash"), 0, "others do something else");
    }
}
