//! Why a request was refused: the reply's text and the log's.

use std::fmt;

/// A request that is none: the connection is to be closed. Displays as the text after `Protocol error: `.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProtocolError {
    /// An inline request of more than 64 KiB without an end.
    TooBigInline,
    /// More than 64 KiB after `*` without an end of line.
    TooBigCount,
    /// More than 64 KiB in place of `$<length>` without an end of line.
    TooBigLength,
    /// Not an integer after `*`, or one above 2147483647.
    InvalidCount,
    /// Not an integer after `$`, a negative one, or one above `proto-max-bulk-len`.
    InvalidLength,
    /// More than 10 arguments before authentication.
    UnauthenticatedCount,
    /// More than 16 KiB in one argument before authentication.
    UnauthenticatedLength,
    /// This byte in place of `$`.
    ExpectedDollar(u8),
    /// Quotes of an inline request that do not match.
    UnbalancedQuotes,
    /// A request or buffer of 4 GiB. Redis has no such limit, but its `client-query-buffer-limit` (1 GiB)
    /// closes the connection long before.
    TooBigRequest,
}

impl ProtocolError {
    /// Appends the error reply, byte for byte as Redis writes it.
    pub fn append_reply(self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"-ERR Protocol error: ");
        match self {
            Self::ExpectedDollar(byte) => {
                // Redis sends the byte raw, also when that makes the reply no valid UTF-8, but for line ends.
                let byte = if matches!(byte, b'\r' | b'\n') { b' ' } else { byte };
                out.extend_from_slice(b"expected '$', got '");
                out.extend_from_slice(&[byte, b'\'']);
            }
            other => out.extend_from_slice(other.text().as_bytes()),
        }
        out.extend_from_slice(b"\r\n");
    }

    /// What Redis logs (at level verbose, as `Protocol error (<reason>) from client: ...`), which is not
    /// what it replies.
    pub fn log_reason(self) -> &'static str {
        match self {
            Self::InvalidCount => "invalid mbulk count",
            Self::UnauthenticatedCount => "unauth mbulk count",
            Self::UnauthenticatedLength => "unauth bulk length",
            Self::ExpectedDollar(_) => "expected $ but got something else",
            Self::UnbalancedQuotes => "unbalanced quotes in inline request",
            other => other.text(),
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::TooBigInline => "too big inline request",
            Self::TooBigCount => "too big mbulk count string",
            Self::TooBigLength => "too big bulk count string",
            Self::InvalidCount => "invalid multibulk length",
            Self::InvalidLength => "invalid bulk length",
            Self::UnauthenticatedCount => "unauthenticated multibulk length",
            Self::UnauthenticatedLength => "unauthenticated bulk length",
            Self::ExpectedDollar(_) => "expected '$'",
            Self::UnbalancedQuotes => "unbalanced quotes in request",
            Self::TooBigRequest => "too big request",
        }
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())?;
        match *self {
            Self::ExpectedDollar(b'\r' | b'\n') => f.write_str(", got ' '"),
            Self::ExpectedDollar(byte) if byte.is_ascii() => write!(f, ", got '{}'", char::from(byte)),
            // A lone byte above 127 is not text.
            Self::ExpectedDollar(byte) => write!(f, ", got '\\x{byte:02x}'"),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for ProtocolError {}
