//! `IDEM.GET`.

use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command};
use tidegate_data::types::idem::{Idem, Progress};

pub(super) static GET: Command = command("IDEM.GET", "key", get)
    .about("1.0.0", "O(N) in the size of the response.", "Tells how far a request is.")
    .arity(2)
    .keys(KeySpec::first().ro().access())
    .flags(&[Flag::Readonly, Flag::Fast]);

fn get(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let now_ms = cx.env.native_ms();
    let idem = cx.keys.read_as::<Idem>(key)?;
    let Some((idem, progress)) = idem.and_then(|idem| Some((idem, idem.progress(now_ms)?))) else {
        reply.null();
        return Ok(Outcome::Same);
    };
    let (status, response) = match progress {
        Progress::Pending { .. } => (&b"pending"[..], None),
        Progress::Done { response, .. } => (&b"done"[..], Some(&**response)),
    };
    reply.map(4);
    reply.bulk(b"status");
    reply.bulk(status);
    reply.bulk(b"fingerprint");
    reply.bulk(idem.fingerprint().unwrap_or_default());
    reply.bulk(b"response");
    reply.bulk_or_null(response);
    reply.bulk(b"ms");
    reply.integer(progress.until_ms() - now_ms);
    Ok(Outcome::Same)
}
