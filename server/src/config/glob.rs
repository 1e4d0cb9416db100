//! Patterns of `*`, `?`, `[a-z]`, `[^x]` and `\\x`, for the names CONFIG GET is asked for and the files `include` names.

/// Whether upper and lower case are the same letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Case {
    Ignored,
    Respected,
}

impl Case {
    const fn fold(self, byte: u8) -> u8 {
        match self {
            Self::Ignored => byte.to_ascii_lowercase(),
            Self::Respected => byte,
        }
    }
}

/// Whether a text has a wildcard at all.
pub(super) fn is_pattern(text: &[u8]) -> bool {
    text.iter().any(|byte| matches!(byte, b'*' | b'?' | b'['))
}

/// Whether a whole name matches. It remembers only the last `*`, so the time is bounded by the product of the
/// lengths whatever the pattern is.
pub(super) fn matches(pattern: &[u8], name: &[u8], case: Case) -> bool {
    let (mut at, mut pos) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        if pattern.get(at) == Some(&b'*') {
            at += 1;
            retry = Some((at, pos));
            continue;
        }
        if pos == name.len() {
            return at == pattern.len();
        }
        if let Some(length) = match_one(&pattern[at..], name[pos], case) {
            at += length;
            pos += 1;
        } else if let Some((star, from)) = retry {
            at = star;
            pos = from + 1;
            retry = Some((star, pos));
        } else {
            return false;
        }
    }
}

/// Length of the pattern's first element when it matches `byte`.
fn match_one(pattern: &[u8], byte: u8, case: Case) -> Option<usize> {
    let equal = |other: u8| case.fold(other) == case.fold(byte);
    match *pattern {
        [] => None,
        [b'?', ..] => Some(1),
        [b'[', ref class @ ..] => match_class(class, byte, case).map(|length| length + 1),
        [b'\\', escaped, ..] => equal(escaped).then_some(2),
        [literal, ..] => equal(literal).then_some(1),
    }
}

/// Length of the class after its opening bracket, closing one included, when it contains `byte`. A class that is
/// not closed ends with the pattern.
fn match_class(class: &[u8], byte: u8, case: Case) -> Option<usize> {
    let byte = case.fold(byte);
    let negated = class.first() == Some(&b'^');
    let mut at = usize::from(negated);
    let mut contained = false;
    loop {
        match class.get(at..).unwrap_or_default() {
            [] => break,
            [b']', ..] => {
                at += 1;
                break;
            }
            [b'\\', escaped, ..] => {
                contained |= case.fold(*escaped) == byte;
                at += 2;
            }
            [first, b'-', last, ..] => {
                let (first, last) = (case.fold(*first), case.fold(*last));
                contained |= (first.min(last)..=first.max(last)).contains(&byte);
                at += 3;
            }
            [literal, ..] => {
                contained |= case.fold(*literal) == byte;
                at += 1;
            }
        }
    }
    (contained != negated).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_like_redis() {
        let cases = [
            ("*", "", true),
            ("h?llo", "HELLO", true),
            ("h[a-e]llo", "hello", true),
            ("h[^e]llo", "hello", false),
            ("h[e", "he", true),
            ("*a*b", "xaxb", true),
            ("*a*b", "xaxc", false),
            (r"\*", "*", true),
            (r"\*", "x", false),
            ("[", "x", false),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(
                matches(pattern.as_bytes(), name.as_bytes(), Case::Ignored),
                expected,
                "{pattern} {name}"
            );
        }
    }
}
