//! Figures of a comparison: medians over the rounds, ratios to Redis, as Markdown, CSV and bar charts.

use std::fmt::Write as _;

use crate::chart::{Group, Panel, svg};
use crate::workload::tests_of_redis::Test;

/// Who sent the load of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The generator of this crate, which counts replies.
    Counting,
    /// redis-benchmark.
    Stock,
}

/// One server in the comparison.
#[derive(Clone, Debug)]
pub struct Contender {
    pub name: String,
    /// Threads a Tidegate runs; `None` for other servers, which have no target to meet.
    pub tidegate_threads: Option<usize>,
}

impl Contender {
    /// The ratio to Redis this server must reach with two threads or more, in the cells of strings and in the tests of
    /// redis-benchmark; with one thread it must not be slower.
    fn target(&self, row: &str, source: Source, pipeline: usize) -> Option<f64> {
        let is_test = source == Source::Stock || Test::ALL.iter().any(|test| test.name() == row);
        Some(match (self.tidegate_threads?, source, pipeline) {
            (2.., _, 1) if is_test => 1.5,
            (2.., _, _) if is_test => 2.5,
            (2.., Source::Counting, 1) => 2.5,
            (2.., Source::Counting, 16) => 6.0,
            (2.., Source::Counting, 64) => 9.0,
            _ => 1.0,
        })
    }
}

/// One measurement of one server in one round.
#[derive(Clone, Debug)]
pub struct Figure {
    pub source: Source,
    /// The request, as in `get` or `mix-zipf`.
    pub row: String,
    pub pipeline: usize,
    /// Index of the contender.
    pub contender: usize,
    pub round: usize,
    pub per_second: f64,
    /// Of a batch, in microseconds.
    pub p50_us: f64,
    pub p99_us: f64,
    /// Not known of redis-benchmark.
    pub p999_us: Option<f64>,
    /// Cores the server kept busy; not known of redis-benchmark, which runs all its tests in one go.
    pub server_cores: Option<f64>,
    /// CPU share of the busiest generator thread; not known of redis-benchmark.
    pub generator_busy: Option<f64>,
}

/// The whole comparison.
pub struct Report {
    /// Machine, versions and settings, one line each.
    pub conditions: Vec<String>,
    pub contenders: Vec<Contender>,
    /// The contender the others are divided by.
    pub baseline: usize,
    pub figures: Vec<Figure>,
    /// Measurements that gave no figure, and why.
    pub failures: Vec<String>,
}

/// The medians of one cell and one server.
struct Median {
    per_second: f64,
    lowest: f64,
    highest: f64,
    p50_us: f64,
    p99_us: f64,
    p999_us: Option<f64>,
    server_cores: Option<f64>,
    generator_busy: Option<f64>,
}

type Key = (Source, usize, String);

impl Report {
    /// The whole report as Markdown.
    pub fn markdown(&self, title: &str) -> String {
        let mut out = format!("# {title}\n\n");
        for condition in &self.conditions {
            line(&mut out, &format!("- {condition}"));
        }
        for (source, heading) in [
            (Source::Counting, "Counting generator"),
            (Source::Stock, "redis-benchmark (one key, 3-byte values)"),
        ] {
            let keys: Vec<Key> = self.keys().into_iter().filter(|key| key.0 == source).collect();
            if !keys.is_empty() {
                line(&mut out, &format!("\n## {heading}\n"));
                self.summary(&mut out, &keys);
                line(&mut out, "\n### Latency of a batch, processor use, spread\n");
                self.details(&mut out, &keys);
            }
        }
        if !self.failures.is_empty() {
            line(&mut out, "\n## Without a figure\n");
            self.failures.iter().for_each(|failure| line(&mut out, &format!("- {failure}")));
        }
        out
    }

    fn summary(&self, out: &mut String, keys: &[Key]) {
        let base = &self.contenders[self.baseline].name;
        let others: Vec<usize> = (0..self.contenders.len()).filter(|index| *index != self.baseline).collect();
        let mut head = format!("| P | request | {base} k/s |");
        let mut rule = "|---:|---|---:|".to_owned();
        for other in &others {
            let name = &self.contenders[*other].name;
            write!(head, " {name} k/s | {name} / {base} |").expect("a String takes every write");
            rule.push_str("---:|---:|");
        }
        line(out, &head);
        line(out, &rule);
        for key in keys {
            let reference = self.median(key, self.baseline);
            let mut row = format!("| {} | {} | {} |", key.1, key.2, thousands(reference.as_ref()));
            for other in &others {
                let median = self.median(key, *other);
                let ratio = ratio_text(
                    median
                        .as_ref()
                        .zip(reference.as_ref())
                        .map(|(mine, base)| mine.per_second / base.per_second),
                    self.contenders[*other].target(&key.2, key.0, key.1),
                );
                write!(row, " {} | {ratio} |", thousands(median.as_ref()))
                    .expect("a String takes every write");
            }
            line(out, &row);
        }
    }

    fn details(&self, out: &mut String, keys: &[Key]) {
        line(
            out,
            "| P | request | server | k/s | lowest-highest round | p50 µs | p99 µs | p99.9 µs | server cores | \
             k/s per server core | generator busy |",
        );
        line(out, "|---:|---|---|---:|---:|---:|---:|---:|---:|---:|---:|");
        for key in keys {
            for (index, contender) in self.contenders.iter().enumerate() {
                let Some(median) = self.median(key, index) else {
                    continue;
                };
                let text = format!(
                    "| {} | {} | {} | {} | {:.0}-{:.0} | {:.0} | {:.0} | {} | {} | {} | {} |",
                    key.1,
                    key.2,
                    contender.name,
                    thousands(Some(&median)),
                    median.lowest / 1e3,
                    median.highest / 1e3,
                    median.p50_us,
                    median.p99_us,
                    optional(median.p999_us, |us| format!("{us:.0}")),
                    optional(median.server_cores, |cores| format!("{cores:.2}")),
                    // The kernel counts processor time in ticks of 10 ms; a share of nothing means nothing.
                    optional(median.server_cores.filter(|cores| *cores > 0.05), |cores| format!(
                        "{:.0}",
                        median.per_second / 1e3 / cores
                    )),
                    optional(median.generator_busy, |share| format!("{:.0} %", share * 100.0)),
                );
                line(out, &text);
            }
        }
    }

    /// Every single measurement, one per line.
    pub fn csv(&self) -> String {
        let mut out = "source,request,pipeline,server,round,per_second,p50_us,p99_us,p999_us,server_cores,generator_busy\n"
            .to_owned();
        for figure in &self.figures {
            let source = match figure.source {
                Source::Counting => "counting",
                Source::Stock => "redis-benchmark",
            };
            let text = format!(
                "{source},{},{},{},{},{:.0},{:.1},{:.1},{},{},{}",
                figure.row,
                figure.pipeline,
                self.contenders[figure.contender].name,
                figure.round,
                figure.per_second,
                figure.p50_us,
                figure.p99_us,
                figure.p999_us.map(|us| format!("{us:.1}")).unwrap_or_default(),
                figure.server_cores.map(|cores| format!("{cores:.3}")).unwrap_or_default(),
                figure.generator_busy.map(|share| format!("{share:.3}")).unwrap_or_default(),
            );
            line(&mut out, &text);
        }
        out
    }

    /// Requests per second as bars, one panel per generator and pipeline depth.
    pub fn chart(&self, title: &str) -> String {
        let mut panels: Vec<((Source, usize), Panel)> = Vec::new();
        for key in self.keys() {
            let values = (0..self.contenders.len())
                .map(|index| self.median(&key, index).map(|median| median.per_second))
                .collect();
            let group = Group { label: key.2, values };
            match panels.last_mut() {
                Some((place, panel)) if *place == (key.0, key.1) => panel.groups.push(group),
                _ => {
                    let by = if key.0 == Source::Stock { "redis-benchmark, " } else { "" };
                    let title = format!("{by}pipeline {} (requests per second)", key.1);
                    panels.push(((key.0, key.1), Panel { title, groups: vec![group] }));
                }
            }
        }
        let series: Vec<String> = self.contenders.iter().map(|contender| contender.name.clone()).collect();
        let panels: Vec<Panel> = panels.into_iter().map(|(_, panel)| panel).collect();
        svg(title, &series, &panels, |value| {
            if value >= 1e6 { format!("{:.2} M", value / 1e6) } else { format!("{:.0} k", value / 1e3) }
        })
    }

    /// The cells, by source and depth, requests in the order they were measured first.
    fn keys(&self) -> Vec<Key> {
        let mut keys: Vec<Key> = Vec::new();
        for figure in &self.figures {
            let key = (figure.source, figure.pipeline, figure.row.clone());
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        keys.sort_by_key(|key| (key.0, key.1));
        keys
    }

    fn median(&self, key: &Key, contender: usize) -> Option<Median> {
        let figures: Vec<&Figure> = self
            .figures
            .iter()
            .filter(|figure| (figure.source, figure.pipeline) == (key.0, key.1))
            .filter(|figure| figure.row == key.2 && figure.contender == contender)
            .collect();
        let of =
            |value: &dyn Fn(&Figure) -> f64| median(figures.iter().map(|figure| value(figure)).collect());
        let optional = |value: &dyn Fn(&Figure) -> Option<f64>| {
            median(figures.iter().filter_map(|figure| value(figure)).collect())
        };
        let rates = figures.iter().map(|figure| figure.per_second);
        Some(Median {
            per_second: of(&|figure| figure.per_second)?,
            lowest: rates.clone().fold(f64::INFINITY, f64::min),
            highest: rates.fold(0.0, f64::max),
            p50_us: of(&|figure| figure.p50_us)?,
            p99_us: of(&|figure| figure.p99_us)?,
            p999_us: optional(&|figure| figure.p999_us),
            server_cores: optional(&|figure| figure.server_cores),
            generator_busy: optional(&|figure| figure.generator_busy),
        })
    }
}

/// The middle value, the mean of the two middle ones of an even number; `None` of nothing.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    Some(if values.len() % 2 == 1 { upper } else { f64::midpoint(values[middle - 1], upper) })
}

fn thousands(median: Option<&Median>) -> String {
    optional(median, |median| {
        let thousands = median.per_second / 1e3;
        if thousands < 100.0 { format!("{thousands:.1}") } else { format!("{thousands:.0}") }
    })
}

fn ratio_text(ratio: Option<f64>, target: Option<f64>) -> String {
    match (ratio, target) {
        (None, _) => "-".to_owned(),
        (Some(ratio), Some(target)) if ratio < target => format!("{ratio:.2} (target {target})"),
        (Some(ratio), _) => format!("{ratio:.2}"),
    }
}

fn optional<T>(value: Option<T>, show: impl Fn(T) -> String) -> String {
    value.map_or_else(|| "-".to_owned(), show)
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(contender: usize, round: usize, pipeline: usize, per_second: f64) -> Figure {
        Figure {
            source: Source::Counting,
            row: "get".to_owned(),
            pipeline,
            contender,
            round,
            per_second,
            p50_us: 10.0,
            p99_us: 20.0,
            p999_us: Some(30.0),
            server_cores: Some(2.0),
            generator_busy: Some(0.5),
        }
    }

    fn report() -> Report {
        let redis = Contender { name: "redis".to_owned(), tidegate_threads: None };
        let tidegate = Contender { name: "tidegate-2t".to_owned(), tidegate_threads: Some(2) };
        let mut figures = Vec::new();
        for (round, noise) in [1.0, 9.0, 0.9].into_iter().enumerate() {
            figures.push(figure(0, round, 16, 100_000.0 * noise));
            figures.push(figure(1, round, 16, 500_000.0 * noise));
            figures.push(figure(0, round, 1, 100_000.0));
            figures.push(figure(1, round, 1, 300_000.0));
        }
        let contenders = vec![redis, tidegate];
        Report {
            conditions: vec!["4 cores".to_owned()],
            contenders,
            baseline: 0,
            figures,
            failures: Vec::new(),
        }
    }

    #[test]
    fn medians_ratios_and_missed_targets_stand_in_the_summary() {
        let text = report().markdown("Comparison");
        assert!(text.contains("| 1 | get | 100 | 300 | 3.00 |"), "{text}");
        assert!(text.contains("| 16 | get | 100 | 500 | 5.00 (target 6) |"), "{text}");
        assert!(
            text.contains("| 16 | get | tidegate-2t | 500 | 450-4500 | 10 | 20 | 30 | 2.00 | 250 | 50 % |"),
            "{text}"
        );
    }

    #[test]
    fn the_csv_holds_every_round() {
        let text = report().csv();
        assert_eq!(text.lines().count(), 13);
        assert!(text.contains("counting,get,16,tidegate-2t,1,4500000,10.0,20.0,30.0,2.000,0.500"), "{text}");
    }

    #[test]
    fn the_chart_has_a_panel_per_depth() {
        let text = report().chart("Comparison");
        assert!(text.find("pipeline 1 ") < text.find("pipeline 16 ") && text.contains(">500 k</text>"));
    }

    #[test]
    fn medians_of_few_values() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0]), Some(2.0));
        assert_eq!(median(vec![9.0, 1.0, 2.0]), Some(2.0));
    }
}
