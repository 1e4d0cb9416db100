//! The kill -9 ledger: real servers are killed in the midst of writing, and must have all that they acknowledged.
//!
//! Writers send units whose numbers tell which they are ([`work`]) and note what was sent and acknowledged; the server is
//! killed at a random moment, also while the append-only file is rewritten, turned off and on, or loaded, and started
//! again; then everything it has is compared with the ledger ([`check`]). The same is done to redis-server, whose figures
//! stand beside Tidegate's. A slow disk is made by [`disk`].

pub mod anchors;
pub mod check;
pub mod disk;
pub mod lane;
pub mod process;
pub mod work;
pub mod writers;

use std::fmt;
use std::io;
use std::path::PathBuf;

use self::lane::{Figures, Order};

/// All values of `appendfsync`.
pub const MODES: [&str; 3] = ["always", "everysec", "no"];

/// A server to be killed.
#[derive(Clone, Debug)]
pub struct Server {
    /// What its rows are called.
    pub name: String,
    /// The program.
    pub program: PathBuf,
    /// It stands beside the one that is tested.
    pub is_control: bool,
}

impl Server {
    /// Tidegate, the one that is tested.
    pub fn tidegate(program: PathBuf) -> Self {
        Server { name: "tidegate".to_owned(), program, is_control: false }
    }

    /// Redis, the control.
    pub fn redis(program: PathBuf) -> Self {
        Server { name: "redis-server".to_owned(), program, is_control: true }
    }
}

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Options {
    /// In the order of the rows.
    pub servers: Vec<Server>,
    /// Values of `appendfsync`.
    pub modes: Vec<&'static str>,
    /// Fast (`false`) and slow disks.
    pub disks: Vec<bool>,
    /// Kills for each server, mode and disk.
    pub kills: usize,
    /// Lanes that share the kills of a setting on a slow disk, where servers sleep most of the time.
    pub slow_lanes: usize,
    /// Lanes that run side by side on fast disks.
    pub jobs: usize,
    /// What is drawn.
    pub seed: u64,
    /// Everything goes in here.
    pub dir: PathBuf,
}

/// Figures of one server with one setting.
#[derive(Clone, Debug)]
pub struct Row {
    /// Which server.
    pub server: Server,
    /// `appendfsync`.
    pub mode: &'static str,
    /// On a slow disk.
    pub is_slow: bool,
    /// What came of it.
    pub figures: Figures,
}

impl Row {
    /// Nothing was lost, torn or invented.
    pub fn is_clean(&self) -> bool {
        self.figures.is_clean(self.mode)
    }

    /// What was wrong, in words: all of it, or of the control an example.
    pub fn complaints(&self) -> impl Iterator<Item = &str> {
        let (count, lines) = if self.server.is_control { (1, 2) } else { (usize::MAX, usize::MAX) };
        self.figures.complaints.iter().take(count).flat_map(move |complaint| complaint.lines().take(lines))
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Row { server, mode, is_slow, figures } = self;
        let (name, disk) = (&server.name, if *is_slow { "slow" } else { "fast" });
        let sum = &figures.sum;
        write!(
            f,
            "{name} {mode} {disk}: kills={} (rewriting {}, switching {}, and {} loading) acked={} recovered={} lost={} \
             (after {} kills) torn={} holes={} invented={} dup={} seen_lost={} wrong={} refused={} restart_ms={},{}",
            figures.kills,
            figures.rewrites,
            figures.toggles,
            figures.loads,
            figures.acked,
            sum.recovered,
            sum.lost,
            figures.lossy,
            sum.torn,
            sum.holes,
            sum.invented,
            sum.duplicated,
            sum.seen_lost,
            figures.wrong,
            figures.refused,
            figures.restart_ms(50),
            figures.restart_ms(99),
        )?;
        if *is_slow {
            write!(f, " slowed={}+{}", figures.slowed[0], figures.slowed[1])?;
        }
        Ok(())
    }
}

/// Kills everything as often as ordered; calls `done` with each row as soon as it is complete.
///
/// # Errors
/// A lane could not be run at all.
pub fn run(options: &Options, done: &(dyn Fn(&Row) + Sync)) -> io::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for server in &options.servers {
        for is_slow in &options.disks {
            rows.extend(run_disk(options, server, *is_slow, done)?);
        }
    }
    Ok(rows)
}

/// All modes of one server on one disk.
fn run_disk(
    options: &Options,
    server: &Server,
    is_slow: bool,
    done: &(dyn Fn(&Row) + Sync),
) -> io::Result<Vec<Row>> {
    let lanes = if is_slow { options.slow_lanes.clamp(1, options.kills.max(1)) } else { 1 };
    let row = |mode: &'static str| -> io::Result<Row> {
        let order = |lane: usize| {
            let disk = if is_slow { "slow" } else { "fast" };
            let name = format!("{}-{mode}-{disk}-{lane}", server.name);
            Order {
                program: server.program.clone(),
                mode,
                options: Vec::new(),
                is_slow,
                is_control: server.is_control,
                kills: options.kills / lanes + usize::from(lane < options.kills % lanes),
                seed: options.seed
                    ^ name.bytes().fold(0, |seed: u64, byte| seed.rotate_left(8) ^ u64::from(byte)),
                dir: options.dir.join(name),
            }
        };
        let mut figures = Figures::default();
        let parts: io::Result<Vec<Figures>> = std::thread::scope(|scope| {
            let parts: Vec<_> = (0..lanes).map(|lane| scope.spawn(move || lane::run(&order(lane)))).collect();
            parts.into_iter().map(|part| part.join().expect("a lane does not panic")).collect()
        });
        parts?.into_iter().for_each(|part| figures.add(part));
        if is_slow && figures.slowed == [0, 0] {
            return Err(io::Error::other(format!("{}: the disk was not slow", server.name)));
        }
        let row = Row { server: server.clone(), mode, is_slow, figures };
        done(&row);
        Ok(row)
    };
    let at_once = if is_slow { options.modes.len() } else { options.jobs.max(1) };
    let mut rows = Vec::new();
    for modes in options.modes.chunks(at_once) {
        let some: io::Result<Vec<Row>> = std::thread::scope(|scope| {
            let rows: Vec<_> = modes.iter().map(|mode| scope.spawn(|| row(mode))).collect();
            rows.into_iter().map(|row| row.join().expect("a row does not panic")).collect()
        });
        rows.extend(some?);
    }
    Ok(rows)
}
