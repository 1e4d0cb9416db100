//! Bar charts as SVG: one panel per pipeline depth, one group per request, one bar per server, each bar labelled.

use std::fmt::Write as _;

/// A panel with a scale of its own.
pub struct Panel {
    pub title: String,
    pub groups: Vec<Group>,
}

/// Bars that are compared with each other.
pub struct Group {
    pub label: String,
    /// One per series, in the order of the legend; `None` leaves the bar out.
    pub values: Vec<Option<f64>>,
}

const COLOURS: [&str; 6] = ["#8c8c8c", "#1f77b4", "#73b3e0", "#d9822b", "#7b5ea7", "#3a923a"];
const WIDTH: f64 = 900.0;
const LEFT: f64 = 110.0;
const RIGHT: f64 = 150.0;
const BAR: f64 = 15.0;
const GROUP_GAP: f64 = 11.0;
const PANEL_HEAD: f64 = 44.0;
const HEAD: f64 = 86.0;

/// The chart as an SVG document. `series` names the bars, `label` writes a value.
pub fn svg(title: &str, series: &[String], panels: &[Panel], label: impl Fn(f64) -> String) -> String {
    let group_height = series.len() as f64 * BAR + GROUP_GAP;
    let height = HEAD
        + panels.iter().map(|panel| PANEL_HEAD + panel.groups.len() as f64 * group_height).sum::<f64>()
        + GROUP_GAP;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    text(&mut out, 16.0, 28.0, "font-size=\"17\" font-weight=\"bold\"", title);
    legend(&mut out, series);
    let mut top = HEAD;
    for panel in panels {
        text(&mut out, 16.0, top + 24.0, "font-size=\"14\" font-weight=\"bold\"", &panel.title);
        top += PANEL_HEAD;
        let longest =
            panel.groups.iter().flat_map(|group| &group.values).flatten().copied().fold(0.0, f64::max);
        for group in &panel.groups {
            bars(&mut out, top, group, longest, &label);
            top += group_height;
        }
    }
    out.push_str("</svg>\n");
    out
}

fn legend(out: &mut String, series: &[String]) {
    let mut left = 16.0;
    for (index, name) in series.iter().enumerate() {
        rectangle(out, left, 48.0, 14.0, 14.0, colour(index));
        text(out, left + 20.0, 60.0, "", name);
        left += 44.0 + name.chars().count() as f64 * 7.5;
    }
}

fn bars(out: &mut String, top: f64, group: &Group, longest: f64, label: impl Fn(f64) -> String) {
    let middle = top + group.values.len() as f64 * BAR / 2.0 + 4.0;
    text(out, LEFT - 10.0, middle, "text-anchor=\"end\"", &group.label);
    for (index, value) in group.values.iter().enumerate() {
        let bar_top = top + index as f64 * BAR;
        let Some(value) = value else {
            text(out, LEFT + 5.0, bar_top + 11.0, "font-size=\"11\" fill=\"#aa0000\"", "no figure");
            continue;
        };
        let length = if longest > 0.0 { value / longest * (WIDTH - LEFT - RIGHT) } else { 0.0 };
        rectangle(out, LEFT, bar_top, length.max(1.0), BAR - 2.0, colour(index));
        text(out, LEFT + length + 5.0, bar_top + 11.0, "font-size=\"11\"", &label(*value));
    }
}

fn colour(index: usize) -> &'static str {
    COLOURS[index % COLOURS.len()]
}

fn rectangle(out: &mut String, left: f64, top: f64, width: f64, height: f64, fill: &str) {
    let line = format!(
        "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{fill}\"/>\n"
    );
    out.push_str(&line);
}

fn text(out: &mut String, left: f64, baseline: f64, attributes: &str, content: &str) {
    let content = content.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    writeln!(out, "<text x=\"{left:.1}\" y=\"{baseline:.1}\" {attributes}>{content}</text>")
        .expect("a String takes every write");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_bar_fills_the_panel_and_others_are_in_proportion() {
        let panel = Panel {
            title: "pipeline 1 & <more>".to_owned(),
            groups: vec![Group { label: "get".to_owned(), values: vec![Some(50.0), Some(200.0), None] }],
        };
        let series = ["a", "b", "c"].map(str::to_owned);
        let drawn = svg("t", &series, &[panel], |value| format!("{value:.0} k"));
        let full = WIDTH - LEFT - RIGHT;
        assert!(
            drawn.contains(&format!("width=\"{full:.1}\""))
                && drawn.contains(&format!("width=\"{:.1}\"", full / 4.0))
        );
        assert!(drawn.contains(">200 k</text>") && drawn.contains(">no figure</text>"));
        assert!(drawn.contains("pipeline 1 &amp; &lt;more&gt;"));
    }
}
