//! `TOPK.RESERVE`.

use crate::families::sketch::{number_in, store, wrong_arity};
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command, parse_double};
use tidegate_data::types::topk::{Settings, TopK};

pub(super) static TOPK_RESERVE: Command =
    command("TOPK.RESERVE", "key topk [<params: width depth decay>]", topk_reserve)
        .about("1.0.0", "O(K)", "Creates an empty list of the K most frequent elements.")
        .arity(-3)
        .keys(KeySpec::first().ow().insert())
        .flags(&[Flag::Write, Flag::DenyOom, Flag::Fast]);

const TOO_LARGE: Error = Error::new("TopK: Insufficient memory to create topk data structure");

/// What is taken where nothing is said.
const DEFAULT: Settings = Settings { k: 0, width: 8, depth: 7, decay: 0.9 };

fn topk_reserve(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    if !matches!(args.remaining(), 1 | 4) {
        return Err(wrong_arity("topk.reserve"));
    }
    if cx.keys.for_write(key).is_some() {
        return Err(Error::new("TopK: key already exists"));
    }
    let mut settings = DEFAULT;
    settings.k = number_in(args, 1..=u32::MAX.into(), "TopK: invalid k")? as u64;
    if !args.is_done() {
        settings.width = number_in(args, 1..=u32::MAX.into(), "TopK: invalid width")? as u64;
        settings.depth = number_in(args, 1..=u32::MAX.into(), "TopK: invalid depth")? as u64;
        let decay = parse_double(args.next()?).filter(|decay| *decay > 0.0 && *decay <= 1.0);
        settings.decay = decay.ok_or(Error::new("TopK: invalid decay value. must be '<= 1' & '> 0'"))?;
    }
    store(cx, key, |room| TopK::new(&settings, room), TOO_LARGE)?;
    reply.ok();
    Ok(Outcome::Changed)
}

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, check, check_effects, check_events};

    #[test]
    fn topk_reserve() {
        check(&["TOPK.RESERVE t 3"], "+OK");
        check(&["TOPK.RESERVE t 3", "TOPK.INFO t"], "*8 +k :3 +width :8 +depth :7 +decay $3 0.9");
        check(&["TOPK.RESERVE t 5 100 4 0.5", "TOPK.INFO t"], "*8 +k :5 +width :100 +depth :4 +decay $3 0.5");
        check(&["TOPK.RESERVE t 3", "TOPK.RESERVE t 3"], "-TopK: key already exists");
        check(&["SET t x", "TOPK.RESERVE t 3"], "-TopK: key already exists");
        check(&["TOPK.RESERVE t 3 8"], "-ERR wrong number of arguments for 'topk.reserve' command");
        check(&["TOPK.RESERVE t 3 8 7 0.9 1"], "-ERR wrong number of arguments for 'topk.reserve' command");
        for number in ["0", "-1", "x", "4294967296"] {
            check(&[&format!("TOPK.RESERVE t {number}")], "-TopK: invalid k");
            check(&[&format!("TOPK.RESERVE t 3 {number} 7 0.9")], "-TopK: invalid width");
            check(&[&format!("TOPK.RESERVE t 3 8 {number} 0.9")], "-TopK: invalid depth");
        }
        for decay in ["0", "-1", "x", "1.1"] {
            let error = "-TopK: invalid decay value. must be '<= 1' & '> 0'";
            check(&[&format!("TOPK.RESERVE t 3 8 7 {decay}")], error);
        }
        for line in ["4294967295", "3 4294967295 4294967295 0.9", "3 4294967295 1 0.9", "3 8 4294967295 0.9"]
        {
            let error = "-TopK: Insufficient memory to create topk data structure";
            check(&[&format!("TOPK.RESERVE t {line}")], error);
        }
        check_effects(&["TOPK.RESERVE t 3"], &["TOPK.RESERVE t 3"]);
        check_events(&["TOPK.RESERVE t 3"], &["new t"]);
        let mut bench = Bench::default();
        bench.limits.memory_left = 3000;
        let no_room = "-OOM command not allowed when used memory > 'maxmemory'.";
        assert_eq!(bench.run("TOPK.RESERVE t 1000").text(), no_room);
    }
}
