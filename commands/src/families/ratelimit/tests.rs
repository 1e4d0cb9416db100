//! The transcripts of the specification, on a bench.

use crate::model::check::Bench;

/// Runs lines, each with its reply; `@+n` before one lets so many milliseconds pass.
#[track_caller]
fn transcript(lines: &[(&str, &str)]) {
    let mut bench = Bench::default();
    for (line, expected) in lines {
        let line = match line.split_once(' ') {
            Some((at, rest)) if at.starts_with("@+") => {
                bench.now_ms += at[2..].parse::<i64>().unwrap();
                rest
            }
            _ => line,
        };
        let shown = bench.run(line).text();
        assert_eq!(&shown, expected, "{line}");
    }
}

fn five(numbers: [i64; 5]) -> String {
    numbers.iter().fold("*5".to_owned(), |text, number| format!("{text} :{number}"))
}

#[track_caller]
fn limits(lines: &[(&str, [i64; 5])]) {
    let lines: Vec<(&str, String)> = lines.iter().map(|(line, numbers)| (*line, five(*numbers))).collect();
    let lines: Vec<(&str, &str)> = lines.iter().map(|(line, reply)| (*line, reply.as_str())).collect();
    transcript(&lines);
}

#[test]
fn a_token_bucket() {
    let line = "RL.TOKENBUCKET k 5 5 1000";
    limits(&[
        (line, [1, 5, 4, 0, 200]),
        (line, [1, 5, 3, 0, 400]),
        (line, [1, 5, 2, 0, 600]),
        (line, [1, 5, 1, 0, 800]),
        (line, [1, 5, 0, 0, 1000]),
        (line, [0, 5, 0, 200, 1000]),
        ("@+100 RL.TOKENBUCKET k 5 5 1000", [0, 5, 0, 100, 900]),
        ("@+100 RL.TOKENBUCKET k 5 5 1000", [1, 5, 0, 0, 1000]),
        ("@+1000 RL.TOKENBUCKET k 5 5 1000 COST 3", [1, 5, 2, 0, 600]),
        ("RL.TOKENBUCKET k 5 5 1000 COST 6", [0, 5, 2, -1, 600]),
    ]);
}

#[test]
fn a_gcra() {
    let line = "RL.GCRA g 15 30 60000";
    limits(&[
        (line, [1, 16, 15, 0, 2000]),
        ("RL.GCRA g 15 30 60000 COST 15", [1, 16, 0, 0, 32000]),
        (line, [0, 16, 0, 2000, 32000]),
        ("@+1999 RL.GCRA g 15 30 60000", [0, 16, 0, 1, 30001]),
        ("@+1 RL.GCRA g 15 30 60000", [1, 16, 0, 0, 32000]),
    ]);
}

#[test]
fn a_log() {
    limits(&[
        ("RL.SLIDING l 3 1000 LOG", [1, 3, 2, 0, 1000]),
        ("@+300 RL.SLIDING l 3 1000 LOG COST 2", [1, 3, 0, 0, 1000]),
        ("@+100 RL.SLIDING l 3 1000 LOG", [0, 3, 0, 600, 900]),
        ("@+600 RL.SLIDING l 3 1000 LOG", [1, 3, 0, 0, 1000]),
    ]);
}

#[test]
fn wrong_parameters() {
    transcript(&[
        ("RL.TOKENBUCKET k 0 5 1000", "-ERR rate is out of range"),
        ("RL.TOKENBUCKET k 5 5 1000 COST -1", "-ERR COST must be between 0 and 1099511627776"),
        ("RL.TOKENBUCKET k 5 5 1000 COST", "-ERR syntax error"),
        ("RL.TOKENBUCKET k 5 5 1000 COST 1 COST 1", "-ERR syntax error"),
        ("RL.TOKENBUCKET k x 5 1000", "-ERR value is not an integer or out of range"),
        ("RL.TOKENBUCKET k 1099511627776 1 1000000", "-ERR rate is out of range"),
        ("RL.TOKENBUCKET k 1 1099511627776 1", "-ERR rate is out of range"),
        ("RL.SLIDING k 5 1000 BUCKETS 61", "-ERR BUCKETS must be between 1 and 60"),
        ("RL.SLIDING k 5 1000 BUCKETS 7", "-ERR window must be a multiple of BUCKETS"),
        ("RL.SLIDING k 10001 1000 LOG", "-ERR limit too large for LOG"),
        ("RL.CHECK 0 a b 1", "-ERR numlimits must be between 1 and 16"),
        ("RL.POLICY SET a/b FIXED 1 1", "-ERR invalid policy name"),
        ("RL.POLICY SET p FIXED 1 1000", "+OK"),
        ("RL.CHECK 2 p a 1 p a 1", "-ERR duplicate key in RL.CHECK"),
        ("RL.CHECK 1 nope x 1", "-NOPOLICY no such policy 'nope'"),
        ("RL.STATS nope", "-NOPOLICY no such policy 'nope'"),
        ("RL.FIXED f 3 1000", "*5 :1 :3 :2 :0 :1000"),
        ("RL.SLIDING f 3 1000", "-ERR key holds a 'fixed' limiter"),
        ("SET s x", "+OK"),
        ("RL.FIXED s 3 1000", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ]);
}
