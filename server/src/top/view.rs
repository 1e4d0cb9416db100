//! What `tidegate queue top` prints.

use crate::link::Reply;
use std::fmt::Write as _;
use tidegate_commands::model::parse_i64;
use tidegate_persistence::quote::quoted;

/// What a queue has done over its life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pushed: i64,
    acked: i64,
}

/// What is shown of a queue.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Row {
    pub(super) name: Vec<u8>,
    pub(super) totals: Totals,
    ready: i64,
    delayed: i64,
    leased: i64,
    dead: i64,
    waiters: i64,
    oldest_ms: i64,
    /// Pushes and acknowledgements per second.
    rates: [f64; 2],
    /// Which ways are paused; empty for none.
    paused: String,
}

impl Row {
    /// From the reply of `XQUEUE.INFO`. Fields that are not known are passed over.
    pub(super) fn read(name: &[u8], fields: Vec<Reply>) -> Self {
        let mut row = Row { name: name.to_vec(), ..Row::default() };
        let mut fields = fields.into_iter();
        while let (Some(Reply::Text(field)), Some(value)) = (fields.next(), fields.next()) {
            let Reply::Text(text) = value else { continue };
            let number = parse_i64(&text).unwrap_or(0);
            match &field[..] {
                b"ready" => row.ready = number,
                b"delayed" => row.delayed = number,
                b"leased" => row.leased = number,
                b"dead" => row.dead = number,
                b"waiters" => row.waiters = number,
                b"oldest-ms" => row.oldest_ms = number,
                b"pushed" => row.totals.pushed = number,
                b"acked" => row.totals.acked = number,
                b"push-60s" => row.rates[0] = number as f64 / 60.0,
                b"ack-60s" => row.rates[1] = number as f64 / 60.0,
                b"paused" if text != b"none" => row.paused = printed(&text),
                _ => {}
            }
        }
        row
    }

    /// The rates since another reading, of so many seconds ago.
    pub(super) fn measure(&mut self, before: Totals, seconds: f64) {
        if seconds > 0.0 {
            // A queue that was deleted meanwhile begins anew.
            let rate = |now: i64, then: i64| now.saturating_sub(then).max(0) as f64 / seconds;
            self.rates = [rate(self.totals.pushed, before.pushed), rate(self.totals.acked, before.acked)];
        }
    }

    /// How many messages it has.
    pub(super) fn messages(&self) -> i64 {
        [self.delayed, self.leased, self.dead].into_iter().fold(self.ready, i64::saturating_add)
    }
}

/// A name as a terminal may get it.
pub(super) fn printed(name: &[u8]) -> String {
    match std::str::from_utf8(name) {
        Ok(text) if !text.is_empty() && !text.chars().any(|c| c.is_control() || c == ' ') => text.to_owned(),
        _ => quoted(name),
    }
}

/// A line for each queue, below a heading; no more than `most`.
pub(super) fn table(rows: &[Row], most: usize) -> String {
    let heading = "     READY   DELAYED    LEASED      DEAD    PUSH/S     ACK/S    OLDEST   WAITERS  QUEUE\n";
    let mut text = heading.to_owned();
    for row in rows.iter().take(most) {
        for number in [row.ready, row.delayed, row.leased, row.dead] {
            let _ = write!(text, "{number:>10}");
        }
        for rate in row.rates {
            let _ = write!(text, "{rate:>10.1}");
        }
        let _ = write!(text, "{:>10}{:>10}  {}", age(row.oldest_ms), row.waiters, printed(&row.name));
        if !row.paused.is_empty() {
            let _ = write!(text, " (paused: {})", row.paused);
        }
        text.push('\n');
    }
    if rows.len() > most {
        let _ = writeln!(text, "and {} more", rows.len() - most);
    }
    text
}

/// A time in the two units that matter.
fn age(ms: i64) -> String {
    let seconds = ms / 1000;
    match seconds {
        _ if ms <= 0 => "-".to_owned(),
        0 => format!("{ms}ms"),
        1..60 => format!("{seconds}.{}s", ms % 1000 / 100),
        60..3600 => format!("{}m{}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d{}h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(fields: &str) -> Vec<Reply> {
        fields.split(' ').map(|word| Reply::Text(word.as_bytes().to_vec())).collect()
    }

    #[test]
    fn a_line_has_what_the_server_said() {
        let mut fields =
            info("ready 3 delayed 2 leased 1 dead 4 waiters 5 oldest-ms 61500 pushed 90 acked 80");
        fields.extend([Reply::Text(b"options".to_vec()), Reply::Array(Vec::new())]);
        fields.extend(info("push-60s 90 ack-60s 30 paused out later 1"));
        let mut row = Row::read(b"jobs", fields);
        assert_eq!(row.messages(), 10);
        let line = |row: Row| {
            table(&[row], 9).lines().nth(1).map(|l| l.split_whitespace().collect::<Vec<_>>().join(" "))
        };
        row.measure(Totals { pushed: 70, acked: 85 }, 2.0);
        assert_eq!(line(row).as_deref(), Some("3 2 1 4 10.0 0.0 1m1s 5 jobs (paused: out)"));
    }

    #[test]
    fn rates_are_those_of_a_minute_at_first_and_names_cannot_move_the_cursor() {
        let rows = [Row::read(b"\x1b[2J", info("push-60s 90 ack-60s 30")), Row::read(b"b", Vec::new())];
        let text = table(&rows, 1);
        assert!(text.contains("1.5       0.5") && text.contains("\"\\x1b[2J\""), "{text}");
        assert!(text.ends_with("and 1 more\n") && !text.contains('\x1b'));
    }

    #[test]
    fn ages_have_two_units() {
        let ages = [
            (0, "-"),
            (7, "7ms"),
            (1_250, "1.2s"),
            (61_000, "1m1s"),
            (7_260_000, "2h1m"),
            (90_000_000, "1d1h"),
        ];
        for (ms, text) in ages {
            assert_eq!(age(ms), text);
        }
    }
}
