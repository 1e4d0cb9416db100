//! What a script was compiled to, for whoever wants to know what it can do before it runs.
//!
//! Nothing runs what is read here: the core executes its own copy. The instructions are those of Lua 5.1.

use std::ops::Range;

/// A compiled function.
#[derive(Debug, Clone, PartialEq)]
pub struct Prototype {
    /// Number of its named parameters, which are its first registers.
    pub parameters: usize,
    /// It takes any number of arguments beyond these.
    pub is_vararg: bool,
    /// Number of its registers.
    pub registers: usize,
    /// Number of variables of enclosing functions that it uses.
    pub upvalues: usize,
    /// Its instructions.
    pub code: Vec<Instruction>,
    /// Its constants.
    pub constants: Vec<Constant>,
    /// The functions that are written inside of it.
    pub functions: Vec<Prototype>,
    /// Its local variables and parameters, in the order of their declaration.
    pub locals: Vec<Local>,
}

/// A local variable of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    /// The register it occupies.
    pub register: usize,
    /// The instructions that see it.
    pub scope: Range<usize>,
}

/// A constant of a function.
#[derive(Debug, Clone, PartialEq)]
pub enum Constant {
    /// `nil`, `true` or `false`
    Simple,
    /// A number.
    Number(f64),
    /// A string.
    Text(Vec<u8>),
}

/// An operation; the core's `lopcodes.h` says what each does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "they have the names they have everywhere")]
pub enum Operation {
    Move,
    LoadK,
    LoadBool,
    LoadNil,
    GetUpvalue,
    GetGlobal,
    GetTable,
    SetGlobal,
    SetUpvalue,
    SetTable,
    NewTable,
    OwnMethod,
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Minus,
    Not,
    Len,
    Concat,
    Jump,
    Eq,
    Lt,
    Le,
    Test,
    TestSet,
    Call,
    TailCall,
    Return,
    ForLoop,
    ForPrepare,
    ForEach,
    SetList,
    Close,
    Closure,
    Vararg,
}

/// All operations, by their number.
const OPERATIONS: [Operation; 38] = {
    use Operation as O;
    [
        O::Move,
        O::LoadK,
        O::LoadBool,
        O::LoadNil,
        O::GetUpvalue,
        O::GetGlobal,
        O::GetTable,
        O::SetGlobal,
        O::SetUpvalue,
        O::SetTable,
        O::NewTable,
        O::OwnMethod,
        O::Add,
        O::Sub,
        O::Mul,
        O::Div,
        O::Mod,
        O::Pow,
        O::Minus,
        O::Not,
        O::Len,
        O::Concat,
        O::Jump,
        O::Eq,
        O::Lt,
        O::Le,
        O::Test,
        O::TestSet,
        O::Call,
        O::TailCall,
        O::Return,
        O::ForLoop,
        O::ForPrepare,
        O::ForEach,
        O::SetList,
        O::Close,
        O::Closure,
        O::Vararg,
    ]
};

/// One instruction, as the core encodes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction(u32);

impl Instruction {
    /// What it does; `None` for a word that is none. The word behind some instructions is a number.
    pub fn operation(self) -> Option<Operation> {
        OPERATIONS.get((self.0 & 0x3f) as usize).copied()
    }

    /// Its first operand.
    pub fn a(self) -> usize {
        (self.0 >> 6 & 0xff) as usize
    }

    /// Its second operand.
    pub fn b(self) -> usize {
        (self.0 >> 23) as usize
    }

    /// Its third operand.
    pub fn c(self) -> usize {
        (self.0 >> 14 & 0x1ff) as usize
    }

    /// The second and third operand as one.
    pub fn wide(self) -> usize {
        (self.0 >> 14) as usize
    }

    /// The same, signed: how far it jumps from the instruction behind it.
    pub fn distance(self) -> isize {
        self.wide() as isize - 131_071
    }
}

/// The constant that a second or third operand stands for, if it is not a register.
pub fn constant_of(operand: usize) -> Option<usize> {
    operand.checked_sub(256)
}

/// Functions nest at most so deep: the compiler has the same bound.
const DEPTH_MAX: usize = 200;

/// Reads what the core's `lua_dump` wrote. `None` for anything else.
pub(crate) fn read(dumped: &[u8]) -> Option<Prototype> {
    const HEADER: &[u8] = &[
        0x1b,
        b'L',
        b'u',
        b'a',
        0x51,
        0,
        cfg!(target_endian = "little") as u8,
        size_of::<i32>() as u8,
        size_of::<usize>() as u8,
        size_of::<u32>() as u8,
        size_of::<f64>() as u8,
        0,
    ];
    let mut reader = Reader(dumped.strip_prefix(HEADER)?);
    let prototype = reader.prototype(0)?;
    reader.0.is_empty().then_some(prototype)
}

struct Reader<'d>(&'d [u8]);

impl<'d> Reader<'d> {
    fn take(&mut self, len: usize) -> Option<&'d [u8]> {
        let (head, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(head)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// A number that is never negative: a count, a line, an instruction's place.
    fn count(&mut self) -> Option<usize> {
        usize::try_from(i32::from_ne_bytes(self.array()?)).ok()
    }

    /// A string without the zero at its end; empty where there is none.
    fn text(&mut self) -> Option<&'d [u8]> {
        let len = usize::from_ne_bytes(self.array()?);
        if len == 0 { Some(&[]) } else { self.take(len)?.split_last().map(|(_, text)| text) }
    }

    fn many<T>(&mut self, mut one: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.count()?;
        (0..count).map(|_| one(self)).collect()
    }

    fn prototype(&mut self, depth: usize) -> Option<Prototype> {
        if depth > DEPTH_MAX {
            return None;
        }
        self.text()?;
        self.count()?;
        self.count()?;
        let upvalues = self.byte()?.into();
        let parameters = self.byte()?.into();
        let is_vararg = self.byte()? != 0;
        let registers = self.byte()?.into();
        let code = self.many(|reader| Some(Instruction(u32::from_ne_bytes(reader.array()?))))?;
        let constants = self.many(|reader| {
            Some(match reader.byte()? {
                0 => Constant::Simple,
                1 => {
                    reader.byte()?;
                    Constant::Simple
                }
                3 => Constant::Number(f64::from_ne_bytes(reader.array()?)),
                4 => Constant::Text(reader.text()?.to_vec()),
                _ => return None,
            })
        })?;
        let functions = self.many(|reader| reader.prototype(depth + 1))?;
        self.many(Self::count)?;
        let mut locals: Vec<Local> = Vec::new();
        self.many(|reader| {
            reader.text()?;
            let scope = reader.count()?..reader.count()?;
            // Those that were declared earlier and are still there occupy the registers below.
            let register = locals.iter().filter(|earlier| earlier.scope.end > scope.start).count();
            locals.push(Local { register, scope });
            Some(())
        })?;
        self.many(Self::text)?;
        Some(Prototype { parameters, is_vararg, registers, upvalues, code, constants, functions, locals })
    }
}
