//! The list of differences which are meant. One line per entry: `command pattern | reason`; the pattern is a glob over
//! the command as the report prints it, in lower case. Only replies can be allowed, never a difference in what is
//! stored, and a report counts how often each line was used, so that a line nobody needs any more is found.

use std::path::Path;

/// One meant difference.
#[derive(Clone, Debug)]
pub struct Allowed {
    pub pattern: String,
    pub reason: String,
    pub used: u64,
}

/// All meant differences.
#[derive(Clone, Debug, Default)]
pub struct AllowList(pub Vec<Allowed>);

impl AllowList {
    /// Reads a list; a line without a reason is an error.
    pub fn load(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Self::parse(&text)
    }

    /// Parses the text of a list. `#` starts a comment line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut list = Vec::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let Some((pattern, reason)) = line.rsplit_once('|') else {
                return Err(format!("no reason given: {line}"));
            };
            let (pattern, reason) = (pattern.trim().to_lowercase(), reason.trim().to_owned());
            if pattern.trim_matches('*').is_empty() || reason.is_empty() {
                return Err(format!("needs a pattern and a reason: {line}"));
            }
            list.push(Allowed { pattern, reason, used: 0 });
        }
        Ok(Self(list))
    }

    /// Whether a reply to this command may differ; counts the use.
    pub fn allows(&mut self, command: &str) -> bool {
        let command = command.to_lowercase();
        match self.0.iter_mut().find(|allowed| glob(allowed.pattern.as_bytes(), command.as_bytes())) {
            Some(allowed) => {
                allowed.used += 1;
                true
            }
            None => false,
        }
    }
}

/// `*` matches any run of bytes, everything else itself.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((b'*', rest)) => (0..=text.len()).any(|skip| glob(rest, &text[skip..])),
        Some((byte, rest)) => text.first() == Some(byte) && glob(rest, &text[1..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_needs_a_pattern_and_a_reason() {
        assert!(AllowList::parse("object refcount *").is_err());
        assert!(AllowList::parse("* | everything").is_err());
        assert_eq!(AllowList::parse("# only a comment\n\n").unwrap().0.len(), 0);
    }

    #[test]
    fn uses_are_counted() {
        let mut list = AllowList::parse("object refcount * | shared integers").unwrap();
        assert!(list.allows("OBJECT REFCOUNT key"));
        assert!(!list.allows("OBJECT ENCODING key"));
        assert_eq!(list.0[0].used, 1);
    }
}
