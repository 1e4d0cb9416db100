use super::{Case, glob_matches};
use proptest::prelude::*;

/// What `KEYS` of redis-server 7.0.15 answered: the first line has the keys, each other line a pattern and for each
/// key whether it matched. All in hexadecimal; `-` is the empty key.
static FACTS: &str = include_str!("facts.txt");

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.trim_start_matches('-');
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn random_patterns_match_what_they_match_in_redis() {
    let mut lines = FACTS.lines();
    let keys: Vec<_> = lines.next().unwrap().split(' ').map(unhex).collect();
    let mut checked = 0;
    for line in lines {
        let (pattern, matched) = line.split_once(' ').unwrap();
        let pattern = unhex(pattern);
        assert_eq!(matched.len(), keys.len());
        for (key, matched) in keys.iter().zip(matched.bytes()) {
            let found = glob_matches(&pattern, key, Case::Sensitive);
            assert_eq!(found, matched == b'1', "{} {}", pattern.escape_ascii(), key.escape_ascii());
            checked += 1;
        }
    }
    assert!(checked > 10_000);
}

/// Answers of redis-server 7.0.15 to one key and one pattern.
#[test]
fn chosen_patterns_match_what_they_match_in_redis() {
    let cases: &[(&[u8], &[u8], bool)] = &[
        (b"h**llo", b"hllo", true),
        (b"a*", b"a", true),
        (b"a?*", b"a", false),
        (b"**", b"", false),
        (b"", b"", true),
        (b"", b"a", false),
        // Bytes are compared as signed ones.
        (b"[\x80-\xff]", b"a", false),
        (b"[\x80-\xff]", b"\x90", true),
        (b"[a-\xff]", b"b", false),
        (b"[a-\xff]", b"A", true),
        // Classes that are not closed, or closed where one would not expect it.
        (b"[a-", b"-", true),
        (b"[^", b"q", true),
        (b"[", b"[", false),
        (b"[]", b"]", false),
        (b"[]a]", b"a", false),
        (b"[^]", b"x", true),
        (b"[a-]b]", b"^b]", false),
        (b"[a-]", b"_", true),
        (b"[z-a]", b"m", true),
        (b"[\\a-c]", b"b", false),
        (b"[a-\\]", b"\\", true),
        (b"[a-\\]]", b"^]", true),
        (b"[\\", b"\\", true),
        (b"\\", b"\\", true),
        (b"a\0*", b"a\0b", true),
    ];
    for (pattern, text, matched) in cases {
        assert_eq!(
            glob_matches(pattern, text, Case::Sensitive),
            *matched,
            "{} {}",
            pattern.escape_ascii(),
            text.escape_ascii()
        );
    }
}

#[test]
fn more_than_a_thousand_stars_match_nothing() {
    let text = [b'a'; 1100];
    assert!(glob_matches(&b"*a".repeat(1000), &text, Case::Sensitive));
    assert!(!glob_matches(&b"*a".repeat(1001), &text, Case::Sensitive));
    assert!(glob_matches(&[b"*a".repeat(1000), b"*".to_vec()].concat(), &text, Case::Sensitive));
    assert!(glob_matches(&[b"*".repeat(2000), b"a".to_vec()].concat(), &text, Case::Sensitive));
}

#[test]
fn case_is_folded_except_for_escapes_in_classes() {
    let matches = |pattern: &[u8], text: &[u8]| glob_matches(pattern, text, Case::Insensitive);
    assert!(matches(b"AbC*", b"aBcD"));
    assert!(matches(b"[a-c]", b"B"));
    assert!(matches(b"[A-C]", b"b"));
    assert!(matches(b"[x]", b"X"));
    assert!(matches(b"\\x", b"X"));
    assert!(!matches(b"[\\x]", b"X"));
    assert!(!matches(b"\xc0", b"\xe0"));
}

/// The pattern that defeats matchers which try every star at every place.
#[test]
fn many_stars_take_linear_time_each() {
    let text = vec![b'a'; 20_000];
    let pattern = [b"*a".repeat(900), b"b".to_vec()].concat();
    assert!(!glob_matches(&pattern, &text, Case::Sensitive));
}

/// One element of a pattern, parsed beforehand.
#[derive(Debug)]
enum Element {
    Stars,
    Any,
    Byte(u8),
    Class { negated: bool, parts: Vec<(i8, i8)> },
}

fn parse(mut pattern: &[u8]) -> Vec<Element> {
    let mut elements = Vec::new();
    while let Some((&first, rest)) = pattern.split_first() {
        pattern = rest;
        elements.push(match first {
            b'*' => Element::Stars,
            b'?' => Element::Any,
            b'\\' if !rest.is_empty() => {
                pattern = &rest[1..];
                Element::Byte(rest[0])
            }
            b'[' => {
                let negated = pattern.first() == Some(&b'^');
                pattern = &pattern[usize::from(negated)..];
                let mut parts = Vec::new();
                while !pattern.is_empty() && pattern[0] != b']' {
                    let len = if pattern[0] == b'\\' && pattern.len() >= 2 {
                        parts.push((pattern[1] as i8, pattern[1] as i8));
                        2
                    } else if pattern.len() >= 3 && pattern[1] == b'-' {
                        let (a, b) = (pattern[0] as i8, pattern[2] as i8);
                        parts.push((a.min(b), a.max(b)));
                        3
                    } else {
                        parts.push((pattern[0] as i8, pattern[0] as i8));
                        1
                    };
                    pattern = &pattern[len..];
                }
                pattern = pattern.get(1..).unwrap_or_default();
                Element::Class { negated, parts }
            }
            byte => Element::Byte(byte),
        });
    }
    elements
}

/// Tries everything.
fn naive(elements: &[Element], text: &[u8]) -> bool {
    let Some((first, rest)) = elements.split_first() else { return text.is_empty() };
    if let Element::Stars = first {
        return (0..=text.len()).any(|skipped| naive(rest, &text[skipped..]));
    }
    let Some((&byte, after)) = text.split_first() else { return false };
    let fits = match first {
        Element::Stars | Element::Any => true,
        Element::Byte(wanted) => *wanted == byte,
        Element::Class { negated, parts } => {
            parts.iter().any(|(low, high)| (*low..=*high).contains(&(byte as i8))) != *negated
        }
    };
    fits && naive(rest, after)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn matching_is_trying_everything(
        pattern in prop::collection::vec(prop::sample::select(&b"aabbc*?[]^-\\\xff"[..]), 0..10),
        text in prop::collection::vec(prop::sample::select(&b"aabbc]-\\\xff"[..]), 0..8),
    ) {
        let expected = if text.is_empty() { pattern.is_empty() } else { naive(&parse(&pattern), &text) };
        prop_assert_eq!(glob_matches(&pattern, &text, Case::Sensitive), expected);
    }
}
