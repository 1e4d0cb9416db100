//! `FUNCTION STATS`: which function runs, and how many there are.

use crate::clock;
use crate::shared::Shared;
use tidegate_commands::model::{Error, Reply};

/// Writes what `FUNCTION STATS` answers; an error while a script of `EVAL` runs for too long.
pub fn write_stats(shared: &Shared, reply: &mut Reply<'_>) -> Result<(), Error> {
    let running = shared.scripts.busy.running()?;
    let set = shared.libraries.get();
    reply.map(2);
    reply.bulk(b"running_script");
    match running {
        None => reply.null(),
        Some(running) => {
            reply.map(3);
            reply.bulk(b"name");
            reply.bulk(&running.name);
            reply.bulk(b"command");
            reply.array(running.command.len());
            running.command.iter().for_each(|word| reply.bulk(word));
            reply.bulk(b"duration_ms");
            reply.integer((clock::unix_ms() - running.began_ms).max(0));
        }
    }
    reply.bulk(b"engines");
    reply.map(1);
    reply.bulk(b"LUA");
    reply.map(2);
    reply.bulk(b"libraries_count");
    reply.integer(set.libraries().len() as i64);
    reply.bulk(b"functions_count");
    reply.integer(set.functions_len() as i64);
    Ok(())
}
