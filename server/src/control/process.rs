//! The process: when it is, what it is, and its end.

use super::help::help;
use super::{Control, ControlCtx, Flow, control};
use crate::config::choices;
use crate::dataset;
use crate::shared::Shared;
use crate::snapshot::Kind;
use crate::version::REDIS_VERSION;
use std::time::Duration;
use tidegate_commands::model::{Acl, Args, Command, Error, Flag, Reply, Rng, container};
use tidegate_persistence::rdb::SaveError;

pub(super) static SHUTDOWN: Command<Control> = control(
    "SHUTDOWN",
    "[NOSAVE|SAVE] [NOW]@7.0.0 [FORCE]@7.0.0 [ABORT]@7.0.0",
    shutdown,
)
.about(
    "1.0.0",
    "O(N) when saving, where N is the total number of keys in all databases when saving data, otherwise O(1)",
    "Stops the server.",
)
.arity(-1)
.flags(&[Flag::Admin, Flag::Noscript, Flag::Loading, Flag::Stale, Flag::NoMulti, Flag::AllowBusy])
.history(&[("7.0.0", "Added the `NOW`, `FORCE` and `ABORT` modifiers.")]);

/// How long the end waits for a snapshot that was called off.
const SNAPSHOT_PATIENCE: Duration = Duration::from_millis(500);

/// What `SHUTDOWN` is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// Call off a shutdown that waits.
    Abort,
    /// Stop; `force` even where saving fails.
    Stop { save: Save, force: bool },
}

/// Whether the data set is saved before the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Save {
    /// Where there are save points.
    IfConfigured,
    /// In any case.
    Yes,
    /// In no case.
    No,
}

impl Save {
    /// What the words of `shutdown-on-sigterm` say: whether to save, and whether to stop even if that fails.
    pub fn on_signal(words: i64) -> (Self, bool) {
        let save = match () {
            () if words & choices::SHUTDOWN_SAVE != 0 => Save::Yes,
            () if words & choices::SHUTDOWN_NOSAVE != 0 => Save::No,
            () => Save::IfConfigured,
        };
        (save, words & choices::SHUTDOWN_FORCE != 0)
    }
}

impl Wish {
    fn parse(args: &mut Args) -> Result<Self, Error> {
        let [mut save, mut nosave, mut now, mut force, mut abort] = [false; 5];
        while !args.is_done() {
            let word = if args.take_word("NOSAVE") {
                &mut nosave
            } else if args.take_word("SAVE") {
                &mut save
            } else if args.take_word("NOW") {
                &mut now
            } else if args.take_word("FORCE") {
                &mut force
            } else if args.take_word("ABORT") {
                &mut abort
            } else {
                return Err(Error::Syntax);
            };
            *word = true;
        }
        match abort {
            true if save || nosave || now || force => Err(Error::Syntax),
            true => Ok(Wish::Abort),
            false if save && nosave => Err(Error::Syntax),
            false if save => Ok(Wish::Stop { save: Save::Yes, force }),
            false if nosave => Ok(Wish::Stop { save: Save::No, force }),
            false => Ok(Wish::Stop { save: Save::IfConfigured, force }),
        }
    }
}

fn shutdown(cx: &mut ControlCtx, args: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    match Wish::parse(args)? {
        Wish::Abort if cx.shared().shutdown.abort().is_some() => {
            tracing::info!("Shutdown manually aborted.");
            reply.ok();
            Ok(Flow::Done)
        }
        Wish::Abort => Err(Error::new("ERR No shutdown in progress.")),
        Wish::Stop { save, force } => match shut_down(cx.shared(), save, force) {
            Ok(()) => Ok(Flow::Close),
            Err(_) => Err(Error::new("ERR Errors trying to SHUTDOWN. Check logs.")),
        },
    }
}

/// Asks all threads to stop; the process ends when they have. Saves the data set first, if that is wished or there are
/// save points. If that fails nothing stops, unless `force`.
///
/// After saving, no shard is released any more: what somebody would change then would be lost, though acknowledged.
pub(super) fn shut_down(shared: &Shared, save: Save, force: bool) -> Result<(), SaveError> {
    // What is half loaded must not take the place of the whole.
    let save = if shared.loading.is_on() { Save::No } else { save };
    tracing::warn!("User requested shutdown...");
    if shared.snapshots.cancel(Kind::Save) {
        tracing::warn!("There is a child saving an .rdb. Killing it!");
        // It removes its file itself; if it takes too long, that is done for it.
        shared.snapshots.wait_idle(SNAPSHOT_PATIENCE);
        shared.snapshots.remove_temporary(shared);
    }
    if save == Save::Yes || save == Save::IfConfigured && !shared.config.save_points().is_empty() {
        tracing::info!("Saving the final RDB snapshot before exiting.");
        shared.shutdown.set_saving(true);
        let mut hold = shared.shards.hold_all();
        hold.each(|shard, data| {
            crate::native::soft::flush(shared, shard, data);
        });
        let saved = dataset::save(shared, &mut hold);
        shared.shutdown.set_saving(false);
        match saved {
            Ok(()) => {
                shared.shutdown.seal();
                std::mem::forget(hold);
            }
            Err(_) if force => tracing::warn!("Error trying to save the DB. Exit anyway."),
            Err(error) => {
                tracing::warn!("Error trying to save the DB, can't exit.");
                return Err(error);
            }
        }
    }
    shared.shutdown.request();
    Ok(())
}

pub(super) static TIME: Command<Control> = control("TIME", "", time)
    .about("2.6.0", "O(1)", "Answers the time: Unix seconds and microseconds.")
    .arity(1)
    .flags(&[Flag::Loading, Flag::Stale, Flag::Fast])
    .tips(&["nondeterministic_output"]);

fn time(_: &mut ControlCtx, _: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    let us = crate::clock::unix_us();
    reply.array(2);
    reply.bulk_integer(us / 1_000_000);
    reply.bulk_integer(us % 1_000_000);
    Ok(Flow::Done)
}

pub(super) static ROLE: Command<Control> = control("ROLE", "", role)
    .about("2.8.12", "O(1)", "Answers the role in replication.")
    .arity(1)
    .flags(&[Flag::Noscript, Flag::Loading, Flag::Stale, Flag::Fast])
    .acl(Acl::ADMIN.with(Acl::DANGEROUS));

fn role(_: &mut ControlCtx, _: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    reply.array(3);
    reply.bulk(b"master");
    reply.integer(0);
    reply.array(0);
    Ok(Flow::Done)
}

pub(super) static MODULE: Command<Control> = container("MODULE", &[&MODULE_HELP, &MODULE_LIST]).about(
    "4.0.0",
    "Depends on subcommand.",
    "Tells about modules.",
);

static MODULE_LIST: Command<Control> = control("LIST", "", |_, _, reply| {
    // There are none: what modules do for Redis is built in.
    reply.array(0);
    Ok(Flow::Done)
})
.about("4.0.0", "O(N) where N is the number of loaded modules.", "Lists the loaded modules.")
.arity(2)
.flags(&[Flag::Admin, Flag::Noscript])
.tips(&["nondeterministic_output_order"]);

static MODULE_HELP: Command<Control> = control("HELP", "", |_, _, reply| {
    help(reply, "MODULE", &["LIST", "    Lists the loaded modules: none, ever."]);
    Ok(Flow::Done)
})
.about("5.0.0", "O(1)", "Lists the subcommands.")
.arity(2)
.flags(&[Flag::Loading, Flag::Stale]);

pub(super) static LOLWUT: Command<Control> = control("LOLWUT", "[VERSION version]", lolwut)
    .about("5.0.0", "", "Draws a picture, and tells the version.")
    .arity(-1)
    .flags(&[Flag::Readonly, Flag::Fast]);

fn lolwut(cx: &mut ControlCtx, args: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    if args.remaining() >= 2 && args.take_word("VERSION") {
        args.integer()?;
    }
    let mut picture = tide(cx.worker.exec.rng());
    picture.push_str("Redis ver. ");
    picture.push_str(REDIS_VERSION);
    picture.push('\n');
    reply.verbatim("txt", picture.as_bytes());
    Ok(Flow::Done)
}

/// The sea behind a gate: waves of random length and phase, lower where the gate holds them back.
fn tide(rng: &mut Rng) -> String {
    const WIDTH: usize = 64;
    const HEIGHT: usize = 8;
    let waves: [(f64, f64); 3] =
        std::array::from_fn(|_| (0.1 + rng.below(30) as f64 / 100.0, rng.below(628) as f64 / 100.0));
    let gate = WIDTH / 3 + rng.below(WIDTH as u64 / 3) as usize;
    let mut picture = String::new();
    for row in 0..HEIGHT {
        for column in 0..WIDTH {
            let swell: f64 = waves.iter().map(|(speed, phase)| (column as f64 * speed + phase).sin()).sum();
            let calm = if column > gate { 3.0 } else { 1.0 };
            let level = HEIGHT as f64 / 2.0 + (calm - 1.0) * 0.6 - swell / calm;
            let depth = row as f64 - level;
            picture.push(match depth {
                _ if column == gate => '|',
                depth if depth < -0.5 => ' ',
                depth if depth < 0.5 => '~',
                depth if depth < 2.0 => '-',
                _ => '.',
            });
        }
        picture.truncate(picture.trim_end_matches(' ').len());
        picture.push('\n');
    }
    picture
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_picture_has_a_gate_in_the_sea() {
        for seed in 0..50 {
            let picture = tide(&mut Rng::new(seed));
            assert_eq!(picture.lines().count(), 8);
            assert!(picture.lines().all(|line| line.contains('|')), "{picture}");
            assert!(picture.contains('~'));
        }
    }
}
