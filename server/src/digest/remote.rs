//! The digest of a running server. Where `DEBUG DIGEST` is not allowed it is computed here from what `DUMP` answers.

use super::{Digest, Digests};
use crate::link::{self, Credentials, Link, Reply, UNEXPECTED, complaint};
use hashbrown::HashSet;
use sha1::{Digest as _, Sha1};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;
use tidegate_commands::model::parse_i64;
use tidegate_data::Encodings;
use tidegate_data::rdb::{self, PayloadError};
use tidegate_persistence::disk::os_text;

/// How long the server may think. Digesting everything takes its time.
const REPLY_LIMIT: Duration = Duration::from_secs(3600);
/// Keys asked for at once.
const BATCH: &str = "500";
/// The digest of a server at an address.
pub(super) fn of_server(
    host: &str,
    port: u16,
    credentials: &Credentials,
    scans: bool,
    note: &mut dyn FnMut(&str),
) -> Result<Digest, String> {
    digest(link::connect(host, port, REPLY_LIMIT)?, credentials, scans, note)
}

/// The digest of a server at a socket.
pub(super) fn of_socket(
    path: &Path,
    credentials: &Credentials,
    scans: bool,
    note: &mut dyn FnMut(&str),
) -> Result<Digest, String> {
    let link = || {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(REPLY_LIMIT))?;
        Ok(Link::new(stream.try_clone()?, stream))
    };
    let link = link().map_err(|error: io::Error| format!("Could not connect: {}", os_text(&error)))?;
    digest(link, credentials, scans, note)
}

fn digest<S: Read + Write>(
    mut link: Link<S>,
    credentials: &Credentials,
    scans: bool,
    note: &mut dyn FnMut(&str),
) -> Result<Digest, String> {
    link.log_in(credentials)?;
    if scans {
        return scan(&mut link);
    }
    match link.call(&[b"DEBUG", b"DIGEST"])? {
        Reply::Text(text) => Digest::parse(&text).ok_or_else(|| "This is no digest".to_owned()),
        Reply::Error(error) if error.starts_with("NOAUTH") => Err(error),
        _ => {
            note("DEBUG DIGEST is not allowed there; reading every key instead");
            scan(&mut link)
        }
    }
}

/// Asks for every key of every database.
fn scan<S: Read + Write>(link: &mut Link<S>) -> Result<Digest, String> {
    let info = link.text(&[b"INFO", b"keyspace"])?;
    let info = String::from_utf8_lossy(&info).into_owned();
    let databases =
        info.lines().filter_map(|line| line.strip_prefix("db")?.split(':').next()?.parse::<usize>().ok());
    let mut digests = Digests::default();
    for db in databases {
        link.text(&[b"SELECT", db.to_string().as_bytes()])?;
        scan_database(link, db, &mut digests)?;
    }
    Ok(digests.total())
}

fn scan_database<S: Read + Write>(
    link: &mut Link<S>,
    db: usize,
    digests: &mut Digests,
) -> Result<(), String> {
    // A key may be met twice.
    let mut seen: HashSet<[u8; 20]> = HashSet::new();
    let mut cursor = b"0".to_vec();
    loop {
        let found = link.call(&[b"SCAN", &cursor, b"COUNT", BATCH.as_bytes()])?;
        let (next, keys) = match found {
            Reply::Array(mut found) if found.len() == 2 => match (found.remove(0), found.remove(0)) {
                (Reply::Text(next), Reply::Array(keys)) => (next, keys),
                _ => return Err(UNEXPECTED.to_owned()),
            },
            other => return Err(complaint(other)),
        };
        let keys: Vec<Vec<u8>> = keys
            .into_iter()
            .filter_map(|key| if let Reply::Text(key) = key { Some(key) } else { None })
            .filter(|key| seen.insert(Sha1::digest(key).into()))
            .collect();
        for key in &keys {
            link.send(&[b"DUMP", key]);
            link.send(&[b"PTTL", key]);
        }
        for key in &keys {
            let (payload, ttl) = (link.read(0)?, link.read(0)?);
            let (Reply::Text(payload), Reply::Text(ttl)) = (payload, ttl) else { continue };
            // What the deadline is does not matter, only that there is one.
            let deadline_ms = parse_i64(&ttl).filter(|ttl| *ttl != -1);
            let record = rdb::restore(&payload, key, deadline_ms, Encodings::default(), true);
            let record = record.map_err(|error| match error {
                PayloadError::Footer => {
                    format!("{}: a payload of an unknown version", String::from_utf8_lossy(key))
                }
                PayloadError::Value(error) => format!("{}: {error}", String::from_utf8_lossy(key)),
            })?;
            digests.add(db, &record);
        }
        if next == b"0" {
            return Ok(());
        }
        cursor = next;
    }
}
