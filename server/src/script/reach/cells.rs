//! Variables of a function that functions inside of it use.

use std::ops::Range;
use tidegate_lua::bytecode::{Instruction, Local, Operation, Prototype};

/// What is assigned where the flow through one function does not show it.
#[derive(Debug, Default)]
pub(super) struct Cells {
    /// Local variables that inner functions use and that somebody assigns to after their declaration.
    pub(super) assigned: Vec<Local>,
    /// Variables of outer functions that this one, or one inside of it, assigns to.
    upvalues: Vec<bool>,
}

impl Cells {
    /// The cells of a function; `inner` are those of the functions inside of it. `None` where it is no code that the
    /// compiler makes.
    pub(super) fn of(function: &Prototype, inner: &[Cells]) -> Option<Self> {
        let mut cells = Cells { assigned: Vec::new(), upvalues: vec![false; function.upvalues] };
        for (at, instruction) in instructions(function) {
            match instruction.operation()? {
                Operation::SetUpvalue => *cells.upvalues.get_mut(instruction.b())? = true,
                Operation::Closure => {
                    for (index, capture) in captures(function, at)?.iter().enumerate() {
                        let is_assigned = inner.get(instruction.wide())?.upvalues[index];
                        match capture.operation()? {
                            Operation::GetUpvalue => {
                                *cells.upvalues.get_mut(capture.b())? |= is_assigned;
                            }
                            Operation::Move => {
                                let local = captured(function, at, capture.b())?;
                                if is_assigned || is_written(function, local)? {
                                    cells.assigned.push(local.clone());
                                }
                            }
                            _ => return None,
                        }
                    }
                }
                _ => {}
            }
        }
        Some(cells)
    }

    /// A function made at `at` that uses this register shares it with somebody who assigns to it.
    pub(super) fn is_assigned(&self, function: &Prototype, at: usize, register: usize) -> bool {
        captured(function, at, register).is_none_or(|local| self.assigned.contains(local))
    }
}

/// The instructions of a function and their places, without the words behind some that are none.
fn instructions(function: &Prototype) -> impl Iterator<Item = (usize, Instruction)> {
    let mut next = 0;
    std::iter::from_fn(move || {
        let (at, instruction) = (next, *function.code.get(next)?);
        next += 1 + words_behind(function, instruction);
        Some((at, instruction))
    })
}

/// How many words behind an instruction belong to it.
pub(super) fn words_behind(function: &Prototype, instruction: Instruction) -> usize {
    match instruction.operation() {
        Some(Operation::Closure) => {
            function.functions.get(instruction.wide()).map_or(0, |inner| inner.upvalues)
        }
        Some(Operation::SetList) if instruction.c() == 0 => 1,
        _ => 0,
    }
}

/// What the function made at `at` uses of the one it is made in: its registers and upvalues.
pub(super) fn captures(function: &Prototype, at: usize) -> Option<&[Instruction]> {
    function.code.get(at + 1..=at + words_behind(function, function.code[at]))
}

/// The local variable in a register that a function made at `at` uses. A local function that uses itself is declared
/// behind its instructions.
fn captured(function: &Prototype, at: usize, register: usize) -> Option<&Local> {
    let behind = at + 1 + words_behind(function, function.code[at]);
    let mut locals = function.locals.iter().filter(|local| local.register == register);
    locals.clone().find(|local| local.scope.contains(&at)).or_else(|| {
        let is_itself = function.code[at].a() == register;
        locals.find(|local| is_itself && local.scope.start == behind && !local.scope.is_empty())
    })
}

/// Something assigns to a local variable after its declaration.
fn is_written(function: &Prototype, local: &Local) -> Option<bool> {
    for (at, instruction) in instructions(function) {
        if local.scope.contains(&at) && written(instruction)?.contains(&local.register) {
            return Some(true);
        }
    }
    Some(false)
}

/// The registers an instruction may write.
fn written(instruction: Instruction) -> Option<Range<usize>> {
    use Operation as O;
    let (a, b) = (instruction.a(), instruction.b());
    Some(match instruction.operation()? {
        O::SetGlobal
        | O::SetUpvalue
        | O::SetTable
        | O::SetList
        | O::Jump
        | O::Eq
        | O::Lt
        | O::Le
        | O::Test
        | O::Return
        | O::Close => 0..0,
        O::LoadNil => a..b + 1,
        O::OwnMethod => a..a + 2,
        O::ForLoop => a..a + 4,
        O::Call | O::TailCall | O::ForEach | O::Vararg => a..usize::MAX,
        _ => a..a + 1,
    })
}
