//! Random rules of users, here and in Redis: what `ACL SETUSER` says of them, how the user is then described, and what it may
//! do. `TIDEGATE_ACL_ROUNDS` is how many rules are tried (a million in the long form), `TIDEGATE_ACL_SEED` the first seed.

use tidegate_tests::random::Random;
use tidegate_tests::resp::{Reply, RespClient, encode_command, simple};
use tidegate_tests::server::TestServer;

/// Rules that are tried where nobody says how many.
const ROUNDS: u64 = 2_000;
/// Requests in flight to one server.
const BATCH: usize = 64;
/// Users whose rules are changed.
const USERS: [&str; 4] = ["alice", "bob", "carol", "default"];

type Args = Vec<Vec<u8>>;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// What Redis has to name: its categories and commands, with subcommands behind a bar.
struct Names {
    categories: Vec<String>,
    commands: Vec<String>,
}

impl Names {
    fn of(client: &mut RespClient) -> Self {
        let texts = |reply: Reply| -> Vec<String> {
            reply.items().map(|items| items.iter().map(Reply::text).collect()).unwrap_or_default()
        };
        let categories = texts(client.line("ACL CAT"));
        let mut commands = texts(client.line("COMMAND LIST"));
        commands.sort();
        Names { categories, commands }
    }
}

struct Rules<'n> {
    random: Random,
    names: &'n Names,
}

impl Rules<'_> {
    fn case(&mut self, word: &str) -> Vec<u8> {
        match self.random.below(6) {
            0 => word.to_uppercase().into_bytes(),
            1 => word
                .bytes()
                .map(|byte| if self.random.one_in(2) { byte.to_ascii_uppercase() } else { byte })
                .collect(),
            _ => word.as_bytes().to_vec(),
        }
    }

    fn command(&mut self) -> String {
        // A few meet again and again.
        const OFTEN: [&str; 12] = [
            "get",
            "set",
            "config",
            "config|get",
            "client",
            "client|id",
            "acl",
            "select",
            "xinfo|stream",
            "debug",
            "memory",
            "subscribe",
        ];
        if self.random.one_in(3) {
            return self.random.pick(&OFTEN).to_string();
        }
        self.random.pick(&self.names.commands).clone()
    }

    fn pattern(&mut self) -> Vec<u8> {
        const PARTS: [&str; 14] =
            ["a", "b", "k", "*", "?", "[ab]", "[^a]", "\\*", ":", "obj", "é", "-", "{", "%"];
        let mut pattern = String::new();
        for _ in 0..self.random.below(4) {
            let part: &str = self.random.pick::<&str>(&PARTS);
            pattern.push_str(part);
        }
        pattern.into_bytes()
    }

    /// One rule, right or nearly so.
    fn rule(&mut self) -> Vec<u8> {
        let sign = if self.random.one_in(2) { "+" } else { "-" };
        match self.random.below(30) {
            0 => self.case("on"),
            1 => self.case("off"),
            2 => self.case("allkeys"),
            3 => self.case("resetkeys"),
            4 => self.case("allchannels"),
            5 => self.case("resetchannels"),
            6 => self.case("allcommands"),
            7 => self.case("nocommands"),
            8 => self.case("nopass"),
            9 => self.case("resetpass"),
            10 if self.random.one_in(3) => self.case("reset"),
            10 => self.case("clearselectors"),
            11 => self.case("sanitize-payload"),
            12 => self.case("skip-sanitize-payload"),
            13..=16 => {
                let category = self.random.pick(&self.names.categories).clone();
                let category = if self.random.one_in(12) { "all".to_owned() } else { category };
                [sign.as_bytes(), b"@", &self.case(&category)].concat()
            }
            17..=20 => {
                let command = self.command();
                [sign.as_bytes(), &self.case(&command)].concat()
            }
            21 => {
                let (command, argument) =
                    (self.command(), self.random.pick(&["x", "0", "get", "id", "", "A b", "|"]).to_string());
                [sign.as_bytes(), &self.case(&command), b"|", argument.as_bytes()].concat()
            }
            22 | 23 => {
                let prefix = *self
                    .random
                    .pick(&["~", "~", "%R~", "%W~", "%RW~", "%r~", "%wr~", "%~", "%RR~", "%X~", "%R", "%"]);
                [prefix.as_bytes(), &self.pattern()].concat()
            }
            24 => [&b"&"[..], &self.pattern()].concat(),
            25 => {
                let word = *self.random.pick(&["one", "two", "three", ""]);
                [self.random.pick(&[&b">"[..], b"<"]), word.as_bytes()].concat()
            }
            26 => {
                let known = "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed";
                let hash = match self.random.below(4) {
                    0 => known[..63].to_owned(),
                    1 => known.to_uppercase(),
                    2 => format!("{}g", &known[..63]),
                    _ => known.to_owned(),
                };
                [self.random.pick(&[&b"#"[..], b"!"]), hash.as_bytes()].concat()
            }
            27 => self.selector(),
            28 => {
                const ODD: [&str; 12] =
                    ["", "+", "-", "+@", "-@all", "~", "&", "(", ")", "()", "@read", "no such rule"];
                self.random.pick(&ODD).as_bytes().to_vec()
            }
            _ => {
                // Something right with a byte too many or too few.
                let mut rule = self.rule();
                let at = self.random.below(rule.len() + 1);
                match rule.get(at).copied() {
                    Some(_) if self.random.one_in(2) => drop(rule.remove(at)),
                    _ => rule.insert(at, *self.random.pick(b"| @~*x(\t")),
                }
                rule
            }
        }
    }

    fn selector(&mut self) -> Vec<u8> {
        let mut text = vec![b'('];
        for number in 0..self.random.below(4) {
            if number > 0 {
                text.push(b' ');
            }
            text.extend(self.rule());
        }
        text.push(b')');
        text
    }

    /// A request, perhaps one that there is not.
    fn request(&mut self) -> Args {
        const LINES: [&str; 36] = [
            "GET K",
            "SET K 1",
            "SET K 1 GET",
            "MGET K K K",
            "MSET K 1 K 2",
            "COPY K K",
            "RENAME K K",
            "CONFIG GET x",
            "CONFIG SET x y",
            "CLIENT ID",
            "CLIENT KILL x",
            "SELECT 1",
            "DEL K K",
            "SORT K STORE K",
            "SORT_RO K",
            "GEORADIUS K 1 1 1 m STORE K",
            "XREAD STREAMS K K 0 0",
            "XREADGROUP GROUP g c STREAMS K >",
            "EVAL x 1 K",
            "EVALSHA x 2 K K",
            "ZUNIONSTORE K 2 K K",
            "ZUNION 1 K",
            "BLPOP K K 0",
            "LMPOP 1 K LEFT",
            "PUBLISH K m",
            "SUBSCRIBE K K",
            "PSUBSCRIBE K",
            "SSUBSCRIBE K",
            "SPUBLISH K m",
            "BITFIELD K GET u8 0",
            "BITFIELD K SET u8 0 1",
            "MEMORY USAGE K",
            "OBJECT FREQ K",
            "FCALL f 1 K",
            "PING",
            "MIGRATE h 1 K 0 1",
        ];
        let line = *self.random.pick(&LINES);
        let mut args: Args = Vec::new();
        for word in line.split(' ') {
            args.push(if word == "K" { self.pattern() } else { word.as_bytes().to_vec() });
        }
        args
    }

    /// Changes of one user and what to ask about it then.
    fn round(&mut self) -> Vec<Args> {
        let user = *self.random.pick(&USERS);
        let words = |words: &[&str]| -> Args { words.iter().map(|word| word.as_bytes().to_vec()).collect() };
        let mut set = words(&["ACL", "SETUSER", user]);
        for _ in 0..=self.random.below(5) {
            set.push(if self.random.one_in(10) { self.selector() } else { self.rule() });
        }
        let mut requests = vec![set];
        requests.push(words(&["ACL", "GETUSER", user]));
        for _ in 0..2 {
            let mut dryrun = words(&["ACL", "DRYRUN", user]);
            dryrun.extend(self.request());
            requests.push(dryrun);
        }
        if self.random.one_in(20) {
            requests.push(words(&["ACL", "LIST"]));
        }
        requests
    }
}

impl Names {
    /// What a description says of Redis' commands: categories in their order, then all else sorted, because Redis names single
    /// commands in the order of a hash table. Commands of our own are left out.
    fn plain(&self, text: &str) -> String {
        let text = text.replace('(', "( ").replace(')', " )");
        let (mut plain, mut single): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
        for word in text.split(' ') {
            match word.split_at_checked(1) {
                Some(("+" | "-", category)) if category.starts_with('@') => {
                    let category = &category[1..];
                    if category == "all" || self.categories.iter().any(|known| known == category) {
                        plain.push(word.to_owned());
                    }
                }
                Some(("+" | "-", command)) => {
                    let first = command.split('|').next().unwrap_or_default();
                    let is_known =
                        |name: &str| self.commands.binary_search_by(|known| known.as_str().cmp(name)).is_ok();
                    let begin = format!("{first}|");
                    let is_container = self.commands.iter().any(|known| known.starts_with(&begin));
                    if is_known(command) || is_known(first) && !is_container {
                        single.push(word.to_owned());
                    }
                }
                _ => single.push(word.to_owned()),
            }
        }
        single.sort();
        plain.append(&mut single);
        plain.join(" ")
    }

    fn comparable(&self, reply: &Reply) -> Reply {
        match reply {
            Reply::Bulk(bytes) => {
                // Byte by byte: not all of it is UTF-8.
                let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
                Reply::Bulk(self.plain(&text).into_bytes())
            }
            Reply::Array(items) => Reply::Array(items.iter().map(|item| self.comparable(item)).collect()),
            other => other.clone(),
        }
    }
}

fn ask(client: &mut RespClient, requests: &[Args]) -> Vec<Reply> {
    let mut bytes = Vec::new();
    for request in requests {
        encode_command(request, &mut bytes);
    }
    client.send_raw(&bytes).expect("it reads");
    requests.iter().map(|_| client.read().expect("every request is answered")).collect()
}

fn texts(reply: &Reply) -> String {
    match reply.items() {
        Some(items) => format!("[{}]", items.iter().map(texts).collect::<Vec<_>>().join(", ")),
        None => reply.error().unwrap_or_else(|| format!("{:?}", reply.text())),
    }
}

fn shown(request: &Args) -> String {
    request.iter().map(|word| format!("\"{}\"", word.escape_ascii())).collect::<Vec<_>>().join(" ")
}

#[test]
fn rules_mean_what_they_mean_in_redis() {
    let rounds = number("TIDEGATE_ACL_ROUNDS", ROUNDS);
    let seed = number("TIDEGATE_ACL_SEED", 1);
    let (ours, theirs) = (TestServer::tidegate(), TestServer::redis());
    let (mut ours, mut theirs) = (ours.client(), theirs.client());
    for client in [&mut ours, &mut theirs] {
        // Who asks stays able to.
        for line in ["ACL SETUSER tester on >pw ~* &* +@all", "AUTH tester pw"] {
            assert_eq!(client.line(line), simple("OK"));
        }
    }
    let names = Names::of(&mut theirs);
    assert!(names.commands.len() > 200 && names.categories.len() == 21, "Redis names what it has");
    let mut rules = Rules { random: Random::new(seed), names: &names };
    let (mut tried, mut replies, mut refused) = (0, 0, 0);
    let mut history: Vec<Args> = Vec::new();
    while tried < rounds {
        let mut requests = Vec::new();
        while requests.len() < BATCH {
            let round = rules.round();
            tried += round[0].len() as u64 - 3;
            requests.extend(round);
        }
        // Users do not grow for ever.
        for user in &USERS[..3] {
            if rules.random.one_in(8) {
                requests.push(["ACL", "DELUSER", *user].map(|word| word.as_bytes().to_vec()).into());
            }
        }
        let (mine, redis) = (ask(&mut ours, &requests), ask(&mut theirs, &requests));
        for (index, (mine, redis)) in mine.iter().zip(&redis).enumerate() {
            replies += 1;
            refused += u64::from(mine.error().is_some());
            let described = ["GETUSER", "LIST"].iter().any(|name| requests[index][1] == name.as_bytes());
            let same =
                if described { names.comparable(mine) == names.comparable(redis) } else { mine == redis };
            if !same {
                history.extend(requests[..=index].iter().cloned());
                let last: Vec<String> = history.iter().rev().take(30).rev().map(shown).collect();
                panic!(
                    "seed {seed}, after {tried} rules:\n{}\nhere:  {}\nRedis: {}",
                    last.join("\n"),
                    texts(&names.comparable(mine)),
                    texts(&names.comparable(redis))
                );
            }
        }
        history = requests;
    }
    println!("{tried} rules, {refused} of {replies} replies were errors");
    assert!(refused > replies / 50 && refused < replies / 2, "{refused} of {replies} replies were errors");
}
