//! `HOTKEYS` of Redis 8.6: which keys take most of the processor's time, and of the network's bytes.

use super::help::help;
use super::{Control, ControlCtx, Flow, control};
use crate::clock::unix_ms;
use crate::shared::HotWanted;
use crate::usage::{Whose, cpu_time};
use tidegate_commands::model::{
    Acl, Args, Command, Error, Family, Flag, Protocol, Reply, container, family, parse_i64,
};

pub(super) static FAMILY: Family<Control> = family("server", Acl::NONE, &[&HOTKEYS]);

static HOTKEYS: Command<Control> = container("HOTKEYS", &[&GET, &HELP, &RESET, &START, &STOP]).about(
    "8.6.0",
    "Depends on subcommand.",
    "A container of commands that find hot keys.",
);

const FLAGS: &[Flag] = &[Flag::Admin, Flag::Noscript];
/// Keys that are told of if nobody says how many, and most that may be wanted.
const COUNT_DEFAULT: usize = 10;
const COUNT_MAX: i64 = 64;

static START: Command<Control> = control(
    "START",
    "<metrics: METRICS count(integer) [cpu: CPU] [net: NET]> [COUNT k(integer)] [DURATION seconds(integer)] \
     [SAMPLE ratio(integer)] [<slots: SLOTS count(integer) slot(integer) [slot ...]>]",
    start,
)
.about("8.6.0", "O(1)", "Begins to look for hot keys.")
.arity(-2)
.flags(FLAGS);

fn start(cx: &mut ControlCtx, args: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    let mut wanted = HotWanted { cpu: false, net: false, count: COUNT_DEFAULT, duration_ms: 0, sample: 1 };
    let mut metrics = None;
    while !args.is_done() {
        let option = args.next()?;
        let is = |name: &str| option.eq_ignore_ascii_case(name.as_bytes());
        if is("cpu") && metrics.is_some() {
            wanted.cpu = true;
            continue;
        }
        if is("net") && metrics.is_some() {
            wanted.net = true;
            continue;
        }
        if is("slots") {
            return Err(Error::new("ERR SLOTS parameter cannot be used in non-cluster mode"));
        }
        let known = ["metrics", "count", "duration", "sample"].into_iter().any(is);
        if !known || args.is_done() {
            return Err(Error::Syntax);
        }
        let number = parse_i64(args.next()?).ok_or(Error::NotInteger)?;
        match number {
            1..=2 if is("metrics") => metrics = Some(number),
            1..=COUNT_MAX if is("count") => wanted.count = number as usize,
            0..=1_000_000_000 if is("duration") => wanted.duration_ms = number * 1000,
            1..=1_000_000_000 if is("sample") => wanted.sample = number as u64,
            _ if is("metrics") => return Err(Error::new("ERR METRICS count must be 1 or 2")),
            _ if is("count") => return Err(Error::new("ERR COUNT must be between 1 and 64")),
            _ if is("duration") => return Err(Error::new("ERR DURATION must not be negative")),
            _ => return Err(Error::new("ERR SAMPLE ratio must be positive")),
        }
    }
    let Some(metrics) = metrics else { return Err(Error::new("ERR METRICS parameter is required")) };
    if metrics != i64::from(wanted.cpu) + i64::from(wanted.net) {
        return Err(Error::new("ERR METRICS count does not match number of metric types provided"));
    }
    if !cx.shared().hotkeys.start(wanted, unix_ms(), process_ms()) {
        return Err(Error::new("ERR hotkeys tracking session already in progress"));
    }
    reply.ok();
    Ok(Flow::Done)
}

static STOP: Command<Control> = control("STOP", "", |cx, _, reply| {
    if cx.shared().hotkeys.stop(unix_ms(), process_ms()) {
        reply.ok();
    } else {
        reply.null();
    }
    Ok(Flow::Done)
})
.about("8.6.0", "O(1)", "Ends looking for hot keys, and keeps what was found.")
.arity(2)
.flags(FLAGS);

static RESET: Command<Control> = control("RESET", "", |cx, _, reply| {
    if !cx.shared().hotkeys.reset(unix_ms()) {
        return Err(Error::new("ERR hotkeys tracking session in progress, stop tracking first"));
    }
    reply.ok();
    Ok(Flow::Done)
})
.about("8.6.0", "O(1)", "Forgets what was found about hot keys.")
.arity(2)
.flags(FLAGS);

/// What the process has used of the processor, in user mode and in the kernel, in milliseconds.
fn process_ms() -> (i64, i64) {
    let used = cpu_time(Whose::Process);
    ((used.user_us / 1000) as i64, (used.system_us / 1000) as i64)
}

static GET: Command<Control> = control("GET", "", get)
    .about(
        "8.6.0",
        "O(K) where K is the number of hotkeys returned.",
        "Returns what was found about hot keys.",
    )
    .arity(2)
    .flags(FLAGS);

fn get(cx: &mut ControlCtx, _: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    let Some(report) = cx.shared().hotkeys.report(unix_ms(), process_ms()) else {
        reply.null();
        return Ok(Flow::Done);
    };
    if cx.session.protocol == Protocol::Resp3 {
        reply.array(1);
    }
    let (cpu, net) = (report.wanted.cpu, report.wanted.net);
    reply.map(7 + 3 * usize::from(cpu) + 2 * usize::from(net));
    let mut field = |name: &str, value: i64| {
        reply.bulk(name.as_bytes());
        reply.integer(value);
    };
    field("tracking-active", i64::from(report.is_active));
    field("sample-ratio", report.wanted.sample as i64);
    field("all-commands-all-slots-us", report.micros as i64);
    field("net-bytes-all-commands-all-slots", report.bytes as i64);
    field("collection-start-time-unix-ms", report.began_ms);
    field("collection-duration-ms", report.took_ms);
    if cpu {
        field("total-cpu-time-user-ms", report.process_ms.0);
        field("total-cpu-time-sys-ms", report.process_ms.1);
    }
    if net {
        field("total-net-bytes", report.bytes as i64);
    }
    reply.bulk(b"selected-slots");
    reply.array(0);
    for (is_wanted, name, keys) in
        [(cpu, "by-cpu-time-us", &report.by_cpu), (net, "by-net-bytes", &report.by_net)]
    {
        if is_wanted {
            reply.bulk(name.as_bytes());
            reply.array(2 * keys.len());
            for (key, amount) in keys {
                reply.bulk(key);
                reply.integer(*amount as i64);
            }
        }
    }
    Ok(Flow::Done)
}

static HELP: Command<Control> = control("HELP", "", |_, _, reply| {
    help(
        reply,
        "HOTKEYS",
        &[
            "GET",
            "    What was found.",
            "RESET",
            "    Forget what was found.",
            "START METRICS <count> [CPU] [NET] [COUNT <k>] [DURATION <seconds>] [SAMPLE <ratio>]",
            "    Begin to look for the <k> keys (default: 10) that take most of the processor's",
            "    time or of the network's bytes, for <seconds>, at one command in <ratio>.",
            "STOP",
            "    End looking, and keep what was found.",
        ],
    );
    Ok(Flow::Done)
})
.about("8.6.0", "O(1)", "Lists the subcommands.")
.arity(2)
.flags(&[Flag::Loading, Flag::Stale]);
