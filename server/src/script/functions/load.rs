//! Running the code of a library, which registers its functions.
//!
//! All functions of a thread live in one interpreter, apart from that of scripts. Its table of global variables is empty
//! and read-only; what stands for it is another table, and that is exchanged: code that is being loaded sees
//! `redis.register_function` and little else, a function sees what a script sees.

use super::flags::Flags;
use super::{Declared, metadata};
use crate::clock;
use crate::script::api::{host, log_line};
use crate::version::{REDIS_VERSION, REDIS_VERSION_NUMBER};
use tidegate_commands::model::Error;
use tidegate_lua::{Compiled, Failure, Fault, Frame, Host, Kind, State, Stop};

/// Bytes an interpreter may occupy in which a library is only looked at.
const MEMORY_MAX: usize = 64 << 20;

/// What the code of a library registers when it is run in an interpreter of its own.
pub(super) fn declared(source: &[u8], timeout_ms: i64) -> Result<Vec<Declared>, Error> {
    let mut state = interpreter(|_| Ok(()));
    let registered = run(&mut state, source, timeout_ms)?;
    Ok(registered.into_iter().map(|(declared, _)| declared).collect())
}

/// A fresh interpreter. `open` adds what functions find when they run to the empty table on top.
pub(super) fn interpreter(open: impl FnOnce(&mut Frame<'_>) -> Result<(), Fault>) -> State {
    let mut state = State::new(MEMORY_MAX);
    let opened = state.with(|frame| {
        open(frame)?;
        frame.truncate(0);
        prepare(frame)
    });
    opened.expect("a fresh interpreter takes its libraries");
    state
}

/// Moves the global variables to a table of their own, and makes the one with the load's.
fn prepare(frame: &mut Frame<'_>) -> Result<(), Fault> {
    frame.push_globals()?;
    frame.set_readonly(1, false)?;
    // Found by its methods: what stands for the globals now, and what may.
    frame.push_table(0, 3)?;
    let (globals, methods) = (1, 2);
    frame.push_table(0, 32)?;
    loop {
        frame.push_nil()?;
        if !frame.next(globals)? {
            break;
        }
        frame.push_copy(-2)?;
        frame.push_nil()?;
        frame.raw_set(globals)?;
        frame.raw_set(3)?;
    }
    frame.push_copy(3)?;
    frame.raw_set_field(3, "_G")?;
    guard(frame)?;
    frame.raw_set_field(methods, "run")?;
    push_load_globals(frame)?;
    frame.raw_set_field(methods, "load")?;
    frame.set_readonly(methods, true)?;
    frame.push_copy(methods)?;
    frame.set_metatable(globals)?;
    frame.set_readonly(globals, true)
}

/// What code that is being loaded may use.
fn push_load_globals(frame: &mut Frame<'_>) -> Result<(), Fault> {
    frame.push_table(0, 2)?;
    frame.push_table(0, 8)?;
    frame.push_host_function(host::REGISTER)?;
    frame.raw_set_field(-2, "register_function")?;
    frame.push_function(log)?;
    frame.raw_set_field(-2, "log")?;
    for (level, name) in ["LOG_DEBUG", "LOG_VERBOSE", "LOG_NOTICE", "LOG_WARNING"].into_iter().enumerate() {
        frame.push_number(level as f64)?;
        frame.raw_set_field(-2, name)?;
    }
    frame.push(REDIS_VERSION)?;
    frame.raw_set_field(-2, "REDIS_VERSION")?;
    frame.push_number(f64::from(REDIS_VERSION_NUMBER))?;
    frame.raw_set_field(-2, "REDIS_VERSION_NUM")?;
    guard(frame)?;
    frame.push_copy(-1)?;
    frame.raw_set_field(-3, "server")?;
    frame.raw_set_field(-2, "redis")?;
    guard(frame)
}

/// Makes the table on top read-only, and reading what is not in it an error.
fn guard(frame: &mut Frame<'_>) -> Result<(), Fault> {
    frame.push_table(0, 1)?;
    frame.push_function(|frame| {
        let name = frame.text(2).unwrap_or_default();
        Err(Fault::text([b"Script attempted to access nonexistent global variable '", name, b"'"].concat()))
    })?;
    frame.raw_set_field(-2, "__index")?;
    frame.set_readonly(-1, true)?;
    frame.set_metatable(-2)?;
    frame.set_readonly(-1, true)
}

/// From now on this (`load` or `run`) stands for the globals.
fn show(state: &mut State, which: &str) {
    let shown = state.with(|frame| {
        frame.push_globals()?;
        frame.push_metatable(1)?;
        frame.set_readonly(2, false)?;
        frame.raw_field(2, which)?;
        frame.raw_set_field(2, "__index")?;
        frame.set_readonly(2, true)
    });
    shown.expect("the interpreter was prepared");
}

/// Runs the code of a library, and gives what it registers.
pub(super) fn run(
    state: &mut State,
    source: &[u8],
    timeout_ms: i64,
) -> Result<Vec<(Declared, Compiled)>, Error> {
    let compiled = state.compile(source, "@user_function");
    let compiled = compiled.map_err(|text| with(b"ERR Error compiling function: ", &text))?;
    let deadline_ms = clock::unix_ms() + timeout_ms;
    let mut load = Load { registered: Vec::new(), deadline_ms };
    show(state, "load");
    let outcome = state.call(&mut load, &compiled, |_| Ok(0), |_, _| ());
    show(state, "run");
    state.forget(compiled);
    let text = match outcome {
        Ok(()) => return Ok(load.registered),
        Err(Failure::Error { text, .. } | Failure::Broken(text)) => text,
        Err(Failure::Stopped(Stop(text))) => text.into(),
    };
    for (_, function) in load.registered {
        state.forget(function);
    }
    Err(with(b"ERR Error registering functions: ", &text))
}

fn with(text: &[u8], cause: &[u8]) -> Error {
    Error::text([text, cause].concat())
}

/// What runs while a library is loaded.
struct Load {
    registered: Vec<(Declared, Compiled)>,
    deadline_ms: i64,
}

impl Host for Load {
    fn call(&mut self, which: u8, frame: &mut Frame<'_>) -> Result<usize, Fault> {
        if which != host::REGISTER {
            return Err(Fault::new("this function can only be called inside a script invocation"));
        }
        match self.register(frame) {
            Ok(()) => Ok(0),
            Err(Refusal::Text(text)) => {
                frame.push_table(0, 1)?;
                frame.push([b"ERR ", text.as_bytes()].concat())?;
                frame.raw_set_field(-2, "err")?;
                Err(Fault::Value)
            }
            Err(Refusal::Fault(fault)) => Err(fault),
        }
    }

    fn interrupt(&mut self) -> Option<Stop> {
        let is_over = clock::unix_ms() > self.deadline_ms;
        is_over.then_some(Stop("ERR FUNCTION LOAD timeout"))
    }
}

/// Why a function is not registered.
enum Refusal {
    Text(&'static str),
    Fault(Fault),
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Refusal::Fault(fault)
    }
}

impl From<&'static str> for Refusal {
    fn from(text: &'static str) -> Self {
        Refusal::Text(text)
    }
}

impl Load {
    /// `redis.register_function(name, callback)`, or with a table of named arguments.
    fn register(&mut self, frame: &mut Frame<'_>) -> Result<(), Refusal> {
        let mut declared = Declared { name: Vec::new(), description: None, flags: Flags::default() };
        match frame.len() {
            1 => named(frame, &mut declared)?,
            2 => {
                let name =
                    frame.text(1).ok_or("first argument to redis.register_function must be a string")?;
                declared.name = name.to_vec();
                if frame.kind(2) != Kind::Function {
                    return Err("second argument to redis.register_function must be a function".into());
                }
            }
            _ => return Err("wrong number of arguments to redis.register_function".into()),
        }
        // The callback is on top.
        if !metadata::is_name(&declared.name) {
            return Err(metadata::NAMES["ERR ".len()..].into());
        }
        if self.registered.iter().any(|(other, _)| other.name == declared.name) {
            return Err("Function already exists in the library".into());
        }
        let callback = State::keep(frame)?;
        self.registered.push((declared, callback));
        Ok(())
    }
}

/// Reads a table of named arguments, and leaves the callback on top.
fn named(frame: &mut Frame<'_>, declared: &mut Declared) -> Result<(), Refusal> {
    if frame.kind(1) != Kind::Table {
        return Err(
            "calling redis.register_function with a single argument is only applicable to Lua table \
                    (representing named arguments)."
                .into(),
        );
    }
    let (mut has_name, mut has_callback) = (false, false);
    // Where the callback goes.
    frame.push_nil()?;
    frame.push_nil()?;
    while frame.next(1)? {
        let key = match (frame.bytes(-2), frame.kind(-2)) {
            (Some(key), _) => key.to_ascii_lowercase(),
            (None, Kind::Number) => Vec::new(),
            _ => return Err("named argument key given to redis.register_function is not a string".into()),
        };
        match &key[..] {
            b"function_name" => {
                let name = frame.text(-1);
                let refusal = "function_name argument given to redis.register_function must be a string";
                declared.name = name.ok_or(refusal)?.to_vec();
                has_name = true;
            }
            b"description" => {
                let description = frame.text(-1);
                let refusal = "description argument given to redis.register_function must be a string";
                declared.description = Some(description.ok_or(refusal)?.to_vec());
            }
            b"callback" => {
                if frame.kind(-1) != Kind::Function {
                    return Err(
                        "callback argument given to redis.register_function must be a function".into()
                    );
                }
                has_callback = true;
                frame.push_copy(-1)?;
                frame.insert(2);
                frame.remove(3);
            }
            b"flags" => declared.flags = flags(frame)?,
            _ => return Err("unknown argument given to redis.register_function".into()),
        }
        frame.pop(1);
    }
    if !has_name {
        return Err("redis.register_function must get a function name argument".into());
    }
    if !has_callback {
        return Err("redis.register_function must get a callback argument".into());
    }
    frame.truncate(2);
    Ok(())
}

/// Reads the list of flags on top.
fn flags(frame: &mut Frame<'_>) -> Result<Flags, Refusal> {
    if frame.kind(-1) != Kind::Table {
        return Err(
            "flags argument to redis.register_function must be a table representing function flags".into()
        );
    }
    let mut flags = Flags::default();
    for index in 1.. {
        frame.raw_element(-1, index)?;
        if frame.kind(-1) == Kind::Nil {
            break;
        }
        if !frame.text(-1).is_some_and(|name| flags.set(name)) {
            return Err("unknown flag given".into());
        }
        frame.pop(1);
    }
    frame.pop(1);
    Ok(flags)
}

/// `redis.log`
fn log(frame: &mut Frame<'_>) -> Result<usize, Fault> {
    log_line(frame).map(|()| 0).map_err(Fault::new)
}
