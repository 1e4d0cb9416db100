//! An HTTP API with rate limits: one question to the server per request, whatever the number of limits.
//!
//!     cargo run -p tidegate-examples --bin rate-limited-api [redis://127.0.0.1:6379/]
//!
//! `RL.CHECK` asks for all limits of a request at once and takes from all of them or from none. With `HEADERS` its answer
//! has the lines that an HTTP reply needs: RateLimit-Policy and RateLimit of the IETF's draft, and Retry-After.

use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::thread;

use redis::{Client, Connection, Value, cmd};

type Failure = Box<dyn Error + Send + Sync>;

/// 3 at once, and one more every 20 minutes; for all users of an organisation 5 in an hour.
const POLICIES: [(&str, &str); 2] =
    [("example-user", "TOKENBUCKET 3 3 3600000"), ("example-org", "FIXED 5 3600000")];
const ASKED_BY: [&str; 7] = ["ada", "ada", "ada", "ada", "bob", "bob", "bob"];

fn key_of_user(user: &str) -> String {
    format!("example:api:user:{user}")
}

fn key_of_org(org: &str) -> String {
    format!("example:api:org:{org}")
}

fn main() -> ExitCode {
    let url = std::env::args().nth(1).unwrap_or_else(|| "redis://127.0.0.1:6379/".to_owned());
    match run(&url) {
        Ok(statuses) => {
            let of = |status| statuses.iter().filter(|other| **other == status).count();
            println!("{} requests served, {} refused", of(200), of(429));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{url}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(url: &str) -> Result<Vec<u16>, Failure> {
    let client = Client::open(url)?;
    let mut connection = client.get_connection()?;
    for (name, spec) in POLICIES {
        let words: Vec<&str> = spec.split(' ').collect();
        cmd("RL.POLICY").arg("SET").arg(name).arg(words).exec(&mut connection)?;
    }
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let mut limiter = client.get_connection()?;
    let api = thread::spawn(move || -> Result<(), Failure> {
        for stream in listener.incoming().take(ASKED_BY.len()) {
            answer(stream?, &mut limiter)?;
        }
        Ok(())
    });
    let replies: Vec<String> = ASKED_BY.iter().map(|user| get(address, user)).collect::<Result<_, _>>()?;
    api.join().map_err(|_| "the API has panicked")??;
    cmd("DEL").arg(&[key_of_user("ada"), key_of_user("bob"), key_of_org("acme")]).exec(&mut connection)?;
    let [user, org] = POLICIES.map(|(name, _)| name);
    cmd("RL.POLICY").arg("DEL").arg(user).arg(org).exec(&mut connection)?;
    check(&replies)
}

/// Answers one request.
fn answer(mut stream: TcpStream, limiter: &mut Connection) -> Result<(), Failure> {
    let (mut user, mut org) = (String::new(), String::new());
    for line in BufReader::new(&stream).lines() {
        match line?.split_once(": ") {
            Some(("X-User", value)) => user = key_of_user(value),
            Some(("X-Org", value)) => org = key_of_org(value),
            Some(_) => {}
            // The request's first line, which has no colon with a blank behind it, or the end of the headers.
            None if user.is_empty() || org.is_empty() => {}
            None => break,
        }
    }
    let mut check = cmd("RL.CHECK");
    check.arg(2).arg("example-user").arg(user).arg(1).arg("example-org").arg(org).arg(1).arg("HEADERS");
    let (allowed, _, _, headers): (bool, i64, Value, Vec<String>) = check.query(limiter)?;
    let (status, body) =
        if allowed { ("200 OK", "hello\n") } else { ("429 Too Many Requests", "slow down\n") };
    let headers = headers.join("\r\n");
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\n{headers}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )?;
    Ok(())
}

fn get(address: SocketAddr, user: &str) -> Result<String, Failure> {
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "GET / HTTP/1.1\r\nHost: {address}\r\nX-User: {user}\r\nX-Org: acme\r\n\r\n")?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply)?;
    Ok(reply)
}

/// The statuses, if they and the headers are what they have to be.
fn check(replies: &[String]) -> Result<Vec<u16>, Failure> {
    let status = |reply: &String| reply.split(' ').nth(1).and_then(|status| status.parse().ok());
    let statuses = replies.iter().map(status).collect::<Option<Vec<u16>>>().ok_or("no HTTP")?;
    // ada's own limit refuses her fourth, the organisation's bob's third.
    if statuses != [200, 200, 200, 429, 200, 200, 429] {
        return Err(format!("wrong decisions: {statuses:?}").into());
    }
    let header = |reply: usize, name: &str| -> Option<&str> {
        replies[reply].lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    };
    let policy = r#""example-user";q=3;w=3600, "example-org";q=5;w=3600"#;
    let retry = |reply| header(reply, "Retry-After").and_then(|seconds| seconds.parse::<u32>().ok());
    let is_right = header(0, "RateLimit-Policy") == Some(policy)
        && header(0, "RateLimit").is_some_and(|limit| limit.starts_with(r#""example-user";r=2;t="#))
        && header(0, "Retry-After").is_none()
        && retry(3).is_some_and(|seconds| (1190..=1200).contains(&seconds))
        && retry(6).is_some_and(|seconds| (3590..=3600).contains(&seconds));
    if is_right { Ok(statuses) } else { Err(format!("wrong headers: {replies:?}").into()) }
}
