//! Two servers driven in lockstep: every command goes to both, every reply is read from both and judged.

use std::io;
use std::path::Path;
use std::time::Duration;

use hashbrown::HashSet;

use super::allow::AllowList;
use super::compare::{Compare, accepts_exec};
use super::scene;
use super::step::{Action, Arg, Op, Part, Scan, Step, parts};
use crate::clock::wait_until;
use crate::resp::{Escaped, Reply, RespClient, encode_command};
use crate::server::TestServer;

/// A planted fault on the target's side, to prove that the oracle sees it.
#[derive(Clone, Copy)]
pub struct Mutant {
    pub name: &'static str,
    /// Changes a command before the target sees it.
    pub request: fn(&mut Vec<Vec<u8>>),
    /// Changes the target's reply before it is compared.
    pub reply: fn(&Op, &mut Vec<u8>),
}

/// Where two servers disagree.
#[derive(Clone, Debug)]
pub struct Difference {
    /// The command as text.
    pub command: String,
    /// Its name, for grouping.
    pub name: String,
    pub reference: String,
    pub target: String,
    /// A difference in what is stored rather than in a reply.
    pub stored: bool,
}

impl Difference {
    /// A reply did not come at all.
    pub fn is_lost(&self) -> bool {
        self.target.starts_with("no reply") || self.reference.starts_with("no reply")
    }

    /// What makes two differences the same one: the command and both replies without their digits.
    pub fn signature(&self) -> String {
        let blur = |text: &str| -> String {
            let text = text.chars().filter(|c| !c.is_ascii_digit());
            if self.reference.starts_with('-') || self.target.starts_with('-') {
                text.take(60).collect()
            } else {
                text.take(2).collect()
            }
        };
        format!("{} {} {}", self.name, blur(&self.reference), blur(&self.target))
    }
}

/// One connection to both servers.
struct Conn {
    sides: [RespClient; 2],
    ids: [i64; 2],
    /// Comparisons of the commands queued in the open transaction.
    queued: Vec<Compare>,
}

/// The reference (0) and the target (1).
pub struct Pair {
    servers: [TestServer; 2],
    conns: Vec<Conn>,
    pub allow: AllowList,
    mutant: Option<Mutant>,
    /// How long a reply of a new connection may take before it counts as missing.
    pub patience: Duration,
    /// Commands which the target lacks; whoever makes steps leaves them out.
    pub missing: HashSet<String>,
    /// Replies which differed in a way their comparison or the allow-list accepts.
    pub tolerated: u64,
}

/// What came to a connection.
type Frames = Vec<Vec<u8>>;

/// A reply may take this long before it counts as missing; the shorter one is for shrinking such a case.
pub const PATIENCE: Duration = Duration::from_secs(3);
pub const SHORT_PATIENCE: Duration = Duration::from_millis(300);

impl Pair {
    /// Starts the reference and the target with `conns` command connections and one more for looking.
    pub fn start(
        reference: &Path,
        target: &Path,
        conns: usize,
        allow: AllowList,
        mutant: Option<Mutant>,
    ) -> io::Result<Self> {
        let options = ["--enable-debug-command", "yes"];
        let servers = [TestServer::start(reference, &options)?, TestServer::start(target, &options)?];
        let mut pair = Self {
            servers,
            conns: Vec::new(),
            allow,
            mutant,
            patience: PATIENCE,
            missing: HashSet::new(),
            tolerated: 0,
        };
        for _ in 0..=conns {
            let conn = pair.connect()?;
            pair.conns.push(conn);
        }
        Ok(pair)
    }

    /// The connection which no generated step uses.
    pub fn observer(&self) -> usize {
        self.conns.len() - 1
    }

    /// Empties both servers and opens all connections anew; a server that has died or hangs is started again.
    pub fn reset(&mut self) -> io::Result<()> {
        self.try_reset().or_else(|_| {
            // One of them is about to die, or hangs.
            for server in &mut self.servers {
                server.restart()?;
            }
            self.try_reset()
        })
    }

    fn try_reset(&mut self) -> io::Result<()> {
        for server in &mut self.servers {
            if !server.is_alive() {
                server.restart()?;
            }
        }
        for index in 0..self.conns.len() {
            self.conns[index] = self.connect()?;
        }
        let observer = self.observer();
        for side in &mut self.conns[observer].sides {
            for command in [
                &["FLUSHALL"][..],
                &["FUNCTION", "FLUSH"],
                &["SCRIPT", "FLUSH"],
                &["CONFIG", "SET", "maxmemory-policy", "noeviction"],
                &["CONFIG", "SET", "notify-keyspace-events", ""],
                // Who hears of keys hears of those whose time has come at some moment; without this, when they are met.
                &["DEBUG", "SET-ACTIVE-EXPIRE", "0"],
            ] {
                side.send(command)?;
                side.read_raw()?;
            }
        }
        Ok(())
    }

    /// The log of the target process, for reports about crashes.
    pub fn target_log(&self) -> String {
        self.servers[1].log()
    }

    /// Whether the target process has died. Its connections close a moment before the process is gone.
    pub fn target_died(&mut self) -> bool {
        wait_until(Duration::from_millis(500), || !self.servers[1].is_alive())
    }

    /// Finds out which of these commands (`name` or `name|sub`) the reference knows and the target does not.
    ///
    /// COMMAND INFO would say it too, but a target without that command can be compared as well: a lone name is
    /// answered with anything but "unknown" by who knows it.
    pub fn find_missing(&mut self, names: impl Iterator<Item = String>) -> io::Result<()> {
        for name in names {
            let words: Vec<&str> = name.split('|').collect();
            let mut knows = [true; 2];
            for (side, knows) in knows.iter_mut().enumerate() {
                let mut client = RespClient::connect(self.servers[side].addr())?;
                client.send(&words)?;
                // The answer to QUIT may be the end of the connection; that is knowing it.
                let error = client.read().ok().and_then(|reply| reply.error()).unwrap_or_default();
                *knows =
                    !error.starts_with("ERR unknown command") && !error.starts_with("ERR unknown subcommand");
            }
            if knows == [true, false] {
                self.missing.insert(name);
            }
        }
        Ok(())
    }

    /// Whether the target lacks the command, or the whole container of a subcommand.
    pub fn lacks(&self, name: &str) -> bool {
        let container = name.split('|').next().unwrap_or(name);
        self.missing.contains(name) || self.missing.contains(container)
    }

    /// Runs steps until the first difference; says at which step it was. Consecutive steps of one connection
    /// are pipelined.
    pub fn run(&mut self, steps: &[Step]) -> Result<(), (usize, Difference)> {
        let mut from = 0;
        while from < steps.len() {
            let Action::Run(_) = steps[from].action else {
                self.run_alone(&steps[from]).map_err(|difference| (from, difference))?;
                from += 1;
                continue;
            };
            let conn = steps[from].conn;
            let more = steps[from..]
                .iter()
                .take(64)
                .take_while(|step| step.conn == conn && matches!(step.action, Action::Run(_)))
                .count();
            let batch = &steps[from..from + more];
            let ops: Vec<(usize, &Op)> = batch
                .iter()
                .enumerate()
                .flat_map(|(at, step)| step.ops().iter().map(move |op| (at, op)))
                .collect();
            self.run_ops(conn, &ops).map_err(|(at, difference)| {
                // Replies are sent together, so a missing one can be the fault of any command sent with it.
                let at = if difference.is_lost() { more - 1 } else { at };
                (from + at, difference)
            })?;
            from += more;
        }
        Ok(())
    }

    /// Runs commands on one connection and hands back both raw replies of each, without judging them.
    pub fn observe(&mut self, conn: usize, ops: &[Op]) -> Result<Vec<[Vec<u8>; 2]>, Difference> {
        for side in 0..2 {
            self.send(conn, side, ops.iter()).map_err(|error| lost(&ops[0], &error, side))?;
        }
        let mut replies = Vec::with_capacity(ops.len());
        for op in ops {
            replies.push([self.read(conn, 0, op)?, self.read(conn, 1, op)?]);
        }
        Ok(replies)
    }

    fn run_ops(&mut self, conn: usize, ops: &[(usize, &Op)]) -> Result<(), (usize, Difference)> {
        for side in 0..2 {
            self.send(conn, side, ops.iter().map(|(_, op)| *op))
                .map_err(|error| (0, lost(ops[0].1, &error, side)))?;
        }
        for (at, op) in ops.iter().filter(|(_, op)| op.answered) {
            self.judge(conn, op).map_err(|difference| (*at, difference))?;
        }
        Ok(())
    }

    fn run_alone(&mut self, step: &Step) -> Result<(), Difference> {
        match &step.action {
            Action::Run(ops) => {
                let ops: Vec<(usize, &Op)> = ops.iter().map(|op| (0, op)).collect();
                self.run_ops(step.conn, &ops).map_err(|(_, difference)| difference)
            }
            Action::Scan(scan) => self.scan(step.conn, scan),
            Action::Close(ops) => self.run_closing(step.conn, ops, step.conn),
            Action::Kill(ops, victim) => self.run_closing(step.conn, ops, *victim),
            Action::Scene(ops, list) => self.run_scene(ops, list),
        }
    }

    /// Everything that comes to a connection is read by asking for an echo of a word that nothing else holds.
    fn run_scene(&mut self, ops: &[Op], list: &[Part]) -> Result<(), Difference> {
        let mut conns: Vec<usize> = list.iter().map(|part| part.conn).collect();
        conns.sort_unstable();
        conns.dedup();
        for conn in &conns {
            self.send_both_and_judge(*conn, &Op::line("RESET"))?;
        }
        for (number, (conn, ops)) in parts(ops, list).enumerate() {
            let marker = format!("marker-{number}");
            let ping = Op::line(&format!("PING {marker}"));
            // Replies and what is sent on the way to them come first; then the others have theirs.
            let others = conns.iter().copied().filter(|other| *other != conn);
            let order: Vec<usize> = std::iter::once(conn).chain(others).collect();
            let mut came: [Vec<Frames>; 2] = [Vec::new(), Vec::new()];
            for (side, came) in came.iter_mut().enumerate() {
                for at in &order {
                    let ops = if *at == conn { ops } else { &[] };
                    let last = ops.last().unwrap_or(&ping);
                    self.send(*at, side, ops.iter().chain([&ping]))
                        .map_err(|error| lost(last, &error, side))?;
                    let mut frames = Vec::new();
                    loop {
                        let frame = self.read(*at, side, last)?;
                        if scene::is_echo(&frame, marker.as_bytes()) {
                            break;
                        }
                        frames.push(frame);
                    }
                    came.push(frames);
                }
            }
            let [a, b] = came;
            for ((at, a), b) in order.iter().zip(&a).zip(&b) {
                if scene::accepts(ops, a, b) {
                    self.tolerated += u64::from(a != b);
                    continue;
                }
                let command: Vec<String> = ops.iter().map(ToString::to_string).collect();
                let (reference, target) =
                    (Escaped(&a.concat()).to_string(), Escaped(&b.concat()).to_string());
                let command = format!("{} (what came to c{at})", command.join(" ; "));
                let name = ops.last().map(Op::name).unwrap_or_default();
                return Err(Difference { command, name, reference, target, stored: false });
            }
        }
        // Redis remembers for a client what it read in an earlier time of tracking, and tells it again in the next one.
        for conn in &conns {
            self.send_both_and_judge(*conn, &Op::line("RESET"))?;
            self.conns[*conn] = self.connect().map_err(|error| lost(&Op::line("HELLO"), &error, 1))?;
        }
        Ok(())
    }

    fn run_closing(&mut self, conn: usize, ops: &[Op], victim: usize) -> Result<(), Difference> {
        let last = ops.last().expect("a closing step has commands");
        let numbered: Vec<(usize, &Op)> = ops.iter().map(|op| (0, op)).collect();
        self.run_ops(conn, &numbered).map_err(|(_, difference)| difference)?;
        let ends = [0, 1].map(|side| match self.conns[victim].sides[side].read_to_end() {
            Ok(rest) => format!("closed after {:?}", Escaped(&rest).to_string()),
            Err(error) => format!("not closed: {error}"),
        });
        self.conns[victim] = self.connect().map_err(|error| lost(last, &error, 1))?;
        if ends[0] == ends[1] {
            return Ok(());
        }
        let [reference, target] = ends;
        Err(Difference { command: last.to_string(), name: last.name(), reference, target, stored: false })
    }

    /// Iterates on both sides to the end. Each side has its own cursors and may repeat keys, so sets are compared.
    fn scan(&mut self, conn: usize, scan: &Scan) -> Result<(), Difference> {
        let first = Op::with(scan.page(b"0"), Compare::ScanPage);
        self.send_both_and_judge(conn, &first)?;
        let mut sets = Vec::new();
        for side in 0..2 {
            let mut keys = Vec::new();
            let mut cursor = b"0".to_vec();
            for _ in 0..100_000 {
                let op = Op::exact(scan.page(&cursor));
                self.send(conn, side, std::iter::once(&op)).map_err(|error| lost(&op, &error, side))?;
                let raw = self.read(conn, side, &op)?;
                let Ok(Some((reply, _))) = Reply::decode(&raw) else { return Ok(()) };
                let Some([Reply::Bulk(next), Reply::Array(page)]) = reply.items() else {
                    // An error, or QUEUED inside a transaction: the first reply has been judged already.
                    self.note_queued(conn, side, &raw);
                    break;
                };
                keys.extend(page.iter().map(|key| Escaped(key.bytes().unwrap_or_default()).to_string()));
                cursor.clone_from(next);
                if cursor == b"0" {
                    break;
                }
            }
            keys.sort();
            keys.dedup();
            sets.push(format!("{keys:?}"));
        }
        let target = sets.pop().unwrap_or_default();
        let reference = sets.pop().unwrap_or_default();
        if reference == target {
            return Ok(());
        }
        Err(Difference { command: first.to_string(), name: first.name(), reference, target, stored: false })
    }

    fn note_queued(&mut self, conn: usize, side: usize, raw: &[u8]) {
        if side == 0 && raw == b"+QUEUED\r\n" {
            self.conns[conn].queued.push(Compare::ScanPage);
        }
    }

    fn send_both_and_judge(&mut self, conn: usize, op: &Op) -> Result<(), Difference> {
        self.run_ops(conn, &[(0, op)]).map_err(|(_, difference)| difference)
    }

    fn judge(&mut self, conn: usize, op: &Op) -> Result<(), Difference> {
        let a = self.read(conn, 0, op)?;
        let b = self.read(conn, 1, op)?;
        let fine = if op.name() == "exec" {
            accepts_exec(&self.conns[conn].queued, &a, &b)
        } else {
            op.compare.accepts(&a, &b)
        };
        if a == b"+QUEUED\r\n" {
            // A reply that may differ may also differ inside EXEC's.
            let compare = if self.allow.allows(&op.to_string()) { Compare::Kind } else { op.compare };
            self.conns[conn].queued.push(compare);
        } else if a == b"+RESET\r\n" || matches!(op.name().as_str(), "exec" | "discard") {
            self.conns[conn].queued.clear();
        }
        if fine {
            self.tolerated += u64::from(a != b);
            return Ok(());
        }
        let command = op.to_string();
        // What is allowed is another content, never another kind of reply.
        if a.first() == b.first() && self.allow.allows(&command) {
            self.tolerated += 1;
            return Ok(());
        }
        let (reference, target) = (Escaped(&a).to_string(), Escaped(&b).to_string());
        Err(Difference { command, name: op.name(), reference, target, stored: false })
    }

    fn send<'a>(&mut self, conn: usize, side: usize, ops: impl Iterator<Item = &'a Op>) -> io::Result<()> {
        let mut output = Vec::new();
        for op in ops {
            let mut args: Vec<Vec<u8>> = op
                .args
                .iter()
                .map(|arg| match arg {
                    Arg::Bytes(bytes) => bytes.clone(),
                    Arg::ClientId(of) => self.conns[*of].ids[side].to_string().into_bytes(),
                })
                .collect();
            if let (1, Some(mutant)) = (side, &self.mutant) {
                (mutant.request)(&mut args);
            }
            encode_command(&args, &mut output);
        }
        self.conns[conn].sides[side].send_raw(&output)
    }

    fn read(&mut self, conn: usize, side: usize, op: &Op) -> Result<Vec<u8>, Difference> {
        let mut raw = match self.conns[conn].sides[side].read_raw() {
            Ok(raw) => raw.to_vec(),
            Err(error) => return Err(lost(op, &error, side)),
        };
        if let (1, Some(mutant)) = (side, &self.mutant) {
            (mutant.reply)(op, &mut raw);
        }
        Ok(raw)
    }

    fn connect(&self) -> io::Result<Conn> {
        let mut ids = [0; 2];
        let mut open = |side: usize| -> io::Result<RespClient> {
            let mut client = RespClient::connect(self.servers[side].addr())?;
            client.set_reply_limit(self.patience)?;
            client.send(&["CLIENT", "ID"])?;
            ids[side] = client.read()?.int().unwrap_or(0);
            Ok(client)
        };
        let sides = [open(0)?, open(1)?];
        Ok(Conn { sides, ids, queued: Vec::new() })
    }
}

fn lost(op: &Op, error: &io::Error, side: usize) -> Difference {
    let (mut reference, mut target) = ("a reply".to_owned(), "a reply".to_owned());
    *(if side == 0 { &mut reference } else { &mut target }) = format!("no reply: {error}");
    Difference { command: op.to_string(), name: op.name(), reference, target, stored: false }
}
