//! CONFIG GET and CONFIG SET. A CONFIG SET of several directives takes effect as a whole or not at all: first every
//! name is looked up, then every value is checked and stored, then the running server is told; what fails on the way
//! puts everything back.

use std::fmt;
use std::sync::PoisonError;

use super::directives::{self, Directive, Effect, Flags};
use super::glob::{self, Case};
use super::value::Value;
use super::{Config, hot::Hot};

/// The running server, as far as changes of settings concern it.
pub trait Apply {
    /// Makes a change take effect. The new values are already in `config`; this may refuse them, and is then called
    /// again for every effect of the change with the old values back in place. It must not change settings itself
    /// except through the `set_...` methods of [`Config`].
    ///
    /// # Errors
    /// The reason, as the client is told it: `Unable to listen on this port. Check server logs.`
    fn apply(&self, effect: Effect, config: &Config) -> Result<(), String>;
}

/// Nothing is running yet: changes need no more than being stored.
#[derive(Debug, Clone, Copy)]
pub struct NotRunning;

impl Apply for NotRunning {
    fn apply(&self, _effect: Effect, _config: &Config) -> Result<(), String> {
        Ok(())
    }
}

/// Who asks for a change, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// Connected over the loopback interface or the Unix socket.
    pub local: bool,
    /// The data set is being loaded.
    pub loading: bool,
}

/// Why CONFIG SET changed nothing. The texts are those of Redis, without the leading `ERR`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetError {
    /// A name without a value.
    Syntax,
    /// One of the directives cannot be set while the data set is being loaded. Clients get the `LOADING` error.
    Loading,
    Unknown(Vec<u8>),
    Refused {
        directive: String,
        reason: String,
    },
}

impl std::error::Error for SetError {}

impl fmt::Display for SetError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax => out.write_str("syntax error"),
            Self::Loading => out.write_str("Redis is loading the dataset in memory"),
            Self::Unknown(name) => write!(
                out,
                "Unknown option or number of arguments for CONFIG SET - '{}'",
                String::from_utf8_lossy(name)
            ),
            Self::Refused { directive, reason } => {
                write!(out, "CONFIG SET failed (possibly related to argument '{directive}') - {reason}")
            }
        }
    }
}

/// One directive of a CONFIG SET whose name and permissions are in order.
struct Change<'a> {
    row: usize,
    directive: &'static Directive,
    /// The name or the alias, whichever was used.
    name: &'static str,
    text: &'a [u8],
    old: Value,
}

impl Config {
    /// Names and values of all directives that match one of the patterns, each once. A pattern without `*`, `?` or
    /// `[` is a name, is answered as it was written, and finds hidden directives too. O(patterns * directives).
    pub fn get(&self, patterns: &[&[u8]]) -> Vec<(String, Vec<u8>)> {
        let values = self.read();
        let mut found: Vec<(String, Vec<u8>)> = Vec::new();
        let mut add = |name: &str, row: usize| {
            if !found.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
                found.push((name.to_owned(), directives::all()[row].format(&values[row])));
            }
        };
        for pattern in patterns {
            if !glob::is_pattern(pattern) {
                if let Some((row, _)) = directives::find(pattern) {
                    add(&String::from_utf8_lossy(pattern), row);
                }
                continue;
            }
            let visible = directives::all().iter().enumerate().filter(|(_, row)| !row.has(Flags::HIDDEN));
            for (index, row) in visible {
                for name in std::iter::once(row.name).chain(row.alias) {
                    if glob::matches(pattern, name.as_bytes(), Case::Ignored) {
                        add(name, index);
                    }
                }
            }
        }
        found
    }

    /// The text of one directive's value, as CONFIG GET answers it; `None` when there is no such directive.
    pub fn get_one(&self, name: &str) -> Option<Vec<u8>> {
        let (row, _) = directives::find(name.as_bytes())?;
        Some(directives::all()[row].format(&self.read()[row]))
    }

    /// Changes directives on behalf of a client; `args` are names and values in turn. All or nothing.
    ///
    /// # Errors
    /// [`SetError`], whose text is the client's error message.
    pub fn set(&self, args: &[&[u8]], caller: Caller, server: &dyn Apply) -> Result<(), SetError> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let (pairs, []) = args.as_chunks::<2>() else { return Err(SetError::Syntax) };
        let changes = self.look_up(pairs, caller)?;
        let mut effects: Vec<(Effect, &'static str)> = Vec::new();
        for change in &changes {
            let args = split_words(change.directive, change.text);
            // The value a name set is the current one for its alias further on.
            let current = self.read()[change.row].clone();
            let value = match change.directive.parse(&args, &current) {
                Ok(value) => value,
                Err(reason) => {
                    self.put_back(&changes);
                    return Err(SetError::Refused { directive: change.name.to_owned(), reason });
                }
            };
            let unchanged = value == change.old && !change.directive.applies_unchanged();
            self.store(change.row, value);
            if let Some(effect) = change.directive.effect
                && !unchanged
                && !effects.iter().any(|(known, _)| *known == effect)
            {
                effects.push((effect, change.name));
            }
        }
        for (effect, name) in &effects {
            if let Err(reason) = server.apply(*effect, self) {
                tracing::warn!(
                    "Failed applying new configuration. Possibly related to new {name} setting. \
                     Restoring previous settings."
                );
                self.put_back(&changes);
                for (effect, _) in &effects {
                    if let Err(reason) = server.apply(*effect, self) {
                        tracing::warn!("Failed applying restored failed CONFIG SET command: {reason}");
                    }
                }
                return Err(SetError::Refused { directive: (*name).to_owned(), reason });
            }
        }
        Ok(())
    }

    /// The first name that may not be set decides the error, as it does in Redis; only the refusal during loading
    /// goes before all others.
    fn look_up<'a>(&self, pairs: &[[&'a [u8]; 2]], caller: Caller) -> Result<Vec<Change<'a>>, SetError> {
        let mut changes: Vec<Change<'a>> = Vec::with_capacity(pairs.len());
        for [written, text] in pairs {
            let Some((row, name)) = directives::find(written) else {
                return Err(SetError::Unknown(written.to_vec()));
            };
            let directive = directives::all()[row];
            let refused = |reason: &str| SetError::Refused {
                directive: String::from_utf8_lossy(written).into_owned(),
                reason: reason.to_owned(),
            };
            if directive.has(Flags::IMMUTABLE) {
                return Err(refused("can't set immutable config"));
            }
            let hot: &Hot = self.hot();
            if directive.has(Flags::PROTECTED) && !hot.enable_protected_configs.get().allows(caller.local) {
                return Err(refused("can't set protected config"));
            }
            if caller.loading && directive.has(Flags::DENY_LOADING) {
                return Err(SetError::Loading);
            }
            if changes.iter().any(|change| change.name == name) {
                return Err(refused("duplicate parameter"));
            }
            let old = self.read()[row].clone();
            changes.push(Change { row, directive, name, text, old });
        }
        Ok(changes)
    }

    /// Restores old values, the last change first: a name and its alias may both be there.
    fn put_back(&self, changes: &[Change<'_>]) {
        for change in changes.iter().rev() {
            self.store(change.row, change.old.clone());
        }
    }
}

impl Directive {
    /// Redis compares numbers, words and texts with the old value, but always applies most of the special forms.
    fn applies_unchanged(&self) -> bool {
        self.has(Flags::VOLATILE) || matches!(self.kind, super::Kind::Bind | super::Kind::Dir)
    }
}

/// The arguments in the one text CONFIG SET is given: directives of several arguments split it at every space, so
/// that two spaces enclose an empty argument.
fn split_words(directive: &Directive, text: &[u8]) -> Vec<Vec<u8>> {
    if !directive.has(Flags::MULTI) {
        return vec![text.to_vec()];
    }
    if text.is_empty() {
        return Vec::new();
    }
    text.split(|byte| *byte == b' ').map(<[u8]>::to_vec).collect()
}

#[cfg(test)]
mod tests;
