//! Replies in which random members come again and again, as many as the client asks for: `SRANDMEMBER key -count` and its
//! relatives. Redis makes them until memory ends, or the client's output limit is reached.

use crate::model::{Error, Reply};

/// Most members, and most bytes, of such a reply.
const COUNT_MAX: u64 = 1 << 24;
const BYTES_MAX: usize = 1 << 30;

const OUT_OF_RANGE: Error = Error::new("ERR value is out of range");

/// Bounds a reply that has only begun.
pub(super) struct Repeated {
    start: usize,
}

impl Repeated {
    /// Refuses a reply of too many members, unless the client's output limit ends it soon.
    pub(super) fn begin(reply: &Reply, count: u64) -> Result<Self, Error> {
        if count > COUNT_MAX && reply.left().is_some_and(|left| left > BYTES_MAX) {
            return Err(OUT_OF_RANGE);
        }
        Ok(Repeated { start: reply.mark() })
    }

    /// True if another member may be written.
    pub(super) fn goes_on(&self, reply: &Reply) -> bool {
        reply.left().is_some() && reply.mark() - self.start <= BYTES_MAX
    }

    /// Refuses a reply that is too long. One that went over the client's output limit stays: the server closes the
    /// connection because of it.
    pub(super) fn end(self, reply: &Reply) -> Result<(), Error> {
        if reply.mark() - self.start > BYTES_MAX { Err(OUT_OF_RANGE) } else { Ok(()) }
    }
}
