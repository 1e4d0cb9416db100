//! `SEQ.SET`, `SEQ.GET`.

use super::{calendar, effect};
use crate::families::counter::duration_ms;
use crate::model::{Args, Command, Ctx, Effects, Error, Flag, KeySpec, Outcome, Reply, command};
use tidegate_data::types::sequence::{Calendar, Effect, Period, Sequence};

pub(super) static SET: Command = command(
    "SEQ.SET",
    "key [VALUE value(integer)] [START number(integer)] [STEP number(integer)] [MAX number(integer)] [CYCLE] \
     [PERIOD <period: DAY|MONTH|YEAR zone>] [RETAIN milliseconds]",
    set,
)
.about(
    "1.0.0",
    "O(1)",
    "Sets how a sequence goes on, and after which number. Creates the sequence if it does not exist.",
)
.arity(-2)
.keys(KeySpec::first().rw().update())
.flags(&[Flag::Write, Flag::DenyOom]);

/// What is to be set.
#[derive(Debug, Default)]
struct Wanted {
    value: Option<i64>,
    start: Option<i64>,
    step: Option<i64>,
    max: Option<i64>,
    cycle: bool,
    calendar: Option<Calendar>,
    retain_ms: Option<i64>,
}

impl Wanted {
    fn parse(args: &mut Args) -> Result<Self, Error> {
        let mut wanted = Wanted::default();
        while !args.is_done() {
            if wanted.value.is_none() && args.take_word("VALUE") {
                wanted.value = Some(args.integer()?);
            } else if wanted.start.is_none() && args.take_word("START") {
                wanted.start = Some(args.integer()?);
            } else if wanted.step.is_none() && args.take_word("STEP") {
                wanted.step = Some(args.integer()?);
            } else if wanted.max.is_none() && args.take_word("MAX") {
                wanted.max = Some(args.integer()?);
            } else if !wanted.cycle && args.take_word("CYCLE") {
                wanted.cycle = true;
            } else if wanted.calendar.is_none() && args.take_word("PERIOD") {
                let period = Period::of_name(args.next()?).ok_or(Error::Syntax)?;
                wanted.calendar = Some(calendar::calendar(period, args.next()?)?);
            } else if wanted.retain_ms.is_none() && args.take_word("RETAIN") {
                wanted.retain_ms = Some(duration_ms(args)?);
            } else {
                return Err(Error::Syntax);
            }
        }
        if wanted.step == Some(0) {
            return Err(Error::new("ERR STEP must not be 0"));
        }
        Ok(wanted)
    }
}

fn set(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let wanted = Wanted::parse(args)?;
    let now_ms = cx.env.native_ms();
    let mut write = cx.keys.write_or_create::<Sequence>(key)?;
    let sequence = write.view();
    let mut settings = sequence.settings().clone();
    settings.start = wanted.start.unwrap_or(settings.start);
    settings.step = wanted.step.unwrap_or(settings.step);
    settings.max = wanted.max.unwrap_or(settings.max);
    settings.cycle |= wanted.cycle;
    settings.retain_ms = wanted.retain_ms.unwrap_or(settings.retain_ms);
    let sets_place = wanted.value.is_some() || wanted.calendar.is_some();
    settings.calendar = wanted.calendar.or(settings.calendar);
    let mut changes = Vec::new();
    // A number that is set, or given out before there were periods, belongs to the present one.
    let value = wanted.value.or(sequence.value());
    if sets_place && value.is_some() {
        let period_ms = match &settings.calendar {
            Some(calendar) => Some(calendar::period_start_ms(calendar, now_ms)?),
            None => None,
        };
        changes.push(Effect::Next { value, period_ms, named: None });
    }
    if write.is_new() || *sequence.settings() != settings {
        changes.insert(0, Effect::Configure(settings));
    }
    reply.ok();
    if changes.is_empty() {
        return Ok(Outcome::Same);
    }
    let mut effects = Effects::default();
    for change in changes {
        write.change().apply(&change);
        effect::push(&mut effects, key.bytes(), &change);
    }
    Ok(Outcome::ChangedAs(effects))
}

pub(super) static GET: Command = command("SEQ.GET", "key", get)
    .about(
        "1.0.0",
        "O(1), and O(N) in the number of requests whose time is over but which are not forgotten yet.",
        "Tells how a sequence goes on.",
    )
    .arity(2)
    .keys(KeySpec::first().ro().access())
    .flags(&[Flag::Readonly, Flag::Fast]);

fn get(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let now_ms = cx.env.native_ms();
    let Some(sequence) = cx.keys.read_as::<Sequence>(key)? else {
        reply.null();
        return Ok(Outcome::Same);
    };
    let settings = sequence.settings();
    reply.map(8);
    let numbers = [
        ("value", sequence.before_next()),
        ("start", settings.start),
        ("step", settings.step),
        ("max", settings.max),
    ];
    for (name, number) in numbers {
        reply.bulk(name.as_bytes());
        reply.integer(number);
    }
    reply.bulk(b"cycle");
    reply.boolean(settings.cycle);
    reply.bulk(b"period");
    let period =
        settings.calendar.as_ref().map(|Calendar { period, zone }| format!("{} {zone}", period.name()));
    reply.bulk(period.unwrap_or_default().as_bytes());
    for (name, number) in [("retain", settings.retain_ms), ("remembered", sequence.remembered(now_ms) as i64)]
    {
        reply.bulk(name.as_bytes());
        reply.integer(number);
    }
    Ok(Outcome::Same)
}
