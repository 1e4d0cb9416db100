//! What the oracle executes: a [`Step`] is the unit which shrinking may drop, an [`Op`] one command with the way its
//! reply is compared.

use std::fmt;

use super::compare::Compare;
use crate::resp::Escaped;

/// One argument. Client ids differ between two servers, so they are filled in when the command is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arg {
    Bytes(Vec<u8>),
    /// The id of the numbered connection.
    ClientId(usize),
}

impl<T: Into<Vec<u8>>> From<T> for Arg {
    fn from(bytes: T) -> Self {
        Self::Bytes(bytes.into())
    }
}

/// One command.
#[derive(Clone, Debug)]
pub struct Op {
    pub args: Vec<Arg>,
    pub compare: Compare,
    /// Whether a reply comes back (not between CLIENT REPLY OFF and ON).
    pub answered: bool,
}

impl Op {
    /// A command whose reply has to be the same byte by byte.
    pub fn exact(args: Vec<Vec<u8>>) -> Self {
        Self::with(args, Compare::Exact)
    }

    /// A command whose reply is compared as told.
    pub fn with(args: Vec<Vec<u8>>, compare: Compare) -> Self {
        Self { args: args.into_iter().map(Arg::Bytes).collect(), compare, answered: true }
    }

    /// A command from the words of a line, compared exactly.
    pub fn line(line: &str) -> Self {
        Self::line_with(line, Compare::Exact)
    }

    /// A command from the words of a line.
    pub fn line_with(line: &str, compare: Compare) -> Self {
        Self::with(line.split_whitespace().map(|word| word.as_bytes().to_vec()).collect(), compare)
    }

    /// The same command, expected to stay unanswered.
    #[must_use]
    pub fn silent(mut self) -> Self {
        self.answered = false;
        self
    }

    /// Lower-case command name, with the subcommand for the commands that have some: `config|get`.
    pub fn name(&self) -> String {
        let word = |index: usize| match self.args.get(index) {
            Some(Arg::Bytes(bytes)) => String::from_utf8_lossy(bytes).to_lowercase(),
            _ => String::new(),
        };
        let name = word(0);
        if CONTAINERS.contains(&name.as_str()) && self.args.len() > 1 {
            return format!("{name}|{}", word(1));
        }
        name
    }
}

/// Commands which have subcommands.
pub const CONTAINERS: &[&str] = &[
    "acl", "client", "cluster", "command", "config", "function", "latency", "memory", "module", "object",
    "pubsub", "script", "slowlog", "xgroup", "xinfo",
];

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, arg) in self.args.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            match arg {
                Arg::ClientId(conn) => write!(f, "{{id of c{conn}}}")?,
                Arg::Bytes(bytes) if is_plain(bytes) => write!(f, "{}", String::from_utf8_lossy(bytes))?,
                Arg::Bytes(bytes) if bytes.len() > 300 => {
                    write!(f, "\"{}\"...({} bytes)", Escaped(&bytes[..64]), bytes.len())?;
                }
                Arg::Bytes(bytes) => write!(f, "\"{}\"", Escaped(bytes))?,
            }
        }
        Ok(())
    }
}

fn is_plain(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.len() < 80 && bytes.iter().all(|byte| matches!(byte, 0x21 | 0x23..=0x7e))
}

/// What a step does.
#[derive(Clone, Debug)]
pub enum Action {
    /// Commands sent without waiting in between; they belong together and are dropped together.
    Run(Vec<Op>),
    /// A whole iteration of SCAN, SSCAN, ... from cursor 0; the sets of what they visit are compared.
    Scan(Scan),
    /// Commands after which the server closes this connection; it is opened again on both sides.
    Close(Vec<Op>),
    /// Commands which make the server close another connection; that one is opened again on both sides.
    Kill(Vec<Op>, usize),
    /// Commands of several connections that may send each other something: see [`Part`].
    Scene(Vec<Op>, Vec<Part>),
}

/// The next few commands of a scene: one connection sends them together. After that, everything that came to any
/// connection of the scene is compared. Before and after a scene its connections are as good as new.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    pub conn: usize,
    /// How many of the scene's commands.
    pub count: usize,
}

/// The parts of a scene with their commands.
pub fn parts<'s>(ops: &'s [Op], parts: &'s [Part]) -> impl Iterator<Item = (usize, &'s [Op])> {
    let mut rest = ops;
    parts.iter().map(move |part| {
        let (these, others) = rest.split_at(part.count);
        rest = others;
        (part.conn, these)
    })
}

/// A command that is called with cursor after cursor.
#[derive(Clone, Debug)]
pub struct Scan {
    /// The words before the cursor: `SCAN`, or `SSCAN key`.
    pub command: Vec<Vec<u8>>,
    /// Those behind it.
    pub options: Vec<Vec<u8>>,
}

impl Scan {
    /// One call.
    pub fn page(&self, cursor: &[u8]) -> Vec<Vec<u8>> {
        let mut words = self.command.clone();
        words.push(cursor.to_vec());
        words.extend_from_slice(&self.options);
        words
    }

    /// Lower-case name of the command.
    pub fn name(&self) -> String {
        self.command.first().map(|name| String::from_utf8_lossy(name).to_lowercase()).unwrap_or_default()
    }
}

/// Something that happens on one connection.
#[derive(Clone, Debug)]
pub struct Step {
    pub conn: usize,
    pub action: Action,
}

impl Step {
    /// The commands of the step, for counting and filtering.
    pub fn ops(&self) -> &[Op] {
        match &self.action {
            Action::Run(ops) | Action::Close(ops) | Action::Kill(ops, _) | Action::Scene(ops, _) => ops,
            Action::Scan(_) => &[],
        }
    }

    /// How many commands it stands for.
    pub fn commands(&self) -> usize {
        self.ops().len().max(1)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.action {
            Action::Scan(scan) => {
                write!(f, "c{}> (whole iteration) {}", self.conn, Op::exact(scan.page(b"0")))?;
            }
            Action::Scene(ops, list) => {
                f.write_str("(scene)")?;
                for (conn, ops) in parts(ops, list) {
                    ops.iter().try_for_each(|op| write!(f, "\n    c{conn}> {op}"))?;
                }
            }
            Action::Run(ops) | Action::Close(ops) | Action::Kill(ops, _) => {
                for (index, op) in ops.iter().enumerate() {
                    if index > 0 {
                        f.write_str("\n    ")?;
                    }
                    write!(f, "c{}> {op}", self.conn)?;
                }
            }
        }
        match &self.action {
            Action::Close(_) => f.write_str("   (closes the connection)"),
            Action::Kill(_, conn) => write!(f, "   (closes c{conn})"),
            _ => Ok(()),
        }
    }
}
