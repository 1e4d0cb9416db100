//! One run of a script: under which shards, and what its calls of commands do.
//!
//! At its first call of a command a script takes the shards of its declared keys. It may call commands on any other key at
//! any time: the shard of that key is then taken as well. All shards are released together when it is over, so what it
//! did is one step for everybody else. What it computes before its first command, and making a reply of what it returns,
//! needs no shard: scripts of other threads go on meanwhile. To take shards out of order it has the [`Roam`] right from
//! its first command on, unless it is known to touch declared keys only ([`super::reach`]): then it needs no shard but
//! theirs, as any command with several keys.

use super::api::{self, host};
use super::busy::{Kind as Sort, Running};
use super::cache::Script;
use super::convert;
use super::engine::{Scratch, Verdict};
use super::functions::Callee;
use super::shebang::Permits;
use crate::acl::Asked;
use crate::dispatch::{Lookup, Route, Worker, lua_monitor_line, may_read_all, route_request, routed};
use crate::net::late;
use crate::registry::{Body, Entry};
use crate::running;
use crate::session::Session;
use crate::shard::exec::{Call, Grip};
use crate::shard::{Hold, Roam};
use crate::shared::{Shared, add};
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tidegate_commands::model::{
    Args, Error, Flag, Protocol, Reply, RoutedKey, Scope, Span, format_double_17,
};
use tidegate_lua::{Argument, Failure, Fault, Frame, Host, Stop};

/// Replies of other connections wait at most so long for a script on their thread, in milliseconds.
const PROMPT_MS: u64 = 2;

/// What runs.
#[derive(Debug, Clone, Copy)]
pub enum Code<'a> {
    /// A script of `EVAL`, which this thread has compiled.
    Script(&'a Arc<Script>),
    /// A function, whose library this thread has loaded.
    Function(&'a Callee),
}

impl<'a> Code<'a> {
    fn sort(self) -> Sort {
        match self {
            Code::Script(_) => Sort::Eval,
            Code::Function(_) => Sort::Function,
        }
    }

    /// What it may do.
    pub fn permits(self) -> Permits {
        match self {
            Code::Script(script) => script.shebang.permits,
            Code::Function(callee) => callee.permits(),
        }
    }

    /// What errors call it.
    fn name(self) -> Cow<'a, [u8]> {
        match self {
            Code::Script(script) => script.name().into_bytes().into(),
            Code::Function(callee) => callee.declared().name.as_slice().into(),
        }
    }
}

/// What a script is called with.
#[derive(Debug, Clone, Copy)]
pub struct Invocation<'a> {
    /// The request.
    pub args: &'a Args<'a>,
    /// Index of its first key among the arguments.
    pub first_key: usize,
    /// Number of its keys.
    pub keys: usize,
    /// It may not write: `EVAL_RO`.
    pub read_only: bool,
}

/// The shards of a run, and the right to take more of them.
enum Shards<'a, 's> {
    /// None yet: it has called no command. Whether it is known to touch declared keys only.
    Later { is_confined: bool },
    /// Its own. A script that will want no more has no right to.
    Own(Hold<'s>, Option<Roam<'s>>),
    /// Those of the transaction it runs in.
    Transaction(&'a mut Hold<'s>, &'a Roam<'s>),
    /// None any more.
    Released,
}

/// A run of a script.
struct Run<'a, 's> {
    worker: &'a mut Worker,
    code: Code<'a>,
    call: Invocation<'a>,
    scratch: &'a mut Scratch,
    caller: &'a Session,
    shards: Shards<'a, 's>,
    read_only: bool,
    allow_oom: bool,
    /// It has called a command that writes.
    wrote: bool,
    began: u64,
}

impl Worker {
    /// Runs a script or a function and writes its reply. `hold` and `roam` are those of the transaction it
    /// runs in.
    pub fn run_script<'s>(
        &mut self,
        caller: &Session,
        code: Code<'_>,
        call: Invocation<'_>,
        transaction: Option<(&mut Hold<'s>, &Roam<'s>)>,
        reply: &mut Reply<'_>,
    ) -> Result<Verdict, Error> {
        if let Some((hold, roam)) = transaction {
            return self.run_under(caller, code, call, Shards::Transaction(hold, roam), reply);
        }
        let is_confined = self.engine.as_ref().is_some_and(|engine| engine.is_confined(code));
        let verdict = self.run_under(caller, code, call, Shards::Later { is_confined }, reply);
        self.serve_postponed();
        verdict
    }

    /// Housekeeping: what nobody can call any more is let go.
    pub fn tidy_scripts(&mut self) {
        if let Some(engine) = &mut self.engine {
            engine.tidy(&self.shared);
            self.shared.scripts.note_states(self.index, engine.bytes());
        }
    }

    fn run_under(
        &mut self,
        caller: &Session,
        code: Code<'_>,
        call: Invocation<'_>,
        shards: Shards<'_, '_>,
        reply: &mut Reply<'_>,
    ) -> Result<Verdict, Error> {
        // A command that a script calls finds no engine: scripts do not call scripts.
        let Some(mut engine) = self.engine.take() else {
            return Err(Error::new("ERR This Redis command is not allowed from script"));
        };
        let mut is_used_up = false;
        let result = match engine.parts(code) {
            None => Err(Error::new("NOSCRIPT No matching script. Please use EVAL.")),
            Some((state, compiled, scratch)) => {
                let permits = code.permits();
                let began = self.stopwatch.ticks();
                self.shared.scripts.busy.begin(self.index, code.sort());
                state.set_limit(self.shared.config.hot().script_memory_limit.get());
                scratch.session.db = caller.db;
                scratch.session.protocol = Protocol::Resp2;
                scratch.session.no_touch = caller.no_touch;
                let mut run = Run {
                    worker: self,
                    code,
                    call,
                    scratch,
                    caller,
                    shards,
                    read_only: call.read_only || permits.declared && permits.no_writes,
                    allow_oom: permits.declared && permits.allow_oom,
                    wrote: false,
                    began,
                };
                run.worker.exec.is_scripted = true;
                let mut verdict = Verdict::default();
                let mark = reply.mark();
                let outcome = state.call(
                    &mut run,
                    compiled,
                    |frame| {
                        let keys = call.first_key..call.first_key + call.keys;
                        for (name, words) in [("KEYS", keys.clone()), ("ARGV", keys.end..call.args.len())] {
                            let words = words.map(|index| call.args.get(index));
                            match code {
                                Code::Script(_) => set_global(frame, name, words)?,
                                Code::Function(_) => frame.push_array(words)?,
                            }
                        }
                        Ok(if code.sort() == Sort::Function { 2 } else { 0 })
                    },
                    |run, frame| {
                        run.release();
                        let typed = run.scratch.session.protocol == Protocol::Resp3;
                        convert::write_value(frame, reply, typed, &mut verdict)
                    },
                );
                run.finish();
                match outcome {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => {
                        reply.truncate(mark);
                        verdict.failed(b"ERR", false);
                        reply.error(&Error::new("ERR reached lua stack limit"));
                    }
                    Err(failure) => {
                        is_used_up = matches!(failure, Failure::Broken(_));
                        let (text, is_counted) = explain(failure, &code.name());
                        verdict.failed(&text, is_counted);
                        if is_used_up { reply.error(&Error::text(text)) } else { reply.error_line(&text) }
                    }
                }
                Ok(verdict)
            }
        };
        if is_used_up && code.sort() == Sort::Function {
            engine.functions.start_over();
        }
        self.shared.scripts.note_states(self.index, engine.bytes());
        self.engine = Some(engine);
        result
    }
}

/// Sets a global variable to an array of strings, though globals are read-only.
pub(super) fn set_global<'a>(
    frame: &mut Frame<'_>,
    name: &str,
    values: impl ExactSizeIterator<Item = &'a [u8]>,
) -> Result<(), Fault> {
    frame.push_array(values)?;
    frame.set_global(name)
}

/// What the caller of a failed script is told, and whether the error was counted already.
fn explain(failure: Failure, name: &[u8]) -> (Vec<u8>, bool) {
    match failure {
        Failure::Error { text, place, is_counted } => {
            let mut full = convert::until_zero(&text).to_vec();
            if let Some((source, line)) = place {
                full.extend_from_slice(b" script: ");
                full.extend_from_slice(name);
                full.extend_from_slice(b", on ");
                full.extend_from_slice(&source);
                full.push(b':');
                full.extend_from_slice(&line);
                full.push(b'.');
            }
            (full, is_counted)
        }
        Failure::Broken(text) => {
            let text = convert::until_zero(&text);
            let shown = &text[..text.len().min(100)];
            ([b"ERR Error running script ", name, b", ", shown].concat(), false)
        }
        Failure::Stopped(Stop(text)) => ([text.as_bytes(), b" script: ", name, b"."].concat(), false),
    }
}

/// What `FUNCTION STATS` tells of a function that runs for so long.
#[cold]
fn running(code: Code<'_>, call: Invocation<'_>, elapsed_ms: u64) -> Option<Running> {
    (code.sort() == Sort::Function).then(|| Running {
        name: code.name().into_owned(),
        command: (0..call.args.len()).map(|index| call.args.get(index).to_vec()).collect(),
        began_ms: crate::clock::unix_ms() - elapsed_ms as i64,
    })
}

#[cold]
fn log_slow(code: Code<'_>, elapsed_ms: u64) {
    let kill = if code.sort() == Sort::Function { "FUNCTION KILL" } else { "SCRIPT KILL" };
    tracing::warn!(
        "Slow script detected: still in execution after {elapsed_ms} milliseconds. You can try killing the script using the \
         {kill} command. Script name is: {}.",
        String::from_utf8_lossy(&code.name())
    );
}

impl Host for Run<'_, '_> {
    fn call(&mut self, which: u8, frame: &mut Frame<'_>) -> Result<usize, Fault> {
        match which {
            host::CALL => self.command(frame, true),
            host::PCALL => self.command(frame, false),
            host::SET_RESP => {
                if frame.len() != 1 {
                    return api::raise(frame, "redis.setresp() requires one argument.");
                }
                match convert::protocol(frame.to_number(1).unwrap_or_default()) {
                    Some(protocol) => self.scratch.session.protocol = protocol,
                    None => return api::raise(frame, "RESP version must be 2 or 3."),
                }
                Ok(0)
            }
            host::SET_REPL => {
                if frame.len() != 1 {
                    return api::raise(frame, "redis.set_repl() requires two arguments.");
                }
                let flags = frame.to_number(1).unwrap_or_default() as i64;
                if flags & !3 != 0 {
                    return api::raise(
                        frame,
                        "Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.",
                    );
                }
                // There is one stream for both: what is to be in either is in it.
                self.worker.exec.is_secret = flags == 0;
                Ok(0)
            }
            host::ACL_CHECK => {
                if let Err(text) = self.collect_words(frame) {
                    return api::raise(frame, text);
                }
                match Lookup::of(self.worker.shared.registry, &self.scratch.words, &self.scratch.spans) {
                    Lookup::Found(entry) => {
                        let user = self.caller.user.as_ref();
                        let allowed = user.is_none_or(|user| user.check(&self.asked(entry)).is_ok());
                        frame.push_boolean(allowed).map(|()| 1)
                    }
                    _ => api::raise(frame, "Invalid command passed to redis.acl_check_cmd()"),
                }
            }
            host::RANDOM => api::random(&mut self.scratch.random, frame),
            host::RANDOM_SEED => {
                let seed = frame.to_number(1).ok_or(Fault::Type(1, "number"))?;
                self.scratch.random = api::Random::chosen(seed as i64 as u32);
                Ok(0)
            }
            host::REGISTER => {
                api::raise(frame, "redis.register_function can only be called on FUNCTION LOAD command")
            }
            _ => Err(Fault::new("there is no such function")),
        }
    }

    fn interrupt(&mut self) -> Option<Stop> {
        let worker = &mut *self.worker;
        let (shared, index) = (worker.eternal, worker.index);
        if shared.shutdown.is_requested() {
            return Some(Stop("ERR The server is shutting down"));
        }
        let busy = &shared.scripts.busy;
        let threshold_ms = shared.config.hot().busy_reply_threshold.get();
        let elapsed_ms = worker.stopwatch.nanos(self.began, worker.stopwatch.ticks()) / 1_000_000;
        if elapsed_ms >= PROMPT_MS {
            // Others were served in this round, and would wait for the end of the script.
            late::send_now(shared);
        }
        if threshold_ms > 0 && elapsed_ms >= threshold_ms as u64 {
            busy.note_slow(index, || {
                log_slow(self.code, elapsed_ms);
                running(self.code, self.call, elapsed_ms)
            });
            super::attend::serve(shared, index);
        }
        if busy.is_killed(index) {
            tracing::warn!("Lua script killed by user with SCRIPT KILL.");
            return Some(Stop("ERR Error running script: Script killed by user with SCRIPT KILL..."));
        }
        None
    }
}

impl Run<'_, '_> {
    /// The script has called its first command: it takes the shards of its keys.
    fn begin(&mut self, is_confined: bool) {
        let shared: &'static Shared = self.worker.eternal;
        let roam = (!is_confined).then(|| shared.shards.roam());
        let declared = self.call.args.keys().map(tidegate_data::Key::shard);
        let hold = shared.shards.hold(declared.chain(self.worker.exec.stream_shard()).collect());
        self.shards = Shards::Own(hold, roam);
    }

    /// It will call no more commands: what it did is complete, and its shards are free. Does nothing the second time.
    fn release(&mut self) {
        let worker = &mut *self.worker;
        worker.exec.is_secret = false;
        worker.exec.is_scripted = false;
        if let Shards::Own(hold, _) = &mut self.shards {
            worker.exec.finish_unit(&mut Grip::Many(hold));
            if worker.exec.needs_attention {
                worker.serve_ready(&mut Grip::Many(hold));
            }
            self.scratch.keys.clear();
        }
        self.shards = Shards::Released;
    }

    /// The script is over.
    fn finish(mut self) {
        self.release();
        let worker = &mut *self.worker;
        // Nobody can choose what the next script gets.
        self.scratch.random.end(|| worker.exec.rng().next() as u32);
        if worker.shared.scripts.busy.end(worker.index) {
            super::attend::end(worker.eternal);
        }
    }

    /// Copies the arguments of a call into the scratch room.
    fn collect_words(&mut self, frame: &Frame<'_>) -> Result<(), &'static str> {
        let Scratch { words, spans, .. } = &mut *self.scratch;
        words.clear();
        spans.clear();
        if frame.is_empty() {
            return Err("Please specify at least one argument for this redis lib call");
        }
        for index in 1..=frame.len() as i32 {
            let start = words.len();
            match frame.argument(index) {
                Argument::Text(text) => words.extend_from_slice(text),
                Argument::Number(number) => write_number(words, number),
                Argument::Other => return Err("Lua redis lib command arguments must be strings or integers"),
            }
            let (Ok(start), Ok(len)) = (u32::try_from(start), u32::try_from(words.len() - start)) else {
                return Err("Lua redis lib command arguments are too large");
            };
            spans.push(Span { start, len });
        }
        Ok(())
    }

    /// `redis.call` and `redis.pcall`.
    fn command(&mut self, frame: &mut Frame<'_>, raises: bool) -> Result<usize, Fault> {
        if let Err(text) = self.collect_words(frame) {
            convert::push_error(frame, format!("ERR {text}").as_bytes(), false)?;
            return if raises { Err(Fault::Value) } else { Ok(1) };
        }
        frame.truncate(0);
        self.scratch.reply.clear();
        let is_error = match self.permitted() {
            Ok(entry) => {
                let nanos = self.execute(entry);
                // About as many instructions could have run meanwhile.
                frame.charge((nanos / 10) as usize);
                let is_error = self.scratch.reply.first() == Some(&b'-');
                // Most replies of `redis.call` as a statement: nobody looks at them.
                let pushed = if frame.is_statement() && !(is_error && raises) {
                    frame.push_nil()
                } else {
                    convert::push_reply(frame, &self.scratch.reply, &mut 0)
                };
                if self.scratch.reply.capacity() > 1 << 20 {
                    self.scratch.reply = Vec::new();
                }
                pushed?;
                is_error
            }
            Err((entry, error)) => {
                let message = error.message();
                self.worker.count_error_text(&message);
                if let Some(entry) = entry {
                    add(&self.worker.stats.commands[entry.id].rejected, 1);
                }
                convert::push_error(frame, &message, true)?;
                true
            }
        };
        if raises && is_error { Err(Fault::Value) } else { Ok(1) }
    }

    /// What is called, as rights are asked about it.
    fn asked(&self, entry: &'static Entry) -> Asked<'_> {
        let Scratch { words, spans, session, .. } = &*self.scratch;
        Asked { entry, buf: words, spans, is_real: true, db: session.db as u32 }
    }

    /// The command that is called, if a script may call it now.
    fn permitted(&mut self) -> Result<&'static Entry, (Option<&'static Entry>, Error)> {
        let worker = &*self.worker;
        let spans = &self.scratch.spans;
        let Lookup::Found(entry) = Lookup::of(worker.shared.registry, &self.scratch.words, spans) else {
            return Err((None, Error::new("ERR Unknown Redis command called from script")));
        };
        let refuse = |text: &'static str| Err((Some(entry), Error::new(text)));
        if !entry.accepts(spans.len()) || entry.is_container() {
            return refuse("ERR Wrong number of args calling Redis command from script");
        }
        let allow_all = || worker.shared.debug.allow_all_in_scripts.load(Relaxed);
        if entry.flags.has(Flag::Noscript) && !allow_all() {
            return refuse("ERR This Redis command is not allowed from script");
        }
        if self.caller.is_limited
            && let Some(text) = worker.denied_in_script(self.caller, &self.asked(entry))
        {
            return refuse(text);
        }
        if self.read_only && (entry.writes() || entry.flags.has(Flag::MayReplicate)) {
            return refuse("ERR Write commands are not allowed from read-only scripts.");
        }
        if worker.disk_trouble
            && entry.writes()
            && !self.wrote
            && let Some(trouble) = worker.shared.disk_trouble()
        {
            return Err((Some(entry), trouble.refusal()));
        }
        if worker.out_of_memory && entry.flags.has(Flag::DenyOom) && !self.allow_oom && !self.wrote {
            return refuse("OOM command not allowed when used memory > 'maxmemory'.");
        }
        if worker.shared.native.quotas.is_on() && !self.allow_oom && !self.wrote {
            let Scratch { words, spans, session, .. } = &*self.scratch;
            if let Some(error) = worker.quota_refusal(entry, words, spans, session.db) {
                return Err((Some(entry), error));
            }
        }
        if entry.flags.has(Flag::Blocking) && matches!(entry.name.as_str(), "xread" | "xreadgroup") {
            let word = |span: &Span| span.slice(&self.scratch.words);
            let mut options = spans[1..].iter().map(word);
            let before_streams = options.by_ref().take_while(|word| !word.eq_ignore_ascii_case(b"streams"));
            if before_streams.into_iter().any(|word| word.eq_ignore_ascii_case(b"block")) {
                let name = String::from_utf8_lossy(word(&spans[0])).into_owned();
                let text = format!("ERR {name} command is not allowed with BLOCK option from scripts");
                return Err((Some(entry), Error::text(text)));
            }
        }
        if entry.writes() && !self.wrote {
            self.wrote = true;
            worker.shared.scripts.busy.note_write(worker.index);
        }
        Ok(entry)
    }

    /// Takes the shards of the command, runs it, and leaves its reply in the scratch room. Tells how many nanoseconds it took.
    fn execute(&mut self, entry: &'static Entry) -> u64 {
        if let Shards::Later { is_confined } = self.shards {
            self.begin(is_confined);
        }
        let reads_all_keys = !self.caller.is_limited || may_read_all(self.caller, &self.asked(entry));
        let (hold, roam) = match &mut self.shards {
            Shards::Own(hold, roam) => (hold, roam.as_ref()),
            Shards::Transaction(hold, roam) => (&mut **hold, Some(*roam)),
            Shards::Later { .. } | Shards::Released => {
                unreachable!("a script takes its shards at its first command, and keeps them")
            }
        };
        let worker = &mut *self.worker;
        worker.exec.limits.reads_all_keys = reads_all_keys;
        let Scratch { words, spans, keys, last_key, reply: out, session, .. } = &mut *self.scratch;
        keys.clear();
        let route = match entry.single_key {
            // A script calls several commands on one key.
            Some(at) if at < spans.len() && entry.scope == Scope::Keys => {
                let name = spans[at].slice(words);
                let key = last_key.find(name, || routed(worker.eternal, at, name));
                keys.push(RoutedKey { arg: at as u32, ..key });
                Route::One(key.shard)
            }
            _ => route_request(worker.eternal, entry, words, spans, keys),
        };
        match (route, roam) {
            // What is published goes to queues that may be anywhere.
            (Route::None, Some(roam))
                if !worker.shared.native.bindings.is_empty() && entry.name == "publish" =>
            {
                roam.extend_to_all(hold);
            }
            (Route::None, _) => {}
            (Route::All, Some(roam)) => roam.extend_to_all(hold),
            (Route::One(_) | Route::Many, Some(roam)) => roam.extend(hold, keys.iter().map(|key| key.shard)),
            (Route::One(_) | Route::Many, None) if keys.iter().all(|key| hold.has(key.shard)) => {}
            (_, None) => {
                // Waiting for it here could be for ever.
                debug_assert!(false, "a script that was found to touch declared keys only wants others");
                tracing::error!("A script was misjudged: {} is refused to it", entry.name);
                let error = Error::new("ERR This key was not declared by the script");
                Reply::new(out, session.protocol).error(&error);
                return 0;
            }
        }
        let started = worker.stopwatch.ticks();
        let args = Args::new(words, spans, keys, entry.words);
        running::begin_inner(entry);
        let error = match entry.body {
            Body::Data(handler) => {
                let access = worker.access(session);
                let mut call = Call { handler, args, db: session.db, access, is_retry: false };
                let mut grip = match route {
                    Route::None => Grip::None,
                    Route::One(shard) => Grip::Part(hold, shard),
                    Route::Many | Route::All => Grip::Many(hold),
                };
                let mut reply = Reply::new(out, session.protocol);
                let error = worker.exec.run(&mut grip, &mut call, &mut reply).err();
                if Worker::remembers(self.caller, entry) {
                    // What counts as read are the keys that the script declared, as soon as it reads anything.
                    let (declared, id) = (self.call.args, self.caller.client.id);
                    let words = |arg: usize| declared.get(arg);
                    worker.exec.remember(&mut Grip::Many(hold), declared.routed(), &words, id);
                }
                if let Some(wait) = worker.exec.take_wait() {
                    wait.refused.write(&mut reply);
                }
                error
            }
            Body::Control(control) => worker.control_in_script(session, control, entry, args, hold, out),
            Body::Container => None,
        };
        running::end_inner();
        let redacted = std::mem::take(&mut session.redacted);
        let shown = || -> Vec<&[u8]> {
            let is_secret = |index: usize| redacted.contains(&index);
            let shown = |(index, span): (usize, &Span)| {
                if is_secret(index) { b"(redacted)" } else { span.slice(words) }
            };
            spans.iter().enumerate().map(shown).collect()
        };
        if worker.shared.clients.is_monitored()
            && !entry.flags.has(Flag::SkipMonitor)
            && !entry.flags.has(Flag::Admin)
        {
            worker.shared.feed_monitors(&lua_monitor_line(session.db, &shown()));
        }
        let nanos = worker.count_in_script(self.caller, entry, started, error, shown);
        // A script may take its time: messages, those of others included, do not wait for its end.
        worker.exec.news.ring();
        // Freeing under the hold is slow for others, keeping everything until its end can be fatal for all.
        if worker.exec.is_heavy() {
            worker.exec.free_garbage();
        }
        nanos
    }
}

/// A number as an argument: all its digits, and no more.
fn write_number(words: &mut Vec<u8>, number: f64) {
    use std::io::Write as _;
    const DIGITS_MAX: f64 = 1e16;
    #[expect(clippy::float_cmp, reason = "only an integer is equal to its integer")]
    if number.abs() < DIGITS_MAX && number.trunc() == number && (number != 0.0 || number.is_sign_positive()) {
        write!(words, "{}", number as i64).expect("writing to a Vec cannot fail");
    } else {
        words.extend_from_slice(format_double_17(number).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_arguments_with_all_their_digits() {
        for (number, text) in [
            (9_007_199_254_740_991.0, "9007199254740991"),
            (1.0, "1"),
            (-3.0, "-3"),
            (0.1, "0.10000000000000001"),
            (1e100, "1.0000000000000000e+100"),
        ] {
            let mut words = Vec::new();
            write_number(&mut words, number);
            let words = String::from_utf8(words).unwrap();
            assert!(words == text || number > 1e17, "{words}");
        }
    }
}
