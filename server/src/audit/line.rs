//! One line of the audit log.

use crate::session::Client;
use std::fmt::Write;

/// Keys of one request that are named.
const KEYS_MAX: usize = 16;
/// Bytes of a key that are shown.
const KEY_BYTES_MAX: usize = 128;

/// What is noted.
#[derive(Debug)]
pub(crate) struct Audited<'a> {
    /// Unix time in milliseconds.
    pub at_ms: i64,
    /// The command, with its subcommand.
    pub command: &'a str,
    /// The selected database.
    pub db: u32,
    /// The keys that the request names.
    pub keys: &'a [&'a [u8]],
    /// How long it ran.
    pub micros: u64,
    /// The code of the error it was answered with.
    pub error: Option<&'a str>,
    /// It did not run, because the client may not do that.
    pub is_denied: bool,
}

impl Audited<'_> {
    /// The line, with its end.
    pub(super) fn line(&self, client: &Client, shows_keys: bool) -> String {
        let mut line = String::with_capacity(256);
        let event = if self.is_denied { "denied" } else { "command" };
        let (seconds, millis) = (self.at_ms.div_euclid(1000), self.at_ms.rem_euclid(1000));
        // Writing to a String cannot fail.
        let _ = write!(line, "{{\"time\":{seconds}.{millis:03},\"event\":\"{event}\",\"command\":");
        quote(&mut line, self.command);
        line.push_str(",\"user\":");
        quote(&mut line, &client.user.get());
        let _ = write!(line, ",\"client\":{},\"addr\":", client.id);
        quote(&mut line, &client.addr);
        let _ = write!(line, ",\"db\":{}", self.db);
        if shows_keys && !self.keys.is_empty() {
            line.push_str(",\"keys\":[");
            for (index, key) in self.keys.iter().take(KEYS_MAX).enumerate() {
                if index > 0 {
                    line.push(',');
                }
                let shown = &key[..key.len().min(KEY_BYTES_MAX)];
                quote(&mut line, &String::from_utf8_lossy(shown));
            }
            line.push(']');
        }
        if !self.keys.is_empty() {
            let _ = write!(line, ",\"key_count\":{}", self.keys.len());
        }
        line.push_str(",\"result\":");
        quote(&mut line, self.error.unwrap_or("ok"));
        let _ = writeln!(line, ",\"microseconds\":{}}}", self.micros);
        line
    }
}

/// A string of JSON.
fn quote(line: &mut String, text: &str) {
    line.push('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => line.extend(['\\', letter]),
            '\n' => line.push_str("\\n"),
            '\0'..='\x1f' | '\x7f' => {
                let _ = write!(line, "\\u{:04x}", u32::from(letter));
            }
            _ => line.push(letter),
        }
    }
    line.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> Client {
        Client::new(7, "127.0.0.1:5".to_owned(), String::new(), 0, 0, false, true)
    }

    #[test]
    fn a_line_is_one_object() {
        let keys: Vec<&[u8]> = vec![b"a\"b\n\xff\x01"];
        let audited = Audited {
            at_ms: 1_700_000_000_042,
            command: "config|set",
            db: 3,
            keys: &keys,
            micros: 12,
            error: Some("ERR"),
            is_denied: false,
        };
        assert_eq!(
            audited.line(&client(), true),
            "{\"time\":1700000000.042,\"event\":\"command\",\"command\":\"config|set\",\"user\":\"default\",\"client\":7,\
             \"addr\":\"127.0.0.1:5\",\"db\":3,\"keys\":[\"a\\\"b\\n\u{fffd}\\u0001\"],\"key_count\":1,\"result\":\"ERR\",\
             \"microseconds\":12}\n"
        );
        assert!(!audited.line(&client(), false).contains("\"keys\""), "what users store can be left out");
    }

    #[test]
    fn a_line_is_bounded() {
        let key = vec![b'\x01'; 100_000];
        let keys = vec![&key[..]; 100_000];
        let audited = Audited {
            at_ms: 0,
            command: "mset",
            db: 0,
            keys: &keys,
            micros: 0,
            error: None,
            is_denied: true,
        };
        let line = audited.line(&client(), true);
        assert!(line.len() < 16 * 1024 && line.contains("\"key_count\":100000"), "{}", line.len());
    }
}
