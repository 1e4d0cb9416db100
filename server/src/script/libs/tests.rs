//! What redis-server 7.0.15 answered to some hundred expressions is recorded; the libraries must say the same.

use super::{ALL, open};
use tidegate_lua::{Failure, Fault, Frame, Host, Kind, State, Stop};

const MEMORY_MAX: usize = 16 << 20;

struct Nobody;

impl Host for Nobody {
    fn call(&mut self, _: u8, _: &mut Frame<'_>) -> Result<usize, Fault> {
        Err(Fault::new("nobody is there"))
    }

    fn interrupt(&mut self) -> Option<Stop> {
        None
    }
}

fn state() -> State {
    let mut state = State::new(MEMORY_MAX);
    state.with(open).unwrap();
    state
}

/// Evaluates an expression the way the recorded ones were: all its values, or the error, as text.
fn shown(state: &mut State, expression: &str) -> String {
    let script = format!(
        "local values = {{n = 0}} local ok, why = pcall(function() local function put(...) \
         values.n = select('#', ...) for i = 1, values.n do values[i] = (select(i, ...)) end end \
         put({expression}) end) if not ok then values = why end\n{}",
        include_str!("tests/show.lua")
    );
    let script = state.compile(script.as_bytes(), "@user_script").unwrap();
    let result = |_: &mut Nobody, frame: &mut Frame<'_>| {
        String::from_utf8_lossy(frame.bytes(-1).unwrap_or_default()).into_owned()
    };
    let shown = state.call(&mut Nobody, &script, |_| Ok(0), result);
    state.forget(script);
    shown.unwrap_or_else(|failure| match failure {
        Failure::Broken(text) => String::from_utf8_lossy(&text).into_owned(),
        other => format!("{other:?}"),
    })
}

#[test]
fn libraries_are_found_by_their_names() {
    let mut state = state();
    let found = state.with(|frame| {
        frame.push_globals()?;
        for library in ALL {
            frame.raw_field(1, library.name)?;
            assert_eq!(frame.kind(-1), Kind::Table, "{}", library.name);
            frame.truncate(1);
        }
        Ok(())
    });
    assert_eq!(found, Ok(()));
}

#[test]
fn answers_are_those_of_redis() {
    let mut state = state();
    let recorded = include_str!("tests/recorded.txt");
    let mut lines = recorded.lines();
    let mut wrong = String::new();
    let mut count = 0;
    while let (Some(expression), Some(expected)) = (lines.next(), lines.next()) {
        let answered = shown(&mut state, expression);
        let expected = expected.strip_prefix("    ").unwrap();
        if answered != expected {
            wrong.extend([expression, "\n  redis ", expected, "\n  here  ", &answered, "\n"]);
        }
        count += 1;
    }
    assert!(wrong.is_empty(), "\n{wrong}");
    assert!(count > 500, "{count}");
}

/// A small script could ask for results of any size, which are built outside its state.
#[test]
fn what_is_built_counts_against_the_memory_of_scripts() {
    let mut state = state();
    for expression in [
        "(function() local s = string.rep('x', 1000000) local t = {} for i = 1, 1000 do t[i] = s end \
         return cjson.encode(t) end)()",
        "(function() local t = {1} for i = 1, 60 do t = {t, t, t} end return cjson.encode(t) end)()",
        "(function() local t = {'x'} for i = 1, 15 do t = {t, t, t, t, t, t} end return cmsgpack.pack(t) end)()",
        "(function() local c = cjson.new() c.encode_sparse_array(false, 0) \
         return c.encode({[2147483647] = 1}) end)()",
        "(function() local s = string.rep('x', 1000000) local t = {} for i = 1, 1000 do t[i] = s end \
         return struct.pack(string.rep('s', 1000), unpack(t)) end)()",
        "cjson.decode('[' .. string.rep('[],', 1000000) .. '1]')",
        "cmsgpack.unpack(string.char(221, 0, 255, 255, 255) .. string.rep(string.char(144), 1000000))",
    ] {
        let answered = shown(&mut state, expression);
        let start = &answered[..80.min(answered.len())];
        assert!(answered.contains("not enough memory"), "{expression}: {start}");
    }
    assert_eq!(shown(&mut state, "cjson.encode({1})"), "\"[1]\"", "and the state is of use afterwards");
}

#[test]
fn large_tables_pass() {
    let mut state = state();
    for (expression, expected) in [
        (
            "#cjson.encode((function() local t = {} for i = 1, 50000 do t[i] = {i} end return t end)())",
            "388895",
        ),
        (
            "#cjson.encode((function() local t = {} for i = 1, 20000 do t['k' .. i] = {i} end return t end)())",
            "317789",
        ),
        (
            "#cmsgpack.unpack(cmsgpack.pack((function() local t = {} for i = 1, 50000 do t[i] = {'x' .. i} end \
          return t end)()))",
            "50000",
        ),
        (
            "#cjson.decode(cjson.encode((function() local t = {} for i = 1, 50000 do t[i] = {tostring(i)} end \
          return t end)()))",
            "50000",
        ),
    ] {
        assert_eq!(shown(&mut state, expression), expected, "{expression}");
    }
}
