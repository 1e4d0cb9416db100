//! What is left of resident memory when most of what was there is gone: fragmentation after mixed sizes, deletions and values
//! that change their size.
//!
//! Each pattern runs on a server started for it alone. Shown is resident memory beside `used_memory`, without what the server
//! took at its start: first as the pattern left it, then after `MEMORY PURGE`.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use tidegate_benches::client::{Client, value, write_command};
use tidegate_benches::cores::{self, Division};
use tidegate_benches::flags::{self, Flags};
use tidegate_benches::process::{Recipe, Server};
use tidegate_benches::{machine, now};

const HELP: &str = "\
Measures fragmentation: resident memory beside used memory after patterns that leave holes.

  --tidegate PATH         Tidegate's binary [target/release/tidegate]
  --io-threads N          threads of Tidegate [2]
  --redis PATH            measured beside, or none [/usr/bin/redis-server]
  --other NAME=PATH[:ARGS]  one more server, may be repeated
  --keys N                at first [1000000]
  --only NAMES            some of: mixed,half,tenth,refill,grow,fields [all]
";

const PATTERNS: [Pattern; 6] =
    [Pattern::Mixed, Pattern::Half, Pattern::Tenth, Pattern::Refill, Pattern::Grow, Pattern::Fields];
/// Two readings of resident memory this far apart tell whether it still falls.
const SETTLING: Duration = Duration::from_millis(500);
/// No longer than this is waited until it does not.
const SETTLED_LIMIT: Duration = Duration::from_secs(20);

/// What is done to the keyspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pattern {
    /// Values of 16 to 1,000 bytes are added, nothing is removed.
    Mixed,
    /// Then half of them are removed, at random.
    Half,
    /// Nine of ten are removed, at random.
    Tenth,
    /// Nine of ten are removed, and the room is filled with values four times as large as the largest.
    Refill,
    /// Ten times over, each value is replaced by one that is 60 bytes longer.
    Grow,
    /// Hashes of 8 fields; then all but one field of each is removed.
    Fields,
}

impl Pattern {
    fn name(self) -> &'static str {
        match self {
            Pattern::Mixed => "mixed",
            Pattern::Half => "half",
            Pattern::Tenth => "tenth",
            Pattern::Refill => "refill",
            Pattern::Grow => "grow",
            Pattern::Fields => "fields",
        }
    }

    fn apply(self, client: &mut Client, keys: u64) -> io::Result<()> {
        match self {
            Pattern::Mixed => set(client, keys, |key| 16 + mixed(key) % 985),
            Pattern::Half => {
                Pattern::Mixed.apply(client, keys)?;
                delete(client, keys, |luck| luck % 2 == 0)
            }
            Pattern::Tenth => {
                Pattern::Mixed.apply(client, keys)?;
                delete(client, keys, |luck| luck % 10 != 0)
            }
            Pattern::Refill => {
                Pattern::Tenth.apply(client, keys)?;
                client.pipeline(keys / 10, |key, out| {
                    write_command(out, &["SET", &format!("large:{key}"), &value(key, 4_000)]);
                })
            }
            Pattern::Grow => {
                (0..10).try_for_each(|round| set(client, keys / 2, |key| 20 + mixed(key) % 60 + 60 * round))
            }
            Pattern::Fields => {
                let fields = keys / 4 * 8;
                client.pipeline(fields, |number, out| {
                    let (key, field) = (format!("hash:{}", number / 8), format!("field:{}", number % 8));
                    let len = 16 + (mixed(number) % 200) as usize;
                    write_command(out, &["HSET", &key, &field, &value(number, len)]);
                })?;
                client.pipeline(fields, |number, out| {
                    let (key, field) = (format!("hash:{}", number / 8), format!("field:{}", number % 8));
                    let last = if number % 8 == 0 { "none" } else { &field };
                    write_command(out, &["HDEL", &key, last]);
                })
            }
        }
    }
}

/// The same arbitrary number for the same key each time.
fn mixed(key: u64) -> u64 {
    key.wrapping_add(1)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .rotate_left(29)
        .wrapping_mul(0xbf58_476d_1ce4_e5b9)
        >> 20
}

fn set(client: &mut Client, keys: u64, len: impl Fn(u64) -> u64) -> io::Result<()> {
    client.pipeline(keys, |key, out| {
        write_command(out, &["SET", &format!("key:{key}"), &value(key, len(key) as usize)]);
    })
}

fn delete(client: &mut Client, keys: u64, is_chosen: impl Fn(u64) -> bool) -> io::Result<()> {
    client.pipeline(keys, |key, out| {
        let name = format!("key:{key}");
        write_command(out, &["DEL", if is_chosen(mixed(key ^ 0x5555)) { &name } else { "none" }]);
    })
}

struct Settings {
    division: Division,
    recipes: Vec<Recipe>,
    keys: u64,
    patterns: Vec<Pattern>,
}

impl Settings {
    fn read(mut flags: Flags) -> Result<Self, String> {
        let allowed = cores::allowed().map_err(|error| error.to_string())?;
        let threads: usize = flags.value("--io-threads")?.unwrap_or(2).max(1);
        let division = cores::divide(&allowed, threads);
        let tidegate: PathBuf =
            flags.value("--tidegate")?.unwrap_or_else(|| PathBuf::from("target/release/tidegate"));
        let extra = ["--io-threads", &threads.to_string()];
        let program = machine::absolute(&tidegate);
        let mut recipes = vec![Recipe::redis_like("tidegate", &program, &division.servers, &extra)];
        let redis: PathBuf =
            flags.value("--redis")?.unwrap_or_else(|| PathBuf::from("/usr/bin/redis-server"));
        if redis.as_os_str() != "none" {
            let program = machine::absolute(&redis);
            recipes.push(Recipe::redis_like("redis", &program, &division.servers, &[]));
        }
        for text in flags.all("--other")? {
            recipes.push(Recipe::parse(&text, &division.servers)?);
        }
        let named = |name: String| {
            let found = PATTERNS.into_iter().find(|pattern| pattern.name() == name);
            found.ok_or_else(|| format!("--only: `{name}` is no pattern, see --help"))
        };
        let patterns = match flags.values::<String>("--only")? {
            Some(names) => names.into_iter().map(named).collect::<Result<_, _>>()?,
            None => PATTERNS.to_vec(),
        };
        let keys = flags.value("--keys")?.unwrap_or(1_000_000);
        flags.finish()?;
        Ok(Settings { division, recipes, keys, patterns })
    }
}

/// Resident memory when it does not fall any more.
fn settled(server: &Server) -> io::Result<u64> {
    let deadline = now() + SETTLED_LIMIT;
    let mut bytes = server.resident_bytes()?;
    loop {
        thread::sleep(SETTLING);
        let next = server.resident_bytes()?;
        if next + (1 << 20) >= bytes || now() >= deadline {
            return Ok(next);
        }
        bytes = next;
    }
}

fn used(client: &mut Client) -> io::Result<u64> {
    let text = client.info("memory", "used_memory")?;
    text.parse().map_err(|_| io::Error::other(format!("used_memory is {text}")))
}

fn measure(settings: &Settings, recipe: &Recipe, pattern: Pattern) -> io::Result<()> {
    const MIB: f64 = 1_048_576.0;
    let server = Server::start(recipe)?;
    let mut client = Client::connect(server.address)?;
    let (resident, taken) = (server.resident_bytes()?, used(&mut client)?);
    pattern.apply(&mut client, settings.keys)?;
    let mut ratios = Vec::new();
    for purge in [false, true] {
        if purge {
            client.call(&["MEMORY", "PURGE"])?;
        }
        let resident = settled(&server)?.saturating_sub(resident) as f64 / MIB;
        let used = used(&mut client)?.saturating_sub(taken) as f64 / MIB;
        ratios.push((used, resident, resident / used));
    }
    let [(used, resident, ratio), (_, purged, purged_ratio)] = ratios[..] else {
        return Err(io::Error::other("two readings were made"));
    };
    println!(
        "| {} | {} | {used:.0} | {resident:.0} | {ratio:.2} | {purged:.0} | {purged_ratio:.2} |",
        pattern.name(),
        server.name,
    );
    Ok(())
}

fn run(settings: &Settings) -> io::Result<bool> {
    cores::pin(&settings.division.generator)?;
    println!("{} keys; MB without what the server took at its start", settings.keys);
    println!("| pattern | server | used | resident | ratio | after MEMORY PURGE | ratio |");
    println!("|---|---|---:|---:|---:|---:|---:|");
    for &pattern in &settings.patterns {
        for recipe in &settings.recipes {
            measure(settings, recipe, pattern)?;
        }
    }
    Ok(true)
}

fn main() -> ExitCode {
    flags::program("fragmentation", HELP, Settings::read, run)
}
