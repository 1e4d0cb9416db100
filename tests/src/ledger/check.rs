//! The ledger: what every writer sent and what was acknowledged, and what has to be true of a keyspace that came back.
//!
//! All of a writer's units are in one order, so what comes back has to be the first so many of them: none is missing in
//! between, the last acknowledged one is among them, and none is there that was never sent.

use std::fmt::Write as _;
use std::io;
use std::ops::AddAssign;

use super::work::{Answer, COUNTER, Kind, Plan};
use crate::resp::{RespClient, encode_command};

/// What happened to a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// It was sent: it may or may not come to be.
    Sent,
    /// Its reply came.
    Acked,
    /// An error came.
    Error,
    /// A reader saw it.
    Seen,
}

/// One line of a ledger.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// Nanoseconds since the lane began.
    pub at_ns: u64,
    /// What.
    pub what: What,
    /// Number of the unit.
    pub unit: u64,
}

/// Writes events as lines: `<ns> <writer> <S|A|E|R> <kind>:<writer> <unit>`.
pub fn format(plan: &Plan, events: &[Event]) -> String {
    let mut text = String::new();
    for Event { at_ns, what, unit } in events {
        let what = match what {
            What::Sent => 'S',
            What::Acked => 'A',
            What::Error => 'E',
            What::Seen => 'R',
        };
        let letter = plan.kind(*unit).letter();
        let writer = plan.writer;
        let _ = writeln!(text, "{at_ns} {writer} {what} {letter}:{writer} {unit}");
    }
    text
}

/// How far a writer came.
#[derive(Clone, Copy, Debug, Default)]
pub struct Marks {
    /// So many units were sent.
    pub sent: u64,
    /// So many have to be there.
    pub promised: u64,
    /// A reader saw so many.
    pub seen: u64,
    /// What readers saw need not be there.
    pub may_vanish: bool,
}

/// Figures of one recovery, or the sum of many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Units that are there; in a sum, of those that came after the recovery before.
    pub recovered: u64,
    /// Acknowledged units that are not.
    pub lost: u64,
    /// Units that a reader saw and that are not.
    pub seen_lost: u64,
    /// Values nobody sent.
    pub invented: u64,
    /// Units that are there twice.
    pub duplicated: u64,
    /// Units of which only a part is there.
    pub torn: u64,
    /// Units that are missing although a later one of the same writer is there.
    pub holes: u64,
}

impl Verdict {
    /// Nothing is wrong, but for what readers saw.
    pub fn is_clean(&self) -> bool {
        self.lost + self.invented + self.duplicated + self.torn + self.holes == 0
    }
}

impl AddAssign for Verdict {
    fn add_assign(&mut self, other: Self) {
        self.recovered += other.recovered;
        self.lost += other.lost;
        self.seen_lost += other.seen_lost;
        self.invented += other.invented;
        self.duplicated += other.duplicated;
        self.torn += other.torn;
        self.holes += other.holes;
    }
}

/// What the keyspace says of one writer, kind by kind.
pub type Found = Vec<(Kind, Vec<Answer>)>;

/// Asks for everything that a writer left.
///
/// # Errors
/// The connection.
pub fn ask(client: &mut RespClient, plan: &Plan) -> io::Result<Found> {
    let mut request = Vec::new();
    for (kind, _) in Kind::ALL {
        plan.questions(kind).iter().for_each(|words| encode_command(words, &mut request));
    }
    client.send_raw(&request)?;
    let mut found = Found::new();
    for (kind, _) in Kind::ALL {
        let mut answers = Vec::new();
        for _ in plan.questions(kind) {
            answers.push(Plan::answer(kind, &client.read()?));
        }
        found.push((kind, answers));
    }
    Ok(found)
}

/// Asks for the counter of all writers.
///
/// # Errors
/// The connection.
pub fn ask_counter(client: &mut RespClient) -> io::Result<u64> {
    client.send(&["GET", COUNTER])?;
    Ok(client.read()?.text().parse().unwrap_or(0))
}

/// Judges one writer, whose plan must know what was sent. Also says in words what is wrong, and how many units are there.
pub fn judge(plan: &Plan, marks: Marks, found: &Found) -> (Verdict, u64, Vec<String>) {
    let mut verdict = Verdict::default();
    let mut wrong = Vec::new();
    let mut shown = Vec::new();
    for (kind, answers) in found {
        let last = plan.last_shown(*kind, answers, marks.sent);
        if last.is_none() {
            verdict.invented += 1;
            wrong.push(format!("{kind:?} of writer {} was never sent: {}", plan.writer, shorten(answers)));
        }
        shown.push(last);
    }
    let last = shown.iter().flatten().copied().max().unwrap_or(0);
    for ((kind, answers), shown) in found.iter().zip(&shown) {
        let Some(shown) = *shown else { continue };
        let missing = plan.units(*kind, last).iter().filter(|unit| **unit > shown);
        for &unit in missing {
            if unit <= marks.promised {
                verdict.lost += 1;
            }
            verdict.holes += 1;
            wrong.push(format!("{kind:?} {unit} of writer {} is missing, {last} is there", plan.writer));
        }
        let expected = plan.answers(*kind, shown);
        if expected == *answers {
            continue;
        }
        let is_list = *kind == Kind::List;
        let twice = answers.iter().any(|answer| {
            let mut sorted = answer.clone();
            sorted.sort();
            sorted.windows(2).any(|pair| pair[0] == pair[1])
        });
        if is_list && twice || matches!(kind, Kind::Script) && answers[1].len() > expected[1].len() {
            verdict.duplicated += 1;
        } else {
            verdict.torn += 1;
        }
        let (is, was) = (shorten(answers), shorten(&expected));
        wrong.push(format!("{kind:?} {shown} of writer {} is {is} instead of {was}", plan.writer));
    }
    if last < marks.promised {
        verdict.lost += marks.promised - last;
        wrong.push(format!(
            "writer {} has {last} units, {} were promised, {} sent",
            plan.writer, marks.promised, marks.sent
        ));
    }
    if last < marks.seen {
        verdict.seen_lost += marks.seen - last;
        if !marks.may_vanish {
            let writer = plan.writer;
            wrong.push(format!("writer {writer} has {last} units, a reader saw {}", marks.seen));
        }
    }
    verdict.recovered = last;
    (verdict, last, wrong)
}

fn shorten(answers: &[Answer]) -> String {
    let mut text = String::new();
    for value in answers.iter().flatten() {
        match value {
            Some(value) => {
                let end = value.len().min(24);
                let _ = write!(text, "{:?} ", String::from_utf8_lossy(&value[..end]));
            }
            None => text.push_str("nil "),
        }
        if text.len() > 300 {
            text.push_str("...");
            break;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: u64 = 400;

    fn plan() -> Plan {
        let mut plan = Plan::new(3, 1);
        plan.extend_to(SENT);
        plan
    }

    fn state(plan: &Plan, n: u64) -> Found {
        Kind::ALL.iter().map(|(kind, _)| (*kind, plan.answers(*kind, n))).collect()
    }

    fn judged(found: &Found) -> Verdict {
        judge(&plan(), Marks { sent: SENT, promised: 300, seen: 310, may_vanish: true }, found).0
    }

    /// The answers of one kind, to be spoiled.
    fn of(found: &mut Found, kind: Kind) -> &mut Vec<Answer> {
        &mut found.iter_mut().find(|(other, _)| *other == kind).expect("every kind is asked for").1
    }

    #[test]
    fn every_prefix_that_has_what_was_promised_is_fine() {
        for n in 0..=SENT {
            let verdict = judged(&state(&plan(), n));
            let lost = 300u64.saturating_sub(n);
            let seen_lost = 310u64.saturating_sub(n);
            assert_eq!(verdict, Verdict { recovered: n, lost, seen_lost, ..Verdict::default() }, "{n}");
        }
    }

    #[test]
    fn whatever_is_wrong_is_noticed() {
        let plan = plan();
        let fine = state(&plan, 350);
        let spoil = |kind, change: &dyn Fn(&mut Vec<Answer>)| {
            let mut found = fine.clone();
            change(of(&mut found, kind));
            judged(&found)
        };
        let text = |text: &str| Some(text.as_bytes().to_vec());
        // Half of a transaction, of a script, of a rename, of a replacement.
        let before = plan.answers(Kind::Pair, plan.units(Kind::Pair, 350).last().copied().unwrap_or(0) - 1);
        assert_eq!(spoil(Kind::Pair, &|answers| answers[0][1] = before[0][1].clone()).torn, 1);
        assert_eq!(spoil(Kind::Many, &|answers| answers[0][7] = None).torn, 1);
        assert_eq!(spoil(Kind::Script, &|answers| drop(answers[1].pop())).torn, 1);
        assert_eq!(spoil(Kind::Rename, &|answers| answers[0][1] = answers[0][0].clone()).torn, 1);
        assert_eq!(spoil(Kind::Replace, &|answers| drop(answers[0].pop())).torn, 1);
        assert_eq!(spoil(Kind::Hash, &|answers| drop(answers[0].remove(0))).torn, 1);
        assert_eq!(spoil(Kind::Stream, &|answers| drop(answers[0].remove(0))).torn, 1);
        // A bit that flipped, a value of nobody, one that is to come.
        assert_eq!(spoil(Kind::Set, &|answers| answers[0][0] = text("17:zzz")).invented, 1);
        assert_eq!(spoil(Kind::Count, &|answers| answers[0][0] = text("399")).invented, 1);
        assert_eq!(spoil(Kind::List, &|answers| answers[0].push(text("4000"))).invented, 1);
        // One unit twice; one that is missing.
        assert_eq!(spoil(Kind::List, &|answers| answers[0].extend_from_within(3..4)).duplicated, 1);
        let count = plan.units(Kind::Count, 350).len();
        let missing = spoil(Kind::Count, &|answers| answers[0][0] = text(&(count - 1).to_string()));
        assert_eq!(missing.holes, 1);
        let none = spoil(Kind::Global, &|answers| answers[0][0] = None);
        assert_eq!(none.holes as usize, plan.units(Kind::Global, 350).len());
        assert_eq!(none.lost as usize, plan.units(Kind::Global, 300).len());
    }

    #[test]
    fn a_ledger_has_a_line_per_event() {
        let plan = plan();
        let events = [(5, What::Sent), (9, What::Acked)].map(|(at_ns, what)| Event { at_ns, what, unit: 1 });
        let letter = plan.kind(1).letter();
        assert_eq!(format(&plan, &events), format!("5 1 S {letter}:1 1\n9 1 A {letter}:1 1\n"));
    }
}
