//! Finding the command a request calls.

use crate::registry::{Entry, Registry};
use tidegate_commands::model::{Error, Span};

/// What a request calls.
#[derive(Debug, Clone, Copy)]
pub enum Lookup {
    /// This command or subcommand. A container called without a subcommand is found as itself.
    Found(&'static Entry),
    /// A container, but none of its subcommands.
    UnknownSubcommand,
    /// Nothing known.
    Unknown,
}

impl Lookup {
    /// Looks up the command of a request.
    #[expect(
        clippy::inline_always,
        reason = "a call per step costs as much as the steps: see ARCHITECTURE.md"
    )]
    #[inline(always)]
    pub fn of(registry: &'static Registry, buf: &[u8], spans: &[Span]) -> Self {
        let Some(entry) = registry.lookup(spans[0].slice(buf)) else { return Lookup::Unknown };
        if entry.subcommands.is_empty() || spans.len() == 1 {
            return Lookup::Found(entry);
        }
        match entry.subcommand(spans[1].slice(buf)) {
            Some(sub) => Lookup::Found(sub),
            None => Lookup::UnknownSubcommand,
        }
    }

    /// What is no command may be an effect where a journal is loaded.
    #[inline]
    pub(super) fn or_effect(self, registry: &'static Registry, buf: &[u8], spans: &[Span]) -> Self {
        match self {
            Lookup::Unknown => registry.effect(spans[0].slice(buf)).map_or(self, Lookup::Found),
            known => known,
        }
    }

    /// The command, if there is one.
    #[inline]
    pub(super) fn found(self) -> Option<&'static Entry> {
        match self {
            Lookup::Found(entry) => Some(entry),
            Lookup::UnknownSubcommand | Lookup::Unknown => None,
        }
    }

    /// The id of the command plus one; 0 when there is none.
    #[inline]
    pub(super) fn id_plus_one(self) -> u32 {
        self.found().map_or(0, |entry| entry.id as u32 + 1)
    }
}

/// Bytes of a name or of the arguments that an error text shows.
const SHOWN: usize = 128;

/// What the client is told about an unknown command.
pub(super) fn unknown_command(buf: &[u8], spans: &[Span]) -> Error {
    let mut text = b"ERR unknown command '".to_vec();
    text.extend_from_slice(shown(spans[0].slice(buf), SHOWN));
    text.extend_from_slice(b"', with args beginning with: ");
    let start = text.len();
    for span in &spans[1..] {
        let so_far = text.len() - start;
        if so_far >= SHOWN {
            break;
        }
        text.push(b'\'');
        text.extend_from_slice(shown(span.slice(buf), SHOWN - so_far));
        text.extend_from_slice(b"' ");
    }
    Error::text(text)
}

/// What the client is told about an unknown subcommand.
pub(super) fn unknown_subcommand(buf: &[u8], spans: &[Span]) -> Error {
    let mut text = b"ERR unknown subcommand '".to_vec();
    text.extend_from_slice(shown(spans[1].slice(buf), SHOWN));
    text.extend_from_slice(b"'. Try ");
    text.extend_from_slice(&spans[0].slice(buf).to_ascii_uppercase());
    text.extend_from_slice(b" HELP.");
    Error::text(text)
}

/// The first bytes of a word, up to a NUL: Redis prints it as a C string.
fn shown(word: &[u8], most: usize) -> &[u8] {
    let end = word.iter().position(|byte| *byte == 0).unwrap_or(word.len());
    &word[..end.min(most)]
}
