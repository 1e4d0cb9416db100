//! Glob patterns as Redis 7.0 matches them: `KEYS`, `SCAN MATCH`, `PSUBSCRIBE`, ACL.
//!
//! `*` any run of bytes, `?` any byte, `[a-z]` one of a class, `[^a-z]` one not of it, `\` takes the next byte as it
//! is. Patterns and texts are bytes; only ASCII letters have a case.
//!
//! A failed attempt goes back to the latest `*` only: whatever an earlier one could skip, the latest can skip as
//! well. So a match takes O(pattern * text) steps in the worst case, and no stack.

/// Whether letters match only themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// `a` is not `A`.
    Sensitive,
    /// `a` matches `A`, except where it is escaped inside a class.
    Insensitive,
}

/// Redis refuses to match past this many runs of `*`.
const STARS_MAX: usize = 1000;

/// True when the whole of `text` matches `pattern`.
///
/// Nothing but the empty pattern matches the empty text, not even `*`: this is what Redis answers.
pub fn glob_matches(pattern: &[u8], text: &[u8], case: Case) -> bool {
    if text.is_empty() {
        return pattern.is_empty();
    }
    let (mut p, mut t) = (0, 0);
    let mut stars = 0;
    // What follows the latest `*`, and where in the text it was last tried.
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        let step = match pattern.get(p) {
            Some(b'*') => {
                p += run_of_stars(&pattern[p..]);
                if p == pattern.len() {
                    return true;
                }
                stars += 1;
                if stars > STARS_MAX {
                    return false;
                }
                retry = Some((p, t));
                continue;
            }
            Some(_) => one_byte(&pattern[p..], text[t], case),
            None => None,
        };
        if let Some(len) = step {
            p += len;
            t += 1;
        } else if let Some((after_star, tried)) = retry {
            retry = Some((after_star, tried + 1));
            (p, t) = (after_star, tried + 1);
        } else {
            return false;
        }
    }
    // The text is used up; a later start would have even less of it.
    p + run_of_stars(&pattern[p..]) == pattern.len()
}

fn run_of_stars(pattern: &[u8]) -> usize {
    pattern.iter().take_while(|&&byte| byte == b'*').count()
}

/// Matches `byte` against the first element of a pattern, which is not `*`; the length of the element on success.
#[inline]
fn one_byte(pattern: &[u8], byte: u8, case: Case) -> Option<usize> {
    match pattern {
        [b'?', ..] => Some(1),
        [b'[', class @ ..] => one_of_class(class, byte, case).map(|len| 1 + len),
        [b'\\', literal, ..] => same(*literal, byte, case).then_some(2),
        [literal, ..] => same(*literal, byte, case).then_some(1),
        [] => None,
    }
}

fn same(a: u8, b: u8, case: Case) -> bool {
    match case {
        Case::Sensitive => a == b,
        Case::Insensitive => a.eq_ignore_ascii_case(&b),
    }
}

/// Matches `byte` against a class given without its `[`. The length on success, `]` included; a class that is not
/// closed ends with the pattern.
fn one_of_class(class: &[u8], byte: u8, case: Case) -> Option<usize> {
    let negated = class.first() == Some(&b'^');
    let mut at = usize::from(negated);
    let mut found = false;
    loop {
        at += match class[at..] {
            [b'\\', literal, ..] => {
                found |= literal == byte;
                2
            }
            [b']', ..] => {
                at += 1;
                break;
            }
            [] => break,
            [low, b'-', high, ..] => {
                found |= in_range(low, high, byte, case);
                3
            }
            [literal, ..] => {
                found |= same(literal, byte, case);
                1
            }
        };
    }
    (found != negated).then_some(at)
}

/// Redis compares as C's signed `char`: bytes from 0x80 on come before all others. It orders the ends of the range
/// before it folds their case.
fn in_range(low: u8, high: u8, byte: u8, case: Case) -> bool {
    let (low, high) = if low as i8 > high as i8 { (high, low) } else { (low, high) };
    let fold = |byte: u8| match case {
        Case::Sensitive => byte as i8,
        Case::Insensitive => byte.to_ascii_lowercase() as i8,
    };
    (fold(low)..=fold(high)).contains(&fold(byte))
}

#[cfg(test)]
mod tests;
