//! What the registers of every function of a script can hold, followed through all ways the script can take.

use super::calls::{self, Arguments};
use super::cells::{Cells, captures, words_behind};
use super::{Unclear, Value};
use crate::registry::Registry;
use hashbrown::HashMap;
use tidegate_lua::bytecode::{Constant, Instruction, Operation, Prototype, constant_of};

/// Nothing is known of a script after so many values were looked at: a millisecond or two.
const BUDGET: usize = 400_000;
/// More values than this are not kept for one function: its instructions times its registers.
const STATES_MAX: usize = 100_000;
/// Nor is anything known of a script with more functions than this.
const FUNCTIONS_MAX: usize = 1000;

/// A script: its functions, and what is known of each.
pub(super) struct Program<'p> {
    registry: &'p Registry,
    constants: Vec<&'p Constant>,
    functions: Vec<Function<'p>>,
    /// Functions to look at (again).
    open: Vec<usize>,
    budget: usize,
}

struct Function<'p> {
    code: &'p Prototype,
    cells: Cells,
    /// The functions inside of it.
    inner: Vec<usize>,
    /// The number of each of its constants in the program.
    constants: Vec<Value>,
    /// It may be called.
    is_reached: bool,
    /// It may be called out of sight, with anything.
    is_lost: bool,
    /// It is to be looked at (again).
    is_open: bool,
    /// What it may be called with.
    parameters: Vec<Value>,
    /// What the variables of outer functions can hold that it uses; `None` before it is made for the first time.
    upvalues: Vec<Option<Value>>,
}

/// The registers at some place.
#[derive(Debug, Clone, PartialEq)]
struct State {
    registers: Vec<Value>,
    /// From this register on there are any number of values.
    open_from: Option<usize>,
}

impl State {
    fn get(&self, register: usize) -> Result<Value, Unclear> {
        self.registers.get(register).copied().ok_or(Unclear)
    }

    fn set(&mut self, register: usize, value: Value) -> Result<(), Unclear> {
        *self.registers.get_mut(register).ok_or(Unclear)? = value;
        Ok(())
    }

    /// Sets all registers from `first` on.
    fn fill(&mut self, first: usize, value: Value) -> Result<(), Unclear> {
        self.registers.get_mut(first..).ok_or(Unclear)?.fill(value);
        Ok(())
    }
}

/// Where it goes on.
type Successors = Vec<(usize, State)>;

impl<'p> Program<'p> {
    pub(super) fn new(registry: &'p Registry, script: &'p Prototype) -> Option<Self> {
        let mut program = Program {
            registry,
            constants: Vec::new(),
            functions: Vec::new(),
            open: Vec::new(),
            budget: BUDGET,
        };
        let main = program.add(script)?;
        program.functions[main].is_reached = true;
        program.reopen(main);
        Some(program)
    }

    /// Adds a function after those inside of it.
    fn add(&mut self, code: &'p Prototype) -> Option<usize> {
        if code.code.len().checked_mul(code.registers)? > STATES_MAX {
            return None;
        }
        let inner = code.functions.iter().map(|inner| self.add(inner)).collect::<Option<Vec<_>>>()?;
        let cells: Vec<Cells> =
            inner.iter().map(|inner| std::mem::take(&mut self.functions[*inner].cells)).collect();
        let own = Cells::of(code, &cells)?;
        for (inner, cells) in inner.iter().zip(cells) {
            self.functions[*inner].cells = cells;
        }
        let constants = code.constants.iter().map(|constant| self.constant(constant)).collect();
        self.functions.push(Function {
            code,
            cells: own,
            inner,
            constants,
            is_reached: false,
            is_lost: false,
            is_open: false,
            parameters: vec![Value::Nothing; code.parameters],
            upvalues: vec![None; code.upvalues],
        });
        (self.functions.len() <= FUNCTIONS_MAX).then(|| self.functions.len() - 1)
    }

    fn constant(&mut self, constant: &'p Constant) -> Value {
        if *constant == Constant::Simple {
            return Value::Nothing;
        }
        // Equal ones are one: what holds the one or the other holds the same.
        let known = self.constants.iter().rev().take(64).position(|other| *other == constant);
        let index = known.map_or(self.constants.len(), |back| self.constants.len() - 1 - back);
        let Ok(number) = u16::try_from(index) else { return Value::Plain };
        if known.is_none() {
            self.constants.push(constant);
        }
        Value::Constant(number)
    }

    /// True when all that it can touch is declared.
    pub(super) fn passes(mut self) -> bool {
        while let Some(function) = self.open.pop() {
            self.functions[function].is_open = false;
            if self.follow(function).is_err() {
                return false;
            }
        }
        true
    }

    /// What is known of a function has changed.
    fn reopen(&mut self, function: usize) {
        if !std::mem::replace(&mut self.functions[function].is_open, true) {
            self.open.push(function);
        }
    }

    /// A function gets out of sight: it may be called with anything that is not guarded.
    fn lose(&mut self, function: u16) {
        let function = usize::from(function);
        if std::mem::replace(&mut self.functions[function].is_lost, true) {
            return;
        }
        let was_reached = std::mem::replace(&mut self.functions[function].is_reached, true);
        for index in 0..self.functions[function].parameters.len() {
            let before = self.functions[function].parameters[index];
            let joined = if was_reached { self.join(before, Value::Plain) } else { Value::Plain };
            self.functions[function].parameters[index] = joined;
        }
        self.reopen(function);
    }

    /// A value gets out of sight.
    fn give_away(&mut self, value: Value) -> Result<(), Unclear> {
        match value {
            Value::Function(function) => {
                self.lose(function);
                Ok(())
            }
            value if value.is_guarded() => Err(Unclear),
            _ => Ok(()),
        }
    }

    fn join(&mut self, one: Value, other: Value) -> Value {
        let mut lost = Vec::new();
        let joined = one.or(other, |function| lost.push(function));
        for function in lost {
            self.lose(function);
        }
        joined
    }

    /// A function of the program is called in sight.
    fn called(&mut self, function: u16, arguments: &[Value], rest: Option<Value>) -> Result<(), Unclear> {
        let function = usize::from(function);
        let named = self.functions[function].code.parameters;
        if self.functions[function].code.is_vararg {
            for value in arguments.iter().skip(named).copied().chain(rest) {
                self.give_away(value)?;
            }
        }
        let mut is_news = !self.functions[function].is_reached;
        for index in 0..named {
            let mut value = arguments.get(index).copied().or(rest).unwrap_or(Value::Nothing);
            if index >= arguments.len() && rest.is_some() {
                value = self.join(value, Value::Nothing);
            }
            let before = self.functions[function].parameters[index];
            let joined = if self.functions[function].is_reached { self.join(before, value) } else { value };
            is_news |= joined != before;
            self.functions[function].parameters[index] = joined;
        }
        self.functions[function].is_reached = true;
        if is_news {
            self.reopen(function);
        }
        Ok(())
    }

    /// Follows all ways through a function.
    fn follow(&mut self, function: usize) -> Result<(), Unclear> {
        let code = self.functions[function].code;
        let mut registers = vec![Value::Nothing; code.registers];
        let parameters = &self.functions[function].parameters;
        registers.get_mut(..parameters.len()).ok_or(Unclear)?.copy_from_slice(parameters);
        if code.is_vararg
            && let Some(arg) = registers.get_mut(code.parameters)
        {
            // The table `arg` of functions in the manner of Lua 5.0.
            *arg = Value::Plain;
        }
        let mut states: HashMap<usize, State, foldhash::fast::RandomState> = HashMap::default();
        let (mut work, mut is_queued) = (vec![0], vec![false; code.code.len()]);
        states.insert(0, State { registers, open_from: None });
        while let Some(at) = work.pop() {
            self.budget = self.budget.checked_sub(1 + code.registers).ok_or(Unclear)?;
            *is_queued.get_mut(at).ok_or(Unclear)? = false;
            let mut state = states.get(&at).ok_or(Unclear)?.clone();
            self.hide_assigned(function, &mut state, |scope| scope.start <= at && at <= scope.end)?;
            for (next, mut state) in self.step(function, at, state)? {
                self.hide_assigned(function, &mut state, |scope| scope.contains(&at))?;
                match states.get_mut(&next) {
                    None => {
                        states.insert(next, state);
                        work.push(next);
                    }
                    Some(before) => {
                        if before.open_from != state.open_from {
                            return Err(Unclear);
                        }
                        let mut is_news = false;
                        for (before, now) in before.registers.iter_mut().zip(state.registers) {
                            let joined = self.join(*before, now);
                            is_news |= joined != *before;
                            *before = joined;
                        }
                        if is_news && !std::mem::replace(&mut is_queued[next], true) {
                            work.push(next);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Variables that functions assign to while this one does not look hold anything.
    fn hide_assigned(
        &mut self,
        function: usize,
        state: &mut State,
        sees: impl Fn(&std::ops::Range<usize>) -> bool,
    ) -> Result<(), Unclear> {
        for index in 0..self.functions[function].cells.assigned.len() {
            let local = &self.functions[function].cells.assigned[index];
            if sees(&local.scope) {
                let register = local.register;
                self.give_away(state.get(register)?)?;
                state.set(register, Value::Plain)?;
            }
        }
        Ok(())
    }

    /// The value of an operand that may be a constant.
    fn operand(&self, function: usize, state: &State, operand: usize) -> Result<Value, Unclear> {
        match constant_of(operand) {
            Some(constant) => self.functions[function].constants.get(constant).copied().ok_or(Unclear),
            None => state.get(operand),
        }
    }

    fn text(&self, value: Value) -> Option<&'p [u8]> {
        match value {
            Value::Constant(constant) => match self.constants[usize::from(constant)] {
                Constant::Text(text) => Some(text),
                _ => None,
            },
            _ => None,
        }
    }

    /// What is behind one instruction.
    fn step(&mut self, function: usize, at: usize, mut state: State) -> Result<Successors, Unclear> {
        use Operation as O;
        let code = self.functions[function].code;
        let instruction = *code.code.get(at).ok_or(Unclear)?;
        let (a, b, c) = (instruction.a(), instruction.b(), instruction.c());
        let next = at + 1;
        let jumped = || next.checked_add_signed(instruction.distance()).ok_or(Unclear);
        match instruction.operation().ok_or(Unclear)? {
            O::Move => state.set(a, state.get(b)?)?,
            O::LoadK => {
                let constant = self.functions[function].constants.get(instruction.wide());
                state.set(a, *constant.ok_or(Unclear)?)?;
            }
            O::LoadBool => {
                state.set(a, Value::Nothing)?;
                return Ok(vec![(next + usize::from(c != 0), state)]);
            }
            O::LoadNil => (a..=b).try_for_each(|register| state.set(register, Value::Nothing))?,
            O::GetUpvalue => {
                let upvalue = self.functions[function].upvalues.get(b).copied().flatten();
                state.set(a, upvalue.ok_or(Unclear)?)?;
            }
            O::GetGlobal => {
                let name = self.functions[function].constants.get(instruction.wide());
                let name = self.text(*name.ok_or(Unclear)?).ok_or(Unclear)?;
                state.set(a, global(name).ok_or(Unclear)?)?;
            }
            O::GetTable => {
                let key = self.operand(function, &state, c)?;
                let value = self.element(state.get(b)?, key)?;
                state.set(a, value)?;
            }
            O::SetGlobal | O::SetUpvalue => self.give_away(state.get(a)?)?,
            O::SetTable => {
                for value in
                    [state.get(a)?, self.operand(function, &state, b)?, self.operand(function, &state, c)?]
                {
                    self.give_away(value)?;
                }
            }
            // A table has no method for its length.
            O::NewTable | O::Len => state.set(a, Value::Plain)?,
            O::OwnMethod => {
                let of = state.get(b)?;
                self.give_away(of)?;
                self.give_away(self.operand(function, &state, c)?)?;
                state.set(a + 1, of)?;
                state.set(a, Value::Plain)?;
            }
            O::Add | O::Sub | O::Mul | O::Div | O::Mod | O::Pow => {
                self.give_away(self.operand(function, &state, b)?)?;
                self.give_away(self.operand(function, &state, c)?)?;
                state.set(a, Value::Plain)?;
            }
            O::Minus => {
                self.give_away(state.get(b)?)?;
                state.set(a, Value::Plain)?;
            }
            O::Not => state.set(a, Value::Nothing)?,
            O::Concat => {
                for register in b..=c {
                    self.give_away(state.get(register)?)?;
                }
                state.set(a, Value::Plain)?;
            }
            O::Jump | O::ForPrepare => return Ok(vec![(jumped()?, state)]),
            O::Eq | O::Lt | O::Le => {
                self.give_away(self.operand(function, &state, b)?)?;
                self.give_away(self.operand(function, &state, c)?)?;
                return Ok(vec![(next, state.clone()), (next + 1, state)]);
            }
            O::Test => return Ok(vec![(next, state.clone()), (next + 1, state)]),
            O::TestSet => {
                let mut taken = state.clone();
                taken.set(a, state.get(b)?)?;
                return Ok(vec![(next, taken), (next + 1, state)]);
            }
            O::Call | O::TailCall => {
                let results = if instruction.operation() == Some(O::Call) { c } else { 0 };
                self.call(&mut state, a, b, results)?;
            }
            O::Return => {
                // What the script itself returns is only written out.
                if function + 1 < self.functions.len() {
                    let (first, rest) = arguments(&mut state, a, b)?;
                    for value in first.into_iter().chain(rest) {
                        self.give_away(value)?;
                    }
                }
                return Ok(Vec::new());
            }
            O::ForLoop => {
                let mut again = state.clone();
                again.set(a, Value::Plain)?;
                again.set(a + 3, Value::Plain)?;
                return Ok(vec![(jumped()?, again), (next, state)]);
            }
            O::ForEach => {
                let mut again = state.clone();
                let element = if state.get(a)? == Value::Next && state.get(a + 1)? == Value::Keys {
                    self.give_away(state.get(a + 2)?)?;
                    Value::Key
                } else {
                    for register in a..a + 3 {
                        self.give_away(state.get(register)?)?;
                    }
                    Value::Plain
                };
                again.fill(a + 2, Value::Plain)?;
                if c > 1 {
                    again.set(a + 4, element)?;
                }
                return Ok(vec![(next, again), (next + 1, state)]);
            }
            O::SetList => {
                self.give_away(state.get(a)?)?;
                let (first, rest) = arguments(&mut state, a + 1, if b == 0 { 0 } else { b + 1 })?;
                for value in first.into_iter().chain(rest) {
                    self.give_away(value)?;
                }
            }
            O::Close => {}
            O::Closure => {
                let value = self.make(function, at, instruction, &state)?;
                state.set(a, value)?;
            }
            O::Vararg => {
                if b == 0 {
                    state.fill(a, Value::Plain)?;
                    state.open_from = Some(a);
                } else {
                    (a..a + b - 1).try_for_each(|register| state.set(register, Value::Plain))?;
                }
            }
        }
        Ok(vec![(next + words_behind(code, instruction), state)])
    }

    /// An element of a table.
    fn element(&mut self, table: Value, key: Value) -> Result<Value, Unclear> {
        match table {
            Value::Keys => {
                self.give_away(key)?;
                Ok(Value::Key)
            }
            Value::Redis => match self.text(key).ok_or(Unclear)? {
                b"call" | b"pcall" => Ok(Value::Call),
                name if HARMLESS.contains(&name) => Ok(Value::Plain),
                _ => Err(Unclear),
            },
            table => {
                self.give_away(table)?;
                self.give_away(key)?;
                Ok(Value::Plain)
            }
        }
    }

    /// A function of the program is made: what it uses of this one is known.
    fn make(
        &mut self,
        function: usize,
        at: usize,
        instruction: Instruction,
        state: &State,
    ) -> Result<Value, Unclear> {
        let code = self.functions[function].code;
        let inner = *self.functions[function].inner.get(instruction.wide()).ok_or(Unclear)?;
        let number = u16::try_from(inner).map_err(|_| Unclear)?;
        let mut is_news = false;
        for (index, capture) in captures(code, at).ok_or(Unclear)?.iter().enumerate() {
            let register = capture.b();
            let value = match capture.operation() {
                Some(Operation::GetUpvalue) => {
                    self.functions[function].upvalues.get(register).copied().flatten().ok_or(Unclear)?
                }
                _ if self.functions[function].cells.is_assigned(code, at, register) => Value::Plain,
                // A local function that uses itself.
                _ if register == instruction.a() => Value::Function(number),
                _ => state.get(register)?,
            };
            let before = self.functions[inner].upvalues[index];
            let joined = match before {
                Some(before) => self.join(before, value),
                None => value,
            };
            is_news |= before != Some(joined);
            self.functions[inner].upvalues[index] = Some(joined);
        }
        if is_news && self.functions[inner].is_reached {
            self.reopen(inner);
        }
        Ok(Value::Function(number))
    }

    /// A call of whatever is in register `a`.
    fn call(&mut self, state: &mut State, a: usize, b: usize, results: usize) -> Result<(), Unclear> {
        let called = state.get(a)?;
        let (mut first, rest) = arguments(state, a + 1, b)?;
        let mut given = vec![];
        // What those of its results are that are not known one by one.
        let mut others = Value::Plain;
        let is_of_keys = first.first() == Some(&Value::Keys);
        match called {
            Value::Call => self.command(&first, rest)?,
            Value::Protect if first.first() == Some(&Value::Call) => self.command(&first[1..], rest)?,
            Value::Walk if is_of_keys && results > 0 => {
                given = vec![Value::Next, Value::Keys];
                first.remove(0);
            }
            Value::Next if is_of_keys => {
                given = vec![Value::Plain, Value::Key];
                first.remove(0);
            }
            Value::Unpack if is_of_keys => {
                others = Value::Key;
                first.remove(0);
            }
            Value::Type if is_of_keys => _ = first.remove(0),
            _ => {}
        }
        match called {
            Value::Call => {}
            Value::Function(function) => self.called(function, &first, rest)?,
            Value::Protect if first.first() == Some(&Value::Call) => {}
            called => {
                self.give_away(called)?;
                for value in first.into_iter().chain(rest) {
                    self.give_away(value)?;
                }
            }
        }
        if results == 0 {
            state.fill(a, others)?;
            state.open_from = Some(a);
            return Ok(());
        }
        state.fill(a, Value::Plain)?;
        for index in 0..results - 1 {
            state.set(a + index, given.get(index).copied().unwrap_or(others))?;
        }
        Ok(())
    }

    fn command(&self, first: &[Value], rest: Option<Value>) -> Result<(), Unclear> {
        calls::check(self.registry, &self.constants, &Arguments { first, rest })
    }
}

/// The values from register `first` on, and what follows those where there are any number. `count` is as in a call:
/// one more than there are, or 0.
fn arguments(state: &mut State, first: usize, count: usize) -> Result<(Vec<Value>, Option<Value>), Unclear> {
    if count > 0 {
        let values = state.registers.get(first..first + count - 1).ok_or(Unclear)?;
        return Ok((values.to_vec(), None));
    }
    let open = state.open_from.take().ok_or(Unclear)?;
    let values = state.registers.get(first..open).ok_or(Unclear)?;
    Ok((values.to_vec(), Some(state.get(open)?)))
}

/// What of `redis` neither calls commands nor leads to anything.
const HARMLESS: [&[u8]; 21] = [
    b"log",
    b"sha1hex",
    b"error_reply",
    b"status_reply",
    b"replicate_commands",
    b"breakpoint",
    b"debug",
    b"setresp",
    b"set_repl",
    b"acl_check_cmd",
    b"LOG_DEBUG",
    b"LOG_VERBOSE",
    b"LOG_NOTICE",
    b"LOG_WARNING",
    b"REPL_NONE",
    b"REPL_AOF",
    b"REPL_SLAVE",
    b"REPL_REPLICA",
    b"REPL_ALL",
    b"REDIS_VERSION",
    b"REDIS_VERSION_NUM",
];

/// A global variable. Those which lead to others, or to code that is not in the script, are not known.
fn global(name: &[u8]) -> Option<Value> {
    Some(match name {
        b"KEYS" => Value::Keys,
        b"redis" | b"server" => Value::Redis,
        b"ipairs" | b"pairs" => Value::Walk,
        b"next" => Value::Next,
        b"unpack" => Value::Unpack,
        b"type" => Value::Type,
        b"pcall" => Value::Protect,
        b"ARGV" | b"tonumber" | b"tostring" | b"select" | b"error" | b"assert" | b"xpcall" | b"rawequal"
        | b"rawget" | b"rawset" | b"setmetatable" | b"getmetatable" | b"string" | b"table" | b"math"
        | b"coroutine" | b"cjson" | b"cmsgpack" | b"struct" | b"bit" | b"collectgarbage" | b"gcinfo"
        | b"_VERSION" => Value::Plain,
        _ => return None,
    })
}
