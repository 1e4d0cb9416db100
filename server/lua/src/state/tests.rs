use super::*;
use crate::Place;

/// Answers with its arguments' texts in reverse; function 1 fails, function 2 is slow to be forgiven.
struct Echo {
    asked: u32,
    patience: u32,
}

impl Host for Echo {
    fn call(&mut self, which: u8, frame: &mut Frame<'_>) -> Result<usize, Fault> {
        match which {
            0 => {
                let count = frame.len();
                for index in (1..=count as i32).rev() {
                    frame.push_copy(index)?;
                }
                Ok(count)
            }
            1 => Err(Fault::new("refused")),
            _ => {
                frame.push(vec![b'x'; 1 << 20])?;
                Ok(1)
            }
        }
    }

    fn interrupt(&mut self) -> Option<Stop> {
        self.asked += 1;
        (self.asked > self.patience).then_some(Stop("ERR stopped"))
    }
}

fn state() -> State {
    let mut state = State::new(16 << 20);
    state
        .with(|frame| {
            frame.push_globals()?;
            for (which, name) in ["echo", "refuse", "fill"].into_iter().enumerate() {
                frame.push_host_function(which as u8)?;
                frame.raw_set_field(1, name)?;
            }
            frame.set_readonly(1, true)
        })
        .unwrap();
    state
}

fn run(state: &mut State, text: &str) -> Result<String, Failure> {
    let script = state.compile(text.as_bytes(), "@test").map_err(Failure::Broken)?;
    let result = state.call(
        &mut Echo { asked: 0, patience: 100 },
        &script,
        |_| Ok(0),
        |_, frame| {
            frame.text(-1).map_or_else(|| "-".into(), |text| String::from_utf8_lossy(text).into_owned())
        },
    );
    state.forget(script);
    result
}

fn error(state: &mut State, text: &str) -> String {
    match run(state, text).unwrap_err() {
        Failure::Error { text, .. } | Failure::Broken(text) => String::from_utf8_lossy(&text).into_owned(),
        Failure::Stopped(stop) => stop.0.into(),
    }
}

#[test]
fn values_go_there_and_back() {
    let mut state = state();
    assert_eq!(run(&mut state, "return table.concat({echo('a', 2, 'c')}, ' ')").unwrap(), "c 2 a");
    assert_eq!(run(&mut state, "return 0.1 + 0.2").unwrap(), "0.3");
    assert_eq!(run(&mut state, "return tostring(2^53)").unwrap(), "9.007199254741e+15");
}

#[test]
fn errors_name_their_place() {
    let mut state = state();
    let failure = run(&mut state, "\nreturn refuse()").unwrap_err();
    let Failure::Error { text, place, .. } = failure else { panic!("{failure:?}") };
    assert_eq!(text, b"ERR test:2: refused");
    assert_eq!(place, Some((b"@test".to_vec(), b"2".to_vec())));
    assert_eq!(error(&mut state, "x = 1"), "ERR test:1: Attempt to modify a readonly table");
    assert_eq!(run(&mut state, "return select(2, pcall(error, {err = 'E'}))").unwrap(), "E");
}

#[test]
fn tables_can_be_protected_from_every_function() {
    let mut state = state();
    for attack in [
        "_G.x = 1",
        "rawset(_G, 'x', 1)",
        "setmetatable(_G, {})",
        "table.insert(_G, 1)",
        "table.sort(_G, function() return true end)\n_G[1] = 2",
    ] {
        let text = error(&mut state, attack);
        assert!(text.contains("readonly table"), "{attack}: {text}");
    }
}

#[test]
fn a_script_that_is_stopped_cannot_go_on() {
    let mut state = state();
    for endless in [
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "local f = coroutine.wrap(function() while true do end end) while true do pcall(f) end",
        "return string.find(string.rep('a', 60), string.rep('.-', 60) .. 'b')",
    ] {
        assert_eq!(run(&mut state, endless), Err(Failure::Stopped(Stop("ERR stopped"))), "{endless}");
    }
    assert_eq!(run(&mut state, "return 'alive'").unwrap(), "alive");
}

#[test]
fn a_script_cannot_hide_in_coroutines() {
    // Each is over before it would be asked alone.
    let mut state = state();
    for text in [
        "local function f() for i = 1, 2 do pcall(coroutine.wrap(f)) end end while true do pcall(f) end",
        "while true do coroutine.wrap(function() for i = 1, 10000 do end end)() end",
        "local co = coroutine.wrap(function() while true do coroutine.yield() end end) while true do pcall(co) end",
    ] {
        assert_eq!(run(&mut state, text), Err(Failure::Stopped(Stop("ERR stopped"))), "{text}");
    }
    assert_eq!(run(&mut state, "return 'fine'").unwrap(), "fine");
}

#[test]
fn memory_is_limited() {
    let mut state = state();
    for greedy in [
        "return string.rep('x', 1e9)",
        "local t = {} while true do t[#t + 1] = string.rep('x', 1000) .. #t end",
        "local s = 'x' while true do s = s .. s end",
        "local t = {} while true do t[#t + 1] = fill() .. #t end",
        "return loadstring(string.rep('a = a ', 1e7))()",
    ] {
        let text = error(&mut state, greedy);
        assert!(text.contains("not enough memory") || text.contains("stopped"), "{greedy}: {text}");
        state.collect();
        assert!(state.used() < 1 << 20, "{greedy}");
    }
}

#[test]
fn known_attacks_fail() {
    let mut state = state();
    // CVE-2025-46817
    for range in ["-2, 2147483647", "0, 2147483647", "-2147483648, -2"] {
        let text = error(&mut state, &format!("return {{unpack({{1, 2, 3}}, {range})}}"));
        assert!(text.contains("too many results to unpack"), "{text}");
    }
    assert_eq!(run(&mut state, "return #{unpack({1, 2, 3}, 1, 3)}").unwrap(), "3");
    // Bytecode is not loaded, however it is called.
    assert_eq!(run(&mut state, "return tostring((loadstring(string.dump(function() end))))").unwrap(), "nil");
    assert_eq!(
        run(&mut state, "local d = string.dump(function() end) return tostring((load(function() local x = d d = nil return x end)))")
            .unwrap(),
        "nil"
    );
    // CVE-2025-49844: the collector runs while the name of the chunk is all that holds it.
    let text = "for i = 1, 30 do collectgarbage('collect') loadstring(string.rep('local a = 1 ', 50), string.rep('n', 5000) .. i) end return 'ok'";
    assert_eq!(run(&mut state, text).unwrap(), "ok");
    // CVE-2025-46819: separators of any length.
    let text = "local e = string.rep('=', 100000) return loadstring('return [' .. e .. '[x]' .. e .. ']')()";
    assert_eq!(run(&mut state, text).unwrap(), "x");
    assert_eq!(run(&mut state, "return [==[\na]=]b]==] .. '' --[==[ c ]==]").unwrap(), "a]=]b");
    assert!(run(&mut state, "return [=").is_err());
    // Deep recursion in patterns, functions, coroutines, and the parser.
    assert!(
        error(&mut state, "return string.find(string.rep('a', 300000), string.rep('a?', 300000))")
            .contains("too complex")
    );
    assert!(error(&mut state, "local function f() return 1 + f() end return f()").contains("stack overflow"));
    assert!(
        error(&mut state, "local function f() local r = coroutine.wrap(f) return 1 + r() end return f()")
            .contains("overflow")
    );
    assert!(run(&mut state, &format!("return {}1{}", "(".repeat(5000), ")".repeat(5000))).is_err());
    assert!(
        error(&mut state, "return loadstring('return ' .. string.rep('{', 5000))()").contains("nil value")
    );
    // CVE-2014-5461: many arguments for a vararg function with many registers.
    let text = "local function f(...) local a, b, c = ... return select('#', ...) end local t = {} for i = 1, 7000 do t[i] = i end return f(unpack(t))";
    assert_eq!(run(&mut state, text).unwrap(), "7000");
}

#[test]
fn what_reaches_the_machine_is_not_there() {
    let mut state = state();
    for name in
        ["print", "dofile", "loadfile", "require", "module", "package", "io", "os", "debug", "jit", "ffi"]
    {
        assert_eq!(run(&mut state, &format!("return type({name})")).unwrap(), "nil", "{name}");
    }
}

#[test]
fn frames_refuse_what_the_core_would_not_survive() {
    let mut state = state();
    state
        .with(|frame| {
            assert!(frame.raw_get(1).is_err() && frame.raw_set(-5).is_err() && frame.next(3).is_err());
            frame.push_table(0, 0)?;
            frame.push_nil()?;
            frame.push_number(1.0)?;
            assert!(frame.raw_set(1).is_err(), "nil is no key");
            frame.truncate(1);
            frame.push("no key")?;
            assert!(frame.next(1).is_err());
            assert_eq!((frame.kind(7), frame.kind(-7), frame.kind(0)), (Kind::None, Kind::None, Kind::None));
            assert_eq!(frame.place(50), None::<Result<Place, ()>>);
            let mut pushed = 0;
            while frame.push_nil().is_ok() {
                pushed += 1;
            }
            assert!((7000..9000).contains(&pushed), "{pushed}");
            Ok(())
        })
        .unwrap();
}
