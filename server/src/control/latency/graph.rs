//! `LATENCY GRAPH`: the spikes of one event as a drawing of plain characters.
//!
//! A column is a spike, four rows of three heights each; below it, from top to bottom, how long ago it was.

use crate::shared::LatencySeries;
use std::fmt::Write as _;

const COLUMNS: usize = 80;
const ROWS: i64 = 4;
/// The heights within a row.
const HEIGHTS: [char; 3] = ['_', 'o', '#'];

/// Draws the spikes as of `now_s`, Unix seconds.
pub(super) fn draw(event: &str, series: &LatencySeries, now_s: i64) -> String {
    let values = || series.samples.iter().map(|(_, ms)| *ms);
    let (low, high) = (values().min().unwrap_or(0), values().max().unwrap_or(0));
    let mut text = String::new();
    writeln!(text, "{event} - high {high} ms, low {low} ms (all time high {} ms)", series.max_ms)
        .expect("writing to a String cannot fail");
    text.push_str(&"-".repeat(COLUMNS));
    text.push('\n');
    let columns: Vec<Column> = series
        .samples
        .iter()
        .map(|(time_s, ms)| Column { height: height(*ms, low, high), label: ago(now_s - time_s) })
        .collect();
    for (index, part) in columns.chunks(COLUMNS).enumerate() {
        if index > 0 {
            text.push('\n');
        }
        draw_part(&mut text, part);
    }
    text
}

struct Column {
    /// From 0 to the number of heights of all rows, exclusive.
    height: i64,
    label: String,
}

fn draw_part(text: &mut String, columns: &[Column]) {
    let heights = HEIGHTS.len() as i64;
    for row in (0..ROWS).rev() {
        text.extend(columns.iter().map(|column| match column.height - row * heights {
            below if below < 0 => ' ',
            inside if inside < heights => HEIGHTS[inside as usize],
            _ => '|',
        }));
        text.push('\n');
    }
    text.push_str(&" ".repeat(columns.len()));
    text.push('\n');
    let longest = columns.iter().map(|column| column.label.len()).max().unwrap_or(0);
    for at in 0..longest {
        text.extend(
            columns.iter().map(|column| column.label.as_bytes().get(at).map_or(' ', |c| char::from(*c))),
        );
        text.push('\n');
    }
}

fn height(ms: i64, low: i64, high: i64) -> i64 {
    let heights = HEIGHTS.len() as i64 * ROWS;
    let range = (high - low).max(1);
    ((ms - low) * heights / range).clamp(0, heights - 1)
}

/// Seconds in their largest whole unit.
fn ago(seconds: i64) -> String {
    match seconds {
        ..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86400),
    }
}

#[cfg(test)]
mod tests {
    use super::draw;
    use crate::shared::LatencySeries;

    #[test]
    fn spikes_stand_beside_each_other() {
        let samples = [(1000, 10), (1060, 20), (1090, 30), (1100, 130)].into_iter().collect();
        let series = LatencySeries { samples, max_ms: 200 };
        let rule = "-".repeat(80);
        assert_eq!(
            draw("command", &series, 1100),
            format!(
                "command - high 130 ms, low 10 ms (all time high 200 ms)\n{rule}\n   #\n   |\n   |\n_o#|\n    \n1410\n\
                 m00s\n ss \n"
            ),
        );
    }

    #[test]
    fn more_spikes_than_columns_go_on_below() {
        let series = LatencySeries { samples: (0..81).map(|i| (i, 5)).collect(), max_ms: 5 };
        let text = draw("e", &series, 100);
        assert_eq!(text.lines().filter(|line| line.is_empty()).count(), 1);
        assert!(text.lines().all(|line| line.len() <= 80));
    }
}
