//! Patterns of `BY` and `GET`: names of keys, or of keys and a field, with a place for the element.

use crate::model::Ctx;
use tidegate_data::Hash;
use tidegate_data::types::string::INT_LEN_MAX;

/// A pattern. As in C, it is searched up to its first zero byte only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pattern<'p> {
    /// `#`: the element itself.
    Element,
    /// A name without a place for the element: never found.
    Fixed,
    /// The element between two texts, and after `->` a field of the hash there.
    Key { prefix: &'p [u8], suffix: &'p [u8], field: Option<&'p [u8]> },
}

impl<'p> Pattern<'p> {
    pub(super) fn new(text: &'p [u8]) -> Self {
        let searched = text.split(|byte| *byte == 0).next().unwrap_or_default();
        if searched == b"#" {
            return Pattern::Element;
        }
        let Some(star) = searched.iter().position(|byte| *byte == b'*') else { return Pattern::Fixed };
        let (prefix, rest) = (&text[..star], &text[star + 1..]);
        // An arrow with nothing behind it belongs to the name.
        let arrow = searched[star + 1..].windows(2).position(|pair| pair == b"->");
        match arrow.filter(|arrow| searched.len() > star + 1 + arrow + 2) {
            Some(arrow) => Pattern::Key { prefix, suffix: &rest[..arrow], field: Some(&rest[arrow + 2..]) },
            None => Pattern::Key { prefix, suffix: rest, field: None },
        }
    }

    /// True for a pattern that names another key for each element.
    pub(super) fn varies(text: &[u8]) -> bool {
        matches!(Pattern::new(text), Pattern::Key { .. })
    }

    /// What the pattern stands for, with this element. `name` is scratch memory.
    pub(super) fn look_up<'r>(
        &self,
        cx: &'r mut Ctx,
        element: &'r [u8],
        name: &mut Vec<u8>,
        scratch: &'r mut [u8; INT_LEN_MAX],
    ) -> Option<&'r [u8]> {
        let (prefix, suffix, field) = match *self {
            Pattern::Element => return Some(element),
            Pattern::Fixed => return None,
            Pattern::Key { prefix, suffix, field } => (prefix, suffix, field),
        };
        name.clear();
        for part in [prefix, element, suffix] {
            name.extend_from_slice(part);
        }
        let key = cx.keys.key_of(name);
        match field {
            None => cx.keys.read_string(key).ok()??.string(scratch),
            Some(field) => Some(cx.keys.read_as::<Hash>(key).ok()??.get(field)?.bytes(scratch)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_patterns_mean() {
        fn key<'p>(prefix: &'p [u8], suffix: &'p [u8], field: Option<&'p [u8]>) -> Pattern<'p> {
            Pattern::Key { prefix, suffix, field }
        }
        assert_eq!(Pattern::new(b"#"), Pattern::Element);
        assert_eq!(Pattern::new(b"##"), Pattern::Fixed);
        assert_eq!(Pattern::new(b""), Pattern::Fixed);
        assert_eq!(Pattern::new(b"name"), Pattern::Fixed);
        assert_eq!(Pattern::new(b"na\0me*"), Pattern::Fixed);
        assert_eq!(Pattern::new(b"w_*"), key(b"w_", b"", None));
        assert_eq!(Pattern::new(b"*"), key(b"", b"", None));
        assert_eq!(Pattern::new(b"a*b*c"), key(b"a", b"b*c", None));
        assert_eq!(Pattern::new(b"w_*->f"), key(b"w_", b"", Some(b"f")));
        assert_eq!(Pattern::new(b"w_*x->f->g"), key(b"w_", b"x", Some(b"f->g")));
        assert_eq!(Pattern::new(b"w_*->"), key(b"w_", b"->", None));
        assert_eq!(Pattern::new(b"a->b*"), key(b"a->b", b"", None));
        assert_eq!(Pattern::new(b"*->f*"), key(b"", b"", Some(b"f*")));
    }
}
