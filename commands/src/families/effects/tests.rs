//! Effects and payloads that nobody wrote in good faith: each is refused or harmless.

use crate::model::check::{Bench, commands_of};

/// Values of every type of our own, in most of their states; what changes them is journaled.
const LINES: &[&str] = &[
    "RL.POLICY SET p FIXED 3 1000 BLOCKFOR 5000",
    "RL.TOKENBUCKET tb 5 5 1000",
    "RL.TOKENBUCKET tb 5 5 1000 COST 5 BLOCK 5000",
    "RL.FIXED fx 3 1000",
    "RL.CHECK 1 p fx 5",
    "RL.LEAKY lk 2 10 1000",
    "RL.SLIDING sw 9 1000 BUCKETS 4",
    "RL.SLIDING lg 3 1000 LOG",
    "RL.ACQUIRE cc 2 5000 ID a",
    "RL.ADJUST tb 2 BLOCK 100",
    "CTR.CREATE c 1000 10 5000 9",
    "CTR.ADD c 3",
    "SEQ.SET s START 5 STEP 2 MAX 60 CYCLE",
    "SEQ.NEXT s COUNT 3 FOR a",
    "SEQ.SET y PERIOD YEAR Europe/Berlin",
    "SEQ.NEXT y",
    "LOCK.ACQUIRE l A 1000 SHARED META m",
    "LOCK.ACQUIRE l B 1000 SHARED",
    "LOCK.RENEW l A 2000",
    "LOCK.RELEASE l A",
    "IDEM.BEGIN i 5000 FINGERPRINT f",
    "IDEM.COMPLETE i 122163200000002 r",
    "UNIQ.CREATE u 1000 5",
    "UNIQ.ADD u a b",
    "CACHE.PUT a v PX 5000 SOFT 1000 TAGS 1 t",
    "CB.SET b MINCALLS 1",
    "CB.REPORT b 0 3",
    "EV.APPEND e ANY 1 t p IDEM n",
    "XQUEUE.CREATE q MAXDELIVER 2 BACKOFF LIST 2 5 9",
    "XQUEUE.PUSH q GROUP g TTL 900 DEDUP d 50 HEADERS 1 k v BODY m",
    "XQUEUE.PUSH q DELAY 5 PRIORITY 7 BODY n",
    "XQUEUE.POP 1 q LEASE 100 CONSUMER w",
    "XQUEUE.PAUSE q IN FOR 50",
];

/// Looks at every value, and uses it.
const AFTER: &[&str] = &[
    "RL.GET tb",
    "RL.TOKENBUCKET tb 5 5 1000",
    "RL.GET fx",
    "RL.FIXED fx 3 1000",
    "RL.CHECK 2 p fx 1 p tb 1 HEADERS",
    "RL.GET lk",
    "RL.LEAKY lk 2 10 1000",
    "RL.GET sw",
    "RL.SLIDING sw 9 1000 BUCKETS 4",
    "RL.GET lg",
    "RL.SLIDING lg 3 1000 LOG",
    "RL.GET cc",
    "RL.ACQUIRE cc 2 5000 ID b",
    "RL.ADJUST tb -3",
    "CTR.INFO c",
    "CTR.SUM c 1000 60000",
    "CTR.ADD c 9223372036854775807",
    "SEQ.GET s",
    "SEQ.NEXT s COUNT 5 FOR b",
    "SEQ.GET y",
    "SEQ.NEXT y",
    "LOCK.GET l",
    "LOCK.ACQUIRE l A 1000",
    "LOCK.RENEW l B 70",
    "IDEM.GET i",
    "IDEM.BEGIN i 50",
    "UNIQ.COUNT u 1000 5000",
    "UNIQ.ADD u c",
    "CACHE.GET a",
    "CACHE.PUT a w PX 100",
    "CB.GET b",
    "CB.REPORT b 1 1",
    "CB.ALLOW b",
    "EV.APPEND e ANY 1 t p IDEM n",
    "XQUEUE.INFO q",
    "XQUEUE.PEEK q STATE leased",
    "XQUEUE.PUSH q GROUP g BODY o",
    "XQUEUE.POP 1 q COUNT 9 LEASE 5",
    "XQUEUE.REDRIVE q",
];

const KEYS: [&str; 16] =
    ["tb", "fx", "lk", "sw", "lg", "cc", "c", "s", "y", "l", "i", "u", "a", "b", "e", "q"];

/// What stands in the place of a word.
const ODD: [&[u8]; 10] = [
    b"",
    b"x",
    b"0",
    b"-1",
    b"65536",
    b"4294967296",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"1700000000000-18446744073709551615",
    b"\xff\xfe",
];

/// Uses everything, now and after all leases, windows and delays have ended.
fn use_all(bench: &mut Bench) {
    for pass_ms in [0, 10, 3_600_000] {
        bench.now_ms += pass_ms;
        for line in AFTER {
            bench.run(line);
        }
        for key in KEYS {
            bench.run_words(&[b"DUMP", key.as_bytes()]);
        }
    }
}

/// Effects of [`LINES`], and a bench that they were carried out on.
fn filled() -> (Bench, Vec<Vec<Vec<u8>>>) {
    let mut bench = Bench::default();
    let mut all = Vec::new();
    for line in LINES {
        let ran = bench.run(line);
        assert!(!ran.reply.starts_with(b"-"), "{line}: {}", ran.text());
        all.extend(
            commands_of(&ran.effects)
                .into_iter()
                .map(|words| words.into_iter().map(<[u8]>::to_vec).collect::<Vec<_>>()),
        );
    }
    (bench, all)
}

#[test]
fn effects_that_are_damaged_do_no_harm() {
    let (_, effects) = filled();
    let mut kinds: Vec<&[u8]> =
        effects.iter().filter(|words| words[0] == b"NATIVE.APPLY").map(|words| &*words[2]).collect();
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds.len(), 10, "one of each: {kinds:?}");
    for (at, effect) in effects.iter().enumerate() {
        let borrowed: Vec<&[u8]> = effect.iter().map(Vec::as_slice).collect();
        let mut damaged: Vec<Vec<&[u8]>> = (1..borrowed.len()).map(|len| borrowed[..len].to_vec()).collect();
        damaged.push([&borrowed[..], &borrowed[borrowed.len() - 1..]].concat());
        for place in 2..borrowed.len() {
            damaged.extend(ODD.iter().map(|odd| {
                let mut words = borrowed.clone();
                words[place] = odd;
                words
            }));
        }
        for words in damaged {
            let mut bench = Bench::default();
            for before in &effects[..at] {
                let before: Vec<&[u8]> = before.iter().map(Vec::as_slice).collect();
                bench.run_words(&before);
            }
            // The bench sees to it that what is refused has changed nothing.
            bench.run_words(&words);
            use_all(&mut bench);
        }
    }
}

#[test]
fn payloads_that_are_damaged_do_no_harm() {
    let (mut source, _) = filled();
    let mut luck = 1_u64;
    let mut random = |below: usize| {
        luck = luck.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (luck >> 33) as usize % below
    };
    let (mut taken, mut refused) = (0, 0);
    for key in KEYS {
        let reply = source.run_words(&[b"DUMP", key.as_bytes()]).reply;
        let start = reply.iter().position(|byte| *byte == b'\n').expect("a bulk string") + 1;
        let payload = &reply[start..reply.len() - 2];
        for _ in 0..300 {
            let mut bad = payload.to_vec();
            // Not what follows the value: version and checksum.
            for _ in 0..=random(3) {
                let at = random(bad.len() - 10);
                bad[at] = [random(256) as u8, 0, 0x7f, 0x80, 0xff][random(5)];
            }
            let mut bench = Bench::default();
            bench.limits.verify_dumps = false;
            bench.run("RL.POLICY SET p FIXED 3 1000");
            let ran = bench.run_words(&[b"RESTORE", key.as_bytes(), b"0", &bad]);
            if ran.reply.starts_with(b"+") {
                taken += 1;
                use_all(&mut bench);
            } else {
                refused += 1;
                assert_eq!(ran.text(), "-ERR Bad data format");
            }
        }
    }
    assert!(taken > 300 && refused > 300, "{taken} were taken, {refused} refused");
}
