//! What the libraries of scripts make of bytes from outside: `cjson.decode`, `cmsgpack.unpack`, `struct.unpack`. What was
//! read can be written, and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;
use tidegate::script::libs;
use tidegate_lua::{Compiled, Failure, Fault, Frame, Host, State, Stop};

/// Fails where a round trip does. Keys of objects have no order, and their texts only their length.
const SCRIPT: &[u8] = b"
local which, format, data = ...
if which == 0 then
    local ok, value = pcall(cjson.decode, data)
    local text
    if ok then ok, text = pcall(cjson.encode, value) end
    if ok then return #cjson.encode(cjson.decode(text)) == #text end
elseif which == 1 then
    local function repack(ok, ...)
        if ok and select('#', ...) > 0 then return cmsgpack.pack(...) end
    end
    -- Nesting beyond the limit, and nil in maps, are lost once.
    local packed = repack(pcall(cmsgpack.unpack, data))
    packed = packed and repack(pcall(cmsgpack.unpack, packed))
    if packed then return #repack(pcall(cmsgpack.unpack, packed)) == #packed end
else
    local ok, values = pcall(function() return {struct.unpack(format, data)} end)
    local fixed, size = pcall(struct.size, format)
    -- A size that c0 takes is not among the values any more.
    if ok and fixed then return #struct.pack(format, unpack(values)) == size end
end
return true";

struct Nobody;

impl Host for Nobody {
    fn call(&mut self, _: u8, _: &mut Frame<'_>) -> Result<usize, Fault> {
        Ok(0)
    }

    fn interrupt(&mut self) -> Option<Stop> {
        None
    }
}

thread_local! {
    static STATE: RefCell<(State, Compiled)> = {
        let mut state = State::new(16 << 20);
        state.with(libs::open).expect("a fresh interpreter takes its libraries");
        let script = state.compile(SCRIPT, "@fuzz").expect("the script compiles");
        RefCell::new((state, script))
    };
}

fuzz_target!(|input: &[u8]| {
    let Some((which, rest)) = input.split_first() else { return };
    let (format, data) = match which % 3 {
        2 => rest.split_at(rest.len().min(usize::from(which / 3 % 32))),
        _ => (&[][..], rest),
    };
    STATE.with_borrow_mut(|(state, script)| {
        let arguments = |frame: &mut Frame<'_>| {
            frame.push_number(f64::from(which % 3))?;
            frame.push(format)?;
            frame.push(data)?;
            Ok(3)
        };
        match state.call(&mut Nobody, script, arguments, |_, frame| frame.is_true(-1)) {
            Ok(is_kept) => assert!(is_kept, "a round trip changes something"),
            // Memory is limited.
            Err(Failure::Broken(_)) => {}
            Err(Failure::Error { text, .. }) => {
                let is_limit =
                    text.windows(6).any(|word| word == b"memory" || word == b"overfl" || word == b"nested");
                assert!(is_limit, "{}", text.escape_ascii());
            }
            Err(Failure::Stopped(_)) => unreachable!("nobody stops it"),
        }
    });
});
