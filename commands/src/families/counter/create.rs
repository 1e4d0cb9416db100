//! `CTR.CREATE`.

use super::effect::push;
use super::{OTHER_TIERS, duration_ms, only_if_missing};
use crate::model::{Args, Command, Ctx, Effects, Error, Flag, KeySpec, Outcome, Reply, command, parse_i64};
use tidegate_data::types::counter::{BUCKETS_MAX, Counter, Effect, TIERS_MAX, Tier, Tiers};

pub(super) static CREATE: Command = command(
    "CTR.CREATE",
    "key <bucket-ms(integer) buckets(integer)> [<bucket-ms(integer) buckets(integer)>...] [NX]",
    create,
)
.about("1.0.0", "O(1)", "Creates a counter with buckets of these widths.")
.arity(-4)
.keys(KeySpec::first().rw().insert())
.flags(&[Flag::Write, Flag::DenyOom]);

fn create(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let tiers = tiers(args)?;
    let nx = only_if_missing(args)?;
    let mut write = cx.keys.write_or_create::<Counter>(key)?;
    if !write.is_new() {
        return match write.view().tiers() {
            _ if nx => {
                reply.null();
                Ok(Outcome::Same)
            }
            present if present == tiers => {
                reply.ok();
                Ok(Outcome::Same)
            }
            _ => Err(OTHER_TIERS),
        };
    }
    *write.change() = Counter::new(tiers);
    reply.ok();
    let mut effects = Effects::default();
    push(&mut effects, key.bytes(), tiers.len(), &Effect::Configure(tiers));
    Ok(Outcome::ChangedAs(effects))
}

fn tiers(args: &mut Args) -> Result<Tiers, Error> {
    let mut tiers = Vec::with_capacity(TIERS_MAX);
    // Whatever is no number behind the first tier is a word.
    while tiers.is_empty() || args.peek().is_some_and(|word| parse_i64(word).is_some()) {
        let bucket_ms = duration_ms(args)?;
        let buckets = args.integer()?;
        if tiers.len() == TIERS_MAX {
            return Err(Error::Syntax);
        }
        if !(1..=BUCKETS_MAX).contains(&buckets) {
            return Err(Error::text(format!("ERR buckets must be between 1 and {BUCKETS_MAX}")));
        }
        tiers.push(Tier { bucket_ms, buckets });
    }
    Tiers::new(&tiers)
        .map_err(|_| Error::new("ERR invalid tiers: each bucket must be a multiple of the one before"))
}
