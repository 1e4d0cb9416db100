//! What a run of the oracle reached: every command of the keyspace that Redis 7.0 has, and every word of its documented
//! options. A generator that never sends an option proves nothing about it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use hashbrown::HashMap;
use tidegate_commands::families;
use tidegate_commands::model::{Argument, Command, KeySpec, arguments};

use super::step::{Action, Arg, Op, Step};

/// The newest version the reference may be.
const REFERENCE: (u32, u32) = (7, 0);

/// One command: how often it was sent, and with which of its words.
#[derive(Debug, Clone, Default)]
struct Reached {
    sent: u64,
    words: BTreeMap<String, u64>,
}

/// What was reached of each command, by lower-case name.
#[derive(Debug, Clone)]
pub struct Coverage {
    commands: HashMap<String, Reached>,
}

impl Default for Coverage {
    /// Nothing yet, of all there is to reach.
    fn default() -> Self {
        let mut commands = HashMap::new();
        for family in families::ALL {
            for command in family.commands {
                let name = command.name.to_lowercase();
                add(&mut commands, &name, command);
                for sub in command.subcommands {
                    add(&mut commands, &format!("{name}|{}", sub.name.to_lowercase()), sub);
                }
            }
        }
        Coverage { commands }
    }
}

fn add(commands: &mut HashMap<String, Reached>, name: &str, command: &Command) {
    if command.handler.is_none() || is_newer(command.since) {
        return;
    }
    let specs: Vec<KeySpec> = command.specs().copied().collect();
    let arguments = arguments(command.syntax, &specs).expect("declared syntax is valid");
    let mut reached = Reached::default();
    words(&arguments, &mut reached.words);
    commands.insert(name.to_owned(), reached);
}

/// The fixed words among arguments which Redis 7.0 knows.
fn words(arguments: &[Argument], found: &mut BTreeMap<String, u64>) {
    for argument in arguments {
        if argument.since.as_deref().is_some_and(is_newer) {
            continue;
        }
        if let Some(token) = argument.token.as_ref().filter(|token| !token.is_empty()) {
            found.insert(token.to_uppercase(), 0);
        }
        words(&argument.arguments, found);
    }
}

/// Newer than the reference, or Tidegate's own: its versions begin with 0, those of Redis do not.
fn is_newer(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    version.0 == 0 || version > REFERENCE
}

impl Coverage {
    /// Takes steps into account that were run.
    pub fn note(&mut self, steps: &[Step]) {
        for step in steps {
            match &step.action {
                Action::Run(ops) | Action::Close(ops) | Action::Kill(ops, _) | Action::Scene(ops, _) => {
                    for op in ops {
                        self.note_op(op);
                    }
                }
                Action::Scan(scan) => self.note_op(&Op::exact(scan.page(b"0"))),
            }
        }
    }

    fn note_op(&mut self, op: &Op) {
        let Some(reached) = self.commands.get_mut(&op.name()) else { return };
        reached.sent += 1;
        for arg in &op.args[1..] {
            let Arg::Bytes(bytes) = arg else { continue };
            if let Some(count) = reached.words.get_mut(&String::from_utf8_lossy(bytes).to_uppercase()) {
                *count += 1;
            }
        }
    }

    /// Adds what another run reached.
    pub fn merge(&mut self, other: &Coverage) {
        for (name, theirs) in &other.commands {
            let Some(ours) = self.commands.get_mut(name) else { continue };
            ours.sent += theirs.sent;
            for (word, count) in &theirs.words {
                *ours.words.entry(word.clone()).or_default() += count;
            }
        }
    }

    /// What was not reached: `command` or `command WORD`, in order.
    pub fn gaps(&self) -> BTreeSet<String> {
        let mut gaps = BTreeSet::new();
        for (name, reached) in &self.commands {
            if reached.sent == 0 {
                gaps.insert(name.clone());
                continue;
            }
            let missed = reached.words.iter().filter(|(_, count)| **count == 0);
            gaps.extend(missed.map(|(word, _)| format!("{name} {word}")));
        }
        gaps
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let commands = self.commands.len();
        let reached = self.commands.values().filter(|reached| reached.sent > 0).count();
        let words: usize = self.commands.values().map(|reached| reached.words.len()).sum();
        let counts = self.commands.values().flat_map(|reached| reached.words.values());
        let reached_words = counts.filter(|count| **count > 0).count();
        write!(f, "reached {reached} of {commands} commands and {reached_words} of {words} option words")?;
        let gaps = self.gaps();
        if !gaps.is_empty() {
            let gaps: Vec<String> = gaps.into_iter().collect();
            write!(f, "; not reached: {}", gaps.join(", "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_is_reached_and_nothing_else() {
        let mut coverage = Coverage::default();
        assert!(coverage.gaps().contains("set"));
        let steps = [Step { conn: 0, action: Action::Run(vec![Op::line("SET key value px 100")]) }];
        coverage.note(&steps);
        let gaps = coverage.gaps();
        assert!(!gaps.contains("set") && !gaps.contains("set PX"));
        assert!(gaps.contains("set EX") && gaps.contains("get"));
        assert!(!gaps.contains("set IFEQ"), "the reference does not know it");
        let mut sum = Coverage::default();
        sum.merge(&coverage);
        assert_eq!(sum.gaps(), gaps);
    }
}
