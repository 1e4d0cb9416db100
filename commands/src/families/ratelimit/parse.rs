//! Parameters of limiters, as calls and policies name them.

use super::OUT_OF_RANGE;
use crate::model::{Args, Error};
use tidegate_data::types::ratelimit::{BUCKETS_MAX, DURATION_MAX_MS, MS, Spec, UNITS_MAX};

/// Longest wait that can be named, in milliseconds: what a double of a client's language holds exactly.
const WAIT_MAX_MS: i64 = 1 << 53;

/// What a call says beside the parameters of its limiter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask {
    pub(super) cost: i64,
    /// How long the client would wait; 0 for any time.
    pub(super) block_ms: Option<i64>,
}

impl Default for Ask {
    fn default() -> Self {
        Ask { cost: 1, block_ms: None }
    }
}

/// A limit, a capacity or a count.
pub(super) fn units(args: &mut Args) -> Result<i64, Error> {
    let units = args.integer()?;
    if (1..=UNITS_MAX).contains(&units) { Ok(units) } else { Err(OUT_OF_RANGE) }
}

/// A window or an interval.
pub(super) fn duration_ms(args: &mut Args) -> Result<i64, Error> {
    let duration_ms = args.integer()?;
    if (1..=DURATION_MAX_MS).contains(&duration_ms) { Ok(duration_ms) } else { Err(OUT_OF_RANGE) }
}

pub(super) fn cost(args: &mut Args) -> Result<i64, Error> {
    args.between("COST", 0, UNITS_MAX)
}

pub(super) fn block_ms(args: &mut Args) -> Result<i64, Error> {
    args.between("BLOCK", 0, WAIT_MAX_MS)
}

/// Reads an option into its place; it may be given once.
fn once<T>(place: &mut Option<T>, value: T) -> Result<(), Error> {
    if place.replace(value).is_some() { Err(Error::Syntax) } else { Ok(()) }
}

fn in_range(spec: Spec) -> Result<Spec, Error> {
    if spec.is_in_range() { Ok(spec) } else { Err(OUT_OF_RANGE) }
}

/// Which algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    TokenBucket,
    Gcra,
    Fixed,
    Sliding,
    Leaky,
}

/// The tokens that may follow the parameters.
#[derive(Debug, Clone, Copy, Default)]
struct Tokens {
    cost: Option<i64>,
    block_ms: Option<i64>,
    align_ms: Option<i64>,
    buckets: Option<i64>,
    log: Option<()>,
    max_delay_ms: Option<i64>,
    block_for_ms: Option<i64>,
    shadow: Option<()>,
}

impl Tokens {
    /// Reads them in any order, to the end. A policy takes others than a call.
    #[inline]
    fn read(&mut self, args: &mut Args, algorithm: Algorithm, is_policy: bool) -> Result<(), Error> {
        if args.is_done() { Ok(()) } else { self.read_some(args, algorithm, is_policy) }
    }

    #[inline(never)]
    fn read_some(&mut self, args: &mut Args, algorithm: Algorithm, is_policy: bool) -> Result<(), Error> {
        use Algorithm::{Fixed, Gcra, Leaky, Sliding, TokenBucket};
        let tokens = self;
        let may_block = matches!(algorithm, TokenBucket | Gcra | Leaky);
        while !args.is_done() {
            if !is_policy && args.take_word("COST") {
                once(&mut tokens.cost, cost(args)?)?;
            } else if !is_policy && may_block && args.take_word("BLOCK") {
                once(&mut tokens.block_ms, block_ms(args)?)?;
            } else if algorithm == Fixed && args.take_word("ALIGN") {
                let align_ms = args.between("ALIGN", -DURATION_MAX_MS, DURATION_MAX_MS)?;
                once(&mut tokens.align_ms, align_ms)?;
            } else if algorithm == Sliding && tokens.log.is_none() && args.take_word("BUCKETS") {
                once(&mut tokens.buckets, args.between("BUCKETS", 1, BUCKETS_MAX)?)?;
            } else if algorithm == Sliding && tokens.buckets.is_none() && args.take_word("LOG") {
                once(&mut tokens.log, ())?;
            } else if algorithm == Leaky && args.take_word("MAXDELAY") {
                once(&mut tokens.max_delay_ms, args.between("MAXDELAY", 0, WAIT_MAX_MS)?)?;
            } else if is_policy && args.take_word("BLOCKFOR") {
                once(&mut tokens.block_for_ms, args.between("BLOCKFOR", 1, DURATION_MAX_MS)?)?;
            } else if is_policy && args.take_word("SHADOW") {
                once(&mut tokens.shadow, ())?;
            } else {
                return Err(Error::Syntax);
            }
        }
        Ok(())
    }
}

/// The parameters of an algorithm, then the tokens.
#[inline]
fn read(
    args: &mut Args,
    algorithm: Algorithm,
    is_policy: bool,
    log_entries_max: i64,
    tokens: &mut Tokens,
) -> Result<Spec, Error> {
    // GCRA tolerates a burst beside the one that is due.
    let least = i64::from(!matches!(algorithm, Algorithm::Gcra | Algorithm::Leaky));
    let first = args.integer()?;
    if first < least || first >= UNITS_MAX + least {
        return Err(OUT_OF_RANGE);
    }
    match algorithm {
        Algorithm::TokenBucket | Algorithm::Gcra | Algorithm::Leaky => {
            let count = units(args)?;
            let unit_ns = duration_ms(args)? * MS / count;
            tokens.read(args, algorithm, is_policy)?;
            in_range(match algorithm {
                Algorithm::Leaky => {
                    Spec::Leaky { capacity: first, unit_ns, max_delay_ms: tokens.max_delay_ms }
                }
                Algorithm::Gcra => Spec::Bucket { capacity: first + 1, unit_ns },
                _ => Spec::Bucket { capacity: first, unit_ns },
            })
        }
        Algorithm::Fixed => {
            let window_ms = duration_ms(args)?;
            tokens.read(args, algorithm, is_policy)?;
            Ok(Spec::Fixed { limit: first, window_ms, align_ms: tokens.align_ms })
        }
        Algorithm::Sliding => {
            let window_ms = duration_ms(args)?;
            tokens.read(args, algorithm, is_policy)?;
            if tokens.log.is_some() {
                if first > log_entries_max {
                    return Err(Error::new("ERR limit too large for LOG"));
                }
                return Ok(Spec::Log { limit: first, window_ms });
            }
            let buckets = tokens.buckets.unwrap_or(1);
            if buckets > 1 && window_ms % buckets != 0 {
                return Err(Error::new("ERR window must be a multiple of BUCKETS"));
            }
            Ok(Spec::Sliding { limit: first, window_ms, buckets })
        }
    }
}

/// The parameters of a call.
#[inline]
pub(super) fn call(
    args: &mut Args,
    algorithm: Algorithm,
    log_entries_max: i64,
) -> Result<(Spec, Ask), Error> {
    let mut tokens = Tokens::default();
    let mut spec = read(args, algorithm, false, log_entries_max, &mut tokens)?;
    let ask = Ask { cost: tokens.cost.unwrap_or(1), block_ms: tokens.block_ms };
    if let (Spec::Leaky { max_delay_ms, .. }, Some(block_ms @ 1..)) = (&mut spec, ask.block_ms) {
        // Who would wait so long accepts no longer delay.
        *max_delay_ms = Some(max_delay_ms.map_or(block_ms, |max_ms| max_ms.min(block_ms)));
    }
    Ok((spec, ask))
}

/// What a policy says: the parameters of its limiter, how long it blocks after a denial, and whether it only counts.
pub(super) fn policy(args: &mut Args, log_entries_max: i64) -> Result<(Spec, Option<i64>, bool), Error> {
    let algorithm = match () {
        () if args.take_word("TOKENBUCKET") => Algorithm::TokenBucket,
        () if args.take_word("GCRA") => Algorithm::Gcra,
        () if args.take_word("FIXED") => Algorithm::Fixed,
        () if args.take_word("SLIDING") => Algorithm::Sliding,
        () if args.take_word("LEAKY") => Algorithm::Leaky,
        () => return Err(Error::Syntax),
    };
    let mut tokens = Tokens::default();
    let spec = read(args, algorithm, true, log_entries_max, &mut tokens)?;
    Ok((spec, tokens.block_for_ms, tokens.shadow.is_some()))
}
