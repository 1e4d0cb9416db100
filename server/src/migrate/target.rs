//! What is said to the other server: `AUTH`, `SELECT` if it is needed, and a `RESTORE` for each key, all at once; then the
//! answers are read. As in Redis, a socket that turns out to be closed is replaced once, because those that were kept
//! often are; but never when an answer was overdue, or when there was an answer to a key.

use super::sockets::{Socket, Sockets};
use super::{Order, Report};
use crate::clock;
use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Bytes for whose sending there is a limit of time.
const PIECE: usize = 64 * 1024;
/// Room for answers, in bytes.
const INPUT: usize = 4096;
/// Bytes of an answer that are passed on; what is longer is cut off.
const ANSWER_SHOWN: usize = 1023;
/// A server that answers with longer lines is none.
const ANSWER_MAX: usize = 64 * 1024;

const NOT_CONNECTED: &str = "IOERR error or timeout connecting to the client";
const NOT_WRITTEN: &str = "IOERR error or timeout writing to target instance";
const NOT_READ: &str = "IOERR error or timeout reading to target instance";

/// A connection that is of no use any more.
#[derive(Debug)]
struct Broken {
    /// What to answer.
    text: &'static str,
    /// It took too long.
    timed_out: bool,
}

/// What was heard so far.
#[derive(Debug, Default)]
struct Heard {
    report: Report,
    /// Answers to keys.
    answers: usize,
}

/// Carries out an order, within its time.
pub(super) async fn carry_out(order: &Order, sockets: &RefCell<Sockets>) -> Report {
    let mut heard = Heard::default();
    let whole = try_twice(order, sockets, &mut heard);
    let error = match order.limit {
        None => whole.await.err(),
        Some(limit) => tokio::time::timeout(limit, whole).await.unwrap_or(Err(NOT_READ)).err(),
    };
    let mut report = heard.report;
    // What the other server said comes before what became of the connection.
    report.error = report.error.or(error.map(Into::into));
    report
}

async fn try_twice(order: &Order, sockets: &RefCell<Sockets>, heard: &mut Heard) -> Result<(), &'static str> {
    let name = [&order.host, &b":"[..], &order.port].concat();
    let kept = sockets.borrow_mut().take(&name);
    let mut is_first = true;
    let mut socket = match kept {
        Some(socket) => socket,
        None => connect(order).await?,
    };
    loop {
        match attempt(order, &mut socket, heard).await {
            Ok(()) => {
                if socket.input.is_empty() {
                    socket.db = Some(order.db).filter(|_| heard.report.error.is_none());
                    sockets.borrow_mut().put(name, socket);
                }
                return Ok(());
            }
            Err(broken) => {
                drop(socket);
                if broken.timed_out || heard.answers > 0 || !std::mem::take(&mut is_first) {
                    return Err(broken.text);
                }
                socket = connect(order).await?;
            }
        }
    }
}

/// Connects to any address of the host.
async fn connect(order: &Order) -> Result<Socket, &'static str> {
    let host = std::str::from_utf8(&order.host).map_err(|_| NOT_CONNECTED)?;
    let port = std::str::from_utf8(&order.port).ok().and_then(|port| port.parse::<u16>().ok());
    let stream = TcpStream::connect((host, port.ok_or(NOT_CONNECTED)?));
    let stream = tokio::time::timeout(order.timeout, stream).await;
    let stream = stream.ok().and_then(Result::ok).ok_or(NOT_CONNECTED)?;
    // Without it, it is only slower.
    let _ = stream.set_nodelay(true);
    Ok(Socket { stream, db: None, input: Vec::with_capacity(INPUT) })
}

/// Sends everything and reads the answers.
async fn attempt(order: &Order, socket: &mut Socket, heard: &mut Heard) -> Result<(), Broken> {
    let selects = socket.db != Some(order.db);
    let sent = send(order, socket, selects).await?;
    let mut refusal = None;
    for _ in 0..usize::from(order.credentials.is_some()) + usize::from(selects) {
        let answer = read_line(socket, order.timeout).await?;
        if !is_good(&answer) {
            refusal.get_or_insert(answer);
        }
    }
    for index in sent {
        let answer = read_line(socket, order.timeout).await?;
        heard.answers += 1;
        if refusal.is_none() && is_good(&answer) {
            heard.report.taken.push(index);
        } else if heard.report.error.is_none() {
            let answer = refusal.as_ref().unwrap_or(&answer);
            let said = answer.get(1..).unwrap_or_default();
            let said = &said[..said.len().min(ANSWER_SHOWN)];
            heard.report.error = Some([b"ERR Target instance replied with error: ", said].concat());
        }
    }
    Ok(())
}

/// The other server has done it.
fn is_good(answer: &[u8]) -> bool {
    answer.starts_with(b"+")
}

/// Sends everything; tells which of the parcels. Those whose time has come meanwhile are left out.
async fn send(order: &Order, socket: &mut Socket, selects: bool) -> Result<Vec<usize>, Broken> {
    let mut out = Vec::new();
    if let Some(credentials) = &order.credentials {
        match &credentials.user {
            Some(user) => request(&mut out, &[b"AUTH", user, &credentials.password]),
            None => request(&mut out, &[b"AUTH", &credentials.password]),
        }
    }
    if selects {
        request(&mut out, &[b"SELECT", order.db.to_string().as_bytes()]);
    }
    let name: &[u8] = if order.asking { b"RESTORE-ASKING" } else { b"RESTORE" };
    let mut sent = Vec::with_capacity(order.parcels.len());
    for (index, parcel) in order.parcels.iter().enumerate() {
        let ttl_ms = match parcel.deadline_ms {
            None => 0,
            Some(deadline_ms) => match deadline_ms.saturating_sub(clock::unix_ms()) {
                ..0 => continue,
                left_ms => left_ms.max(1),
            },
        };
        sent.push(index);
        head(&mut out, if order.replace { 5 } else { 4 });
        bulk(&mut out, name);
        bulk(&mut out, &parcel.key);
        bulk(&mut out, ttl_ms.to_string().as_bytes());
        out.extend_from_slice(format!("${}\r\n", parcel.payload.len()).as_bytes());
        if out.len() + parcel.payload.len() < PIECE {
            out.extend_from_slice(&parcel.payload);
        } else {
            write(socket, &out, order.timeout).await?;
            out.clear();
            write(socket, &parcel.payload, order.timeout).await?;
        }
        out.extend_from_slice(b"\r\n");
        if order.replace {
            bulk(&mut out, b"REPLACE");
        }
    }
    write(socket, &out, order.timeout).await?;
    Ok(sent)
}

fn request(out: &mut Vec<u8>, words: &[&[u8]]) {
    head(out, words.len());
    for word in words {
        bulk(out, word);
    }
}

fn head(out: &mut Vec<u8>, words: usize) {
    out.extend_from_slice(format!("*{words}\r\n").as_bytes());
}

fn bulk(out: &mut Vec<u8>, word: &[u8]) {
    out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
    out.extend_from_slice(word);
    out.extend_from_slice(b"\r\n");
}

async fn write(socket: &mut Socket, bytes: &[u8], timeout: Duration) -> Result<(), Broken> {
    for piece in bytes.chunks(PIECE) {
        within(timeout, NOT_WRITTEN, socket.stream.write_all(piece)).await?;
    }
    Ok(())
}

/// A line, without its end.
async fn read_line(socket: &mut Socket, timeout: Duration) -> Result<Vec<u8>, Broken> {
    let line = async {
        loop {
            if let Some(end) = socket.input.iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = socket.input.drain(..=end).collect();
                line.truncate(line.trim_ascii_end().len());
                return Ok(line);
            }
            if socket.input.len() > ANSWER_MAX {
                return Err(io::ErrorKind::InvalidData.into());
            }
            if socket.stream.read_buf(&mut socket.input).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    };
    within(timeout, NOT_READ, line).await
}

async fn within<T>(
    timeout: Duration,
    text: &'static str,
    work: impl Future<Output = io::Result<T>>,
) -> Result<T, Broken> {
    match tokio::time::timeout(timeout, work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(_)) => Err(Broken { text, timed_out: false }),
        Err(_) => Err(Broken { text, timed_out: true }),
    }
}
