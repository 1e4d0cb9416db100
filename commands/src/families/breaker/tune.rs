//! `CB.SET`, `CB.FORCE`.

use super::store::{self, Told};
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command};
use tidegate_data::types::breaker::{Breaker, Change, Force, OPTIONS, Settings};

pub(super) static SET: Command = command(
    "CB.SET",
    "key [WINDOW milliseconds] [MINCALLS calls(integer)] [FAILRATE percent(integer)] [SLOWRATE percent(integer)] \
     [OPENFOR milliseconds] [MAXOPEN milliseconds] [PROBES probes(integer)] [CONSECUTIVE failures(integer)]",
    set,
)
.about("1.0.0", "O(1)", "Sets when a breaker opens. Creates the breaker if it does not exist; it stays for good.")
.arity(-2)
.keys(KeySpec::first().rw().update())
.flags(&[Flag::Write, Flag::DenyOom]);

fn set(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let mut wanted = [None; OPTIONS.len()];
    while !args.is_done() {
        let at = OPTIONS.iter().position(|option| args.take_word(option.name)).ok_or(Error::Syntax)?;
        if wanted[at].is_some() {
            return Err(Error::Syntax);
        }
        let number = args.integer()?;
        let option = &OPTIONS[at];
        if !(option.min..=option.max).contains(&number) {
            let (name, min, max) = (option.name, option.min, option.max);
            return Err(Error::text(format!("ERR {name} must be between {min} and {max}")));
        }
        wanted[at] = Some(number);
    }
    let told = Told::of(cx);
    let mut write = cx.keys.write_or_create::<Breaker>(key)?;
    let stayed = write.view().stays();
    let mut numbers = write.view().settings().numbers();
    for (number, wanted) in numbers.iter_mut().zip(wanted) {
        *number = wanted.unwrap_or(*number);
    }
    let settings = Settings::of_numbers(numbers).ok_or(Error::Syntax)?;
    reply.ok();
    if !write.change_untold().configure(settings) {
        return Ok(Outcome::Same);
    }
    write.touch();
    let end = store::note(write, Change::Counted, !stayed, told.at_once());
    Ok(store::finish(cx, key, end))
}

pub(super) static FORCE: Command = command("CB.FORCE", "key <state: OPEN|CLOSED|AUTO>", force)
    .about("1.0.0", "O(1)", "Has a breaker open or closed whatever happens, or decide for itself again.")
    .arity(3)
    .keys(KeySpec::first().rw().update())
    .flags(&[Flag::Write]);

fn force(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let force = [("OPEN", Force::Open), ("CLOSED", Force::Closed), ("AUTO", Force::Auto)]
        .into_iter()
        .find_map(|(word, force)| args.take_word(word).then_some(force))
        .ok_or(Error::Syntax)?;
    let told = Told::of(cx);
    let mut write = cx.keys.write_or_create::<Breaker>(key)?;
    let stayed = write.view().stays();
    let change = write.change_untold().set_force(force);
    reply.bulk(write.view().shown().name().as_bytes());
    if change != Change::Nothing {
        write.touch();
    }
    let begins_to_stay = !stayed && write.view().stays();
    let end = store::note(write, change, begins_to_stay, told.at_once());
    Ok(store::finish(cx, key, end))
}
