//! `LATENCY`: spikes the latency monitor saw, and how long commands take.

mod doctor;
mod graph;
mod histogram;

use super::help::help;
use super::{Control, ControlCtx, Flow, control};
use std::collections::VecDeque;
use tidegate_commands::model::{Acl, Args, Command, Error, Family, Flag, Reply, container, family};

pub(super) static FAMILY: Family<Control> = family("server", Acl::NONE, &[&LATENCY]);

static LATENCY: Command<Control> = container(
    "LATENCY",
    &[&DOCTOR, &GRAPH, &HELP, &HISTOGRAM, &HISTORY, &LATEST, &RESET],
)
.about("2.8.13", "Depends on subcommand.", "A container of commands about how long things take.");

/// Tips of the subcommands that report.
const REPORT: &[&str] = &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"];

const fn sub(name: &'static str, syntax: &'static str, handler: Control) -> Command<Control> {
    control(name, syntax, handler).flags(&[Flag::Admin, Flag::Noscript, Flag::Loading, Flag::Stale])
}

static LATEST: Command<Control> = sub("LATEST", "", |cx, _, reply| {
    let all = cx.shared().latency.all();
    reply.array(all.len());
    for (event, series) in &all {
        let (time_s, ms) = series.samples.back().copied().unwrap_or_default();
        reply.array(4);
        reply.bulk(event.as_bytes());
        reply.integer(time_s);
        reply.integer(ms);
        reply.integer(series.max_ms);
    }
    Ok(Flow::Done)
})
.about("2.8.13", "O(1)", "Returns the latest spike of every event.")
.arity(2)
.tips(REPORT);

static HISTORY: Command<Control> = sub("HISTORY", "event", history)
    .about("2.8.13", "O(1)", "Returns the spikes of an event.")
    .arity(3)
    .tips(REPORT);

fn history(cx: &mut ControlCtx, args: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    let event = args.next()?;
    let all = cx.shared().latency.all();
    let series = all.iter().find(|(name, _)| name.as_bytes() == event);
    let samples = series.map(|(_, series)| &series.samples);
    reply.array(samples.map_or(0, VecDeque::len));
    for (time_s, ms) in samples.into_iter().flatten() {
        reply.array(2);
        reply.integer(*time_s);
        reply.integer(*ms);
    }
    Ok(Flow::Done)
}

static RESET: Command<Control> = sub("RESET", "[event [event ...]]", |cx, args, reply| {
    let events: Vec<&[u8]> = args.rest().collect();
    let is_wanted = |event: &str| {
        events.is_empty() || events.iter().any(|name| name.eq_ignore_ascii_case(event.as_bytes()))
    };
    reply.integer(cx.shared().latency.reset(is_wanted) as i64);
    Ok(Flow::Done)
})
.about("2.8.13", "O(1)", "Forgets the spikes of some events, or of all.")
.arity(-2)
.tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]);

static GRAPH: Command<Control> = sub("GRAPH", "event", |cx, args, reply| {
    let event = args.next()?;
    let all = cx.shared().latency.all();
    let Some((name, series)) = all.iter().find(|(name, _)| name.as_bytes() == event) else {
        let mut text = b"ERR No samples available for event '".to_vec();
        text.extend_from_slice(event);
        text.push(b'\'');
        return Err(Error::text(text));
    };
    reply.verbatim("txt", graph::draw(name, series, cx.now_ms() / 1000).as_bytes());
    Ok(Flow::Done)
})
.about("2.8.13", "O(1)", "Draws the spikes of an event.")
.arity(3)
.tips(REPORT);

static DOCTOR: Command<Control> = sub("DOCTOR", "", |cx, _, reply| {
    reply.verbatim("txt", doctor::report(cx.shared(), cx.now_ms() / 1000).as_bytes());
    Ok(Flow::Done)
})
.about("2.8.13", "O(1)", "Returns a report for humans about the spikes, with advice.")
.arity(2)
.tips(REPORT);

static HISTOGRAM: Command<Control> = sub("HISTOGRAM", "[command [command ...]]", histogram::histogram)
    .about(
        "7.0.0",
        "O(N) where N is the number of commands with latency information being retrieved.",
        "Returns how the durations of commands are distributed.",
    )
    .arity(-2)
    .tips(REPORT);

static HELP: Command<Control> = control("HELP", "", |_, _, reply| {
    help(
        reply,
        "LATENCY",
        &[
            "DOCTOR",
            "    A report for humans about the spikes, with advice.",
            "GRAPH <event>",
            "    A drawing of the spikes of <event>.",
            "HISTORY <event>",
            "    Time and duration of the spikes of <event>.",
            "LATEST",
            "    The latest spike of every event.",
            "RESET [<event> ...]",
            "    Forget the spikes of some events (default: of all).",
            "HISTOGRAM [<command> ...]",
            "    How the durations of some commands are distributed (default: of all).",
        ],
    );
    Ok(Flow::Done)
})
.about("2.8.13", "O(1)", "Lists the subcommands.")
.arity(2)
.flags(&[Flag::Loading, Flag::Stale]);
