//! The first line of a script, where it says what the script may do: `#!lua flags=no-writes,allow-oom`.

use tidegate_commands::model::Error;

/// What a script may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own in the script")]
pub struct Permits {
    /// There was a first line that declares flags; without one a script is judged call by call.
    pub declared: bool,
    /// `no-writes`: it does not write.
    pub no_writes: bool,
    /// `allow-oom`: it runs, and writes, though memory is full.
    pub allow_oom: bool,
    /// `allow-stale`: it runs on a replica with stale data.
    pub allow_stale: bool,
    /// `no-cluster`: it does not run in a cluster.
    pub no_cluster: bool,
    /// `allow-cross-slot-keys`
    pub allow_cross_slot: bool,
}

impl Permits {
    /// Sets the flag of this name; false when there is none.
    pub fn set(&mut self, name: &[u8]) -> bool {
        let flag = match name {
            b"no-writes" => &mut self.no_writes,
            b"allow-oom" => &mut self.allow_oom,
            b"allow-stale" => &mut self.allow_stale,
            b"no-cluster" => &mut self.no_cluster,
            b"allow-cross-slot-keys" => &mut self.allow_cross_slot,
            _ => return false,
        };
        *flag = true;
        true
    }

    /// It may write: what has no flags may do anything.
    pub fn may_write(self) -> bool {
        !self.no_writes
    }

    /// It is refused where memory is full.
    pub fn needs_memory(self) -> bool {
        self.declared && !self.no_writes && !self.allow_oom
    }
}

/// The first line of a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shebang {
    /// What it allows.
    pub permits: Permits,
    /// Its length in bytes, without the line end; 0 where there is none.
    pub len: usize,
}

/// Reads the first line of a script for `EVAL`.
pub(super) fn parse(text: &[u8]) -> Result<Shebang, Error> {
    if !text.starts_with(b"#!") {
        return Ok(Shebang::default());
    }
    let Some(len) = text.iter().position(|byte| *byte == b'\n') else {
        return Err(Error::new("ERR Invalid script shebang"));
    };
    let words: Vec<&[u8]> =
        text[..len].split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).collect();
    let Some((engine, options)) = words.split_first() else {
        return Err(Error::new("ERR Invalid engine in script shebang"));
    };
    if *engine != b"#!lua" {
        return Err(with(b"ERR Unexpected engine in script shebang: ", engine));
    }
    let mut permits = Permits { declared: true, ..Permits::default() };
    for option in options {
        let Some(flags) = option.strip_prefix(b"flags=") else {
            return Err(with(b"ERR Unknown lua shebang option: ", option));
        };
        for flag in flags.split(|byte| *byte == b',').filter(|_| !flags.is_empty()) {
            if !permits.set(flag) {
                return Err(with(b"ERR Unexpected flag in script shebang: ", flag));
            }
        }
    }
    Ok(Shebang { permits, len })
}

fn with(text: &[u8], word: &[u8]) -> Error {
    Error::text([text, word].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        String::from_utf8_lossy(&parse(text.as_bytes()).unwrap_err().message()).into_owned()
    }

    #[test]
    fn flags_of_the_first_line() {
        assert_eq!(parse(b"return 1"), Ok(Shebang::default()));
        let shebang = parse(b"#!lua flags=no-writes,allow-oom\nreturn 1").unwrap();
        assert_eq!(shebang.len, 31);
        assert!(shebang.permits.no_writes && shebang.permits.allow_oom && !shebang.permits.allow_stale);
        assert!(parse(b"#!lua\n").unwrap().permits.needs_memory());
        assert!(parse(b"#!lua flags=\n").is_ok());
    }

    #[test]
    fn what_is_wrong_with_a_first_line() {
        assert_eq!(message("#!lua"), "ERR Invalid script shebang");
        assert_eq!(message("#!not-lua\n"), "ERR Unexpected engine in script shebang: #!not-lua");
        assert_eq!(message("#!lua name=x\n"), "ERR Unknown lua shebang option: name=x");
        assert_eq!(message("#!lua flags=a\n"), "ERR Unexpected flag in script shebang: a");
    }
}
