//! The request decoder: a stream cut into any pieces gives the same commands as the whole, and what it keeps is bounded
//! by what arrived.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate::net::decode::{Decoder, Limits, ProtocolError, Step};

type Command = Vec<Vec<u8>>;

/// What a stream came to.
#[derive(Debug, PartialEq)]
struct Read {
    commands: Vec<Command>,
    refused: Option<ProtocolError>,
}

fuzz_target!(|data: &[u8]| {
    let [flags, seed, stream @ ..] = data else { return };
    let limits =
        Limits { authenticated: flags & 1 == 0, max_bulk_len: if flags & 2 == 0 { 512 << 20 } else { 64 } };
    let whole = read(&limits, [stream]);
    let bytes = read(&limits, stream.chunks(1));
    let pieces = read(&limits, cut(stream, u32::from(*seed)).into_iter());
    // A line that has arrived whole is never too big, so only shorter streams must agree.
    if stream.len() <= 64 * 1024 {
        assert_eq!(whole, bytes, "byte by byte");
        assert_eq!(whole, pieces, "in pieces");
    }
});

/// Cuts the stream into pieces whose sizes a small generator decides.
fn cut(mut stream: &[u8], seed: u32) -> Vec<&[u8]> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut pieces = Vec::new();
    while !stream.is_empty() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (piece, rest) = stream.split_at(stream.len().min(1 + (state >> 28) as usize));
        pieces.push(piece);
        stream = rest;
    }
    pieces
}

/// Feeds the pieces as a connection does: what is done with is dropped from the front of the buffer.
fn read<'p>(limits: &Limits, pieces: impl IntoIterator<Item = &'p [u8]>) -> Read {
    let mut decoder = Decoder::default();
    let mut read = Read { commands: Vec::new(), refused: None };
    let (mut buf, mut spans) = (Vec::new(), Vec::new());
    for piece in pieces {
        buf.extend_from_slice(piece);
        let mut at = 0;
        loop {
            match decoder.decode(&mut buf, at, limits, &mut spans) {
                Ok(Step::Command { args, end }) => {
                    assert!(args >= 1 && args == spans.len() && end > at && end <= buf.len());
                    let words = spans.drain(..).map(|span| span.slice(&buf).to_vec());
                    read.commands.push(words.collect());
                    at = end;
                }
                Ok(Step::Incomplete { end, need }) => {
                    assert!(need >= 1 && end >= at && end <= buf.len() && spans.is_empty());
                    at = end;
                    break;
                }
                Err(error) => {
                    assert!(spans.is_empty());
                    let mut reply = Vec::new();
                    error.append_reply(&mut reply);
                    assert!(reply.starts_with(b"-ERR Protocol error: ") && reply.ends_with(b"\r\n"));
                    read.refused = Some(error);
                    return read;
                }
            }
        }
        buf.drain(..at);
    }
    assert!(spans.capacity() <= 4 * (buf.capacity() + 64), "spans are for arguments that arrived");
    read
}
