//! Scripts put together at random: what is known to keep to its keys is run, and does.

use super::{Registry, is_confined};
use crate::registry::Entry;
use crate::script::api::{self, host};
use crate::script::run::set_global;
use std::fmt::Write as _;
use tidegate_commands::model::Rng;
use tidegate_lua::{Fault, Frame, Host, State, Stop};

/// Makes scripts.
struct Author<'r> {
    rng: &'r mut Rng,
    text: String,
    depth: usize,
}

impl Author<'_> {
    fn below(&mut self, bound: u64) -> u64 {
        self.rng.next() % bound
    }

    fn one<'t>(&mut self, of: &[&'t str]) -> &'t str {
        of[self.below(of.len() as u64) as usize]
    }

    fn variable(&mut self) -> &'static str {
        self.one(&["a", "b", "c", "d", "t", "f", "g"])
    }

    fn key(&mut self) -> String {
        match self.below(14) {
            12 => self.one(&["(next(t))", "select(2, unpack(KEYS))", "unpack(KEYS, 2, 3)", "a"]).into(),
            13 => format!("({} and {})", self.variable(), self.one(&["KEYS[1]", "a", "b"])),
            0 => self.variable().into(),
            1 => "unpack(KEYS)".into(),
            2 => format!("{} or KEYS[2]", self.variable()),
            3 => "'x'".into(),
            4 => "(KEYS[3] and ARGV[1])".into(),
            5 => "t[1]".into(),
            6 | 7 => self.one(&["a", "b"]).into(),
            _ => self.one(&["KEYS[1]", "KEYS[2]", "KEYS[#KEYS]", "keys[1]"]).into(),
        }
    }

    fn call(&mut self) -> String {
        let key = self.key();
        match self.below(17) {
            14 => format!(
                "redis.call('sintercard', {}, KEYS[1], {key})",
                self.one(&["1", "2", "'2'", "d", "#t"])
            ),
            15 => format!(
                "redis.call('msetex', {}, {key}, 'v', {}, 'w')",
                self.one(&["1", "2", "3"]),
                self.key()
            ),
            16 => format!("redis.call('rename', {key}, {})", self.key()),
            0 => format!("c('get', {key})"),
            1 => format!("{}('get', {key})", self.variable()),
            2 => format!("r.call('get', {key})"),
            3 => format!("f({key}, {})", self.variable()),
            4 => format!("g({key})"),
            5 => format!("pcall(redis.call, 'get', {key})"),
            6 => format!("pcall({}, {key})", self.one(&["f", "g", "c", "redis.call"])),
            7 => format!("redis.call('mset', {key}, 'v', {}, 'w')", self.key()),
            8 => format!("redis.call({}, {key})", self.one(&["'del'", "d", "'get'"])),
            9 => format!("redis.call('mget', KEYS[1], {key})"),
            _ => format!("redis.call('get', {key})"),
        }
    }

    fn value(&mut self) -> String {
        match self.below(17) {
            0 => "redis".into(),
            1 => "redis.call".into(),
            2 => "KEYS".into(),
            3 => "{}".into(),
            4 => "{KEYS[1], 'x'}".into(),
            5 => format!("{} .. 'x'", self.key()),
            6 => self.variable().into(),
            7 => self.call(),
            8 if self.depth < 4 => self.function(""),
            9 => "setmetatable({}, {__index = g, __concat = f, __call = g})".into(),
            10 => format!("{} and {} or {}", self.one(&["ARGV[1]", "ARGV[2]"]), self.key(), self.variable()),
            11 => "nil".into(),
            12 => "select(1, KEYS[1], a)".into(),
            _ => self.key(),
        }
    }

    fn function(&mut self, name: &str) -> String {
        let outer = std::mem::take(&mut self.text);
        self.depth += 1;
        let parameters = self.one(&["", "a", "a, b", "b, a", "c", "r", "..."]);
        self.block();
        self.depth -= 1;
        let body = std::mem::replace(&mut self.text, outer);
        let result = match self.below(4) {
            0 => format!("return {} ", self.value_of_return()),
            _ => String::new(),
        };
        format!("function {name}({parameters}) {body} {result}end")
    }

    fn value_of_return(&mut self) -> &'static str {
        self.one(&["a", "b", "KEYS[1]", "redis.call('get', a)", "redis", "f", "r"])
    }

    fn block(&mut self) {
        for _ in 0..=self.below(3) {
            self.statement();
        }
    }

    fn write(&mut self, text: &str) {
        write!(self.text, "{text} ").unwrap();
    }

    fn statement(&mut self) {
        let name = self.variable();
        match self.below(if self.depth < 4 { 27 } else { 10 }) {
            20 => {
                let other = self.variable();
                self.write(&format!("{name}, {other} = {other}, {name};"));
            }
            21 => self.nested("local n = 0 while n < 2 do n = n + 1", "end;"),
            22 => {
                let condition = self.call();
                self.nested(
                    "for i = 1, 2 do repeat local a, b = b, a",
                    &format!("until {condition} or true end;"),
                );
            }
            23 => {
                // Somebody assigns to what others see.
                let value = self.value();
                self.write(&format!("local function set() {name} = {value} end"));
                self.block();
                self.write("set();");
            }
            24 => self.nested("for a = 1, 2 do", "end;"),
            25 => {
                let (one, other) = (self.value(), self.value());
                self.write(&format!(
                    "do local {name} = {one}; f = function(a) {name} = {other}; return {name} end end;"
                ));
            }
            26 => {
                let value = self.value();
                self.write(&format!("local {name} {name} = {value};"));
            }
            0 | 1 => {
                let value = self.value();
                self.write(&format!("local {name} = {value};"));
            }
            2 => {
                let value = self.value();
                self.write(&format!("{name} = {value};"));
            }
            3 => {
                let value = self.value();
                self.write(&format!("if type(t) == 'table' then t[1] = {value} end;"));
            }
            4 => {
                let (one, other) = (self.value(), self.value());
                self.write(&format!("local a, b = {one}, {other};"));
            }
            5..=9 => {
                let call = self.call();
                self.write(&format!("{call};"));
            }
            10 | 11 => {
                let condition = self.one(&["ARGV[1]", "ARGV[2]", "a", "b"]);
                self.nested(&format!("if {condition} then"), "end;");
            }
            12 => self.nested("for i = 1, 2 do", "end;"),
            13 => {
                let over = self.one(&[
                    "ipairs(KEYS)",
                    "pairs(KEYS)",
                    "next, KEYS",
                    "ipairs(ARGV)",
                    "ipairs(keys)",
                    "g",
                ]);
                self.nested(&format!("for i, {name} in {over} do"), "end;");
            }
            14 => self.nested("for i = 1, 2 do repeat", "until true end;"),
            15 => self.nested("pcall(function()", "end);"),
            16 => self.nested("coroutine.wrap(function()", "end)();"),
            _ => {
                let name = self.one(&["f", "g"]);
                let function = self.function(name);
                self.write(&format!("local {function};"));
            }
        }
    }

    fn nested(&mut self, start: &str, end: &str) {
        self.write(start);
        self.depth += 1;
        self.block();
        self.depth -= 1;
        self.write(end);
    }
}

const DECLARED: [&[u8]; 3] = [b"one", b"two", b"three"];

/// Looks at the commands that a script calls.
struct Witness<'r> {
    registry: &'r Registry,
    patience: u32,
    calls: u64,
    /// A key that was touched and not declared.
    breach: Option<Vec<u8>>,
}

impl Witness<'_> {
    fn look(&mut self, frame: &Frame<'_>) {
        let words: Vec<&[u8]> = (1..=frame.len() as i32).map_while(|index| frame.bytes(index)).collect();
        if words.len() < frame.len() || words.is_empty() {
            return;
        }
        let found: Option<&Entry> = self.registry.lookup(words[0]);
        let Some(entry) = found.filter(|entry| entry.accepts(words.len())) else { return };
        self.calls += 1;
        for spec in &entry.key_specs {
            spec.positions(words.len(), |index| words[index], &mut |position| {
                if !DECLARED.contains(&words[position.arg]) {
                    self.breach = Some(words[position.arg].to_vec());
                }
            });
        }
    }
}

impl Host for Witness<'_> {
    fn call(&mut self, which: u8, frame: &mut Frame<'_>) -> Result<usize, Fault> {
        if matches!(which, host::CALL | host::PCALL) {
            self.look(frame);
        }
        frame.truncate(0);
        frame.push("undeclared")?;
        Ok(1)
    }

    fn interrupt(&mut self) -> Option<Stop> {
        self.patience -= 1;
        (self.patience == 0).then_some(Stop("ERR enough"))
    }
}

#[test]
fn confined_scripts_keep_to_their_keys() {
    let registry = Registry::new(&[]).unwrap();
    let seed = std::env::var("TIDEGATE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(7);
    let scripts = if cfg!(miri) { 30 } else { 1500 };
    let mut rng = Rng::new(seed);
    let (mut confined, mut calls, mut guilty) = (0, 0, 0);
    let mut state = State::new(64 << 20);
    state.with(|frame| api::open(frame, api::Users::Scripts)).unwrap();
    for _ in 0..scripts {
        let mut author = Author { rng: &mut rng, text: String::new(), depth: 0 };
        author.write(
            "local a, b, d, keys, r, c, t = KEYS[1], KEYS[2], 'get', KEYS, redis, redis.call, {KEYS[2]};",
        );
        let functions = match author.below(3) {
            0 => "local f, g = tostring, tostring;",
            1 => "local function f(a) return c('get', a) end local g = f;",
            _ => "local function g(a) redis.call('get', a) end local f = g;",
        };
        author.write(functions);
        author.block();
        author.block();
        let text = author.text;
        let Ok(script) = state.compile(text.as_bytes(), "@test") else { panic!("{text}") };
        let is_known = is_confined(&registry, &state.prototype(&script).unwrap());
        confined += u64::from(is_known);
        let mut was_guilty = false;
        for argv in [&[][..], &[&b"y"[..]], &[b"y", b"z"]] {
            let mut witness = Witness { registry: &registry, patience: 4, calls: 0, breach: None };
            let _ = state.call(
                &mut witness,
                &script,
                |frame| {
                    set_global(frame, "KEYS", DECLARED.into_iter())?;
                    set_global(frame, "ARGV", argv.iter().copied())?;
                    Ok(0)
                },
                |_, _| (),
            );
            if is_known {
                assert_eq!(witness.breach, None, "seed {seed}: {text}");
                calls += witness.calls;
            }
            was_guilty |= witness.breach.is_some();
        }
        guilty += u64::from(was_guilty);
        state.forget(script);
    }
    println!("{confined} of {scripts} confined, {calls} calls; {guilty} touched other keys");
    assert!(cfg!(miri) || confined > scripts / 50 && calls > scripts / 10 && guilty > scripts / 20);
}
