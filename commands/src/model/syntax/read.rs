//! The text of a syntax line as nested elements, repetitions recognised.

use super::{ArgumentKind, SyntaxError};

/// Versions noted behind an element.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Versions {
    pub(super) since: Option<String>,
    pub(super) deprecated: Option<String>,
}

/// A piece of a syntax line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Element {
    /// A fixed word, with its name if it is not the word in lower case.
    Token { name: Option<String>, text: String, versions: Versions },
    /// An argument.
    Name { name: String, kind: ArgumentKind, versions: Versions },
    /// A bracket: choices, each a sequence.
    Group {
        name: Option<String>,
        optional: bool,
        multiple: bool,
        choices: Vec<Vec<Element>>,
        versions: Versions,
    },
    /// Elements that may be repeated as a whole; `with_token` when the word before them is repeated with them.
    Many { elements: Vec<Element>, with_token: bool },
}

pub(super) fn read(line: &str) -> Result<Vec<Element>, SyntaxError> {
    let mut reader = Reader { line, at: 0 };
    let elements = reader.outermost()?;
    if reader.at < line.len() {
        return Err(reader.error("closing bracket without an opening one"));
    }
    Ok(elements)
}

struct Reader<'a> {
    line: &'a str,
    at: usize,
}

/// What ended a sequence.
enum End {
    Choice,
    Bracket,
    Repetition,
}

impl<'a> Reader<'a> {
    fn error(&self, what: &str) -> SyntaxError {
        SyntaxError(format!("{what} at byte {} of `{}`", self.at, self.line))
    }

    fn rest(&self) -> &'a str {
        &self.line[self.at..]
    }

    fn skip_spaces(&mut self) {
        self.at = self.line.len() - self.rest().trim_start().len();
    }

    fn take(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        self.at += if found { text.len() } else { 0 };
        found
    }

    /// The line outside of all brackets: there `|` joins the words beside it and a label names the next element.
    fn outermost(&mut self) -> Result<Vec<Element>, SyntaxError> {
        let mut elements = Vec::new();
        loop {
            self.skip_spaces();
            if matches!(self.rest().chars().next(), None | Some(']' | '>')) {
                return Ok(elements);
            }
            let label = self.label();
            self.skip_spaces();
            let mut choices = vec![vec![self.element()?]];
            while self.take("|") {
                choices.push(vec![self.element()?]);
            }
            if label.is_none() && choices.len() == 1 {
                let element = choices.remove(0).remove(0);
                push(&mut elements, element, self)?;
                continue;
            }
            elements.push(Element::Group {
                name: label,
                optional: false,
                multiple: false,
                choices,
                versions: Versions::default(),
            });
        }
    }

    /// `name:` before a blank.
    fn label(&mut self) -> Option<String> {
        let word = self.rest().split_ascii_whitespace().next()?;
        let name = word.strip_suffix(':').filter(|name| !name.contains(['|', '[', ']', '<', '>']))?;
        self.at += word.len();
        Some(name.into())
    }

    fn element(&mut self) -> Result<Element, SyntaxError> {
        if self.take("[") {
            return self.group(true);
        }
        if self.take("<") {
            return self.group(false);
        }
        let word = self.word();
        if word.is_empty() {
            return Err(self.error("a word is missing"));
        }
        let versions = self.versions();
        self.classify(word, versions)
    }

    fn word(&mut self) -> &'a str {
        let end = self
            .rest()
            .find(|c: char| c.is_ascii_whitespace() || "[]<>|@".contains(c))
            .unwrap_or(self.rest().len());
        let word = &self.rest()[..end];
        self.at += end;
        word
    }

    fn versions(&mut self) -> Versions {
        let mut versions = Versions::default();
        while self.take("@") {
            let deprecated = self.take("-");
            let version = Some(self.word().to_owned());
            *(if deprecated { &mut versions.deprecated } else { &mut versions.since }) = version;
        }
        versions
    }

    /// A fixed word begins with a capital letter or a sign, or is quoted; an argument with a small letter.
    fn classify(&self, word: &str, versions: Versions) -> Result<Element, SyntaxError> {
        if let Some((name, kind)) = word.strip_suffix(')').and_then(|word| word.split_once('(')) {
            let kind = ArgumentKind::named(kind).ok_or_else(|| self.error("unknown type"))?;
            return Ok(Element::Name { name: name.into(), kind, versions });
        }
        let is_token = |word: &str| word.starts_with(|c: char| !c.is_ascii_lowercase());
        let unquoted = |word: &str| {
            word.strip_prefix('\'').and_then(|word| word.strip_suffix('\'')).unwrap_or(word).to_owned()
        };
        if let Some((name, token)) = word.split_once(':').filter(|(_, token)| is_token(token)) {
            return Ok(Element::Token { name: Some(name.into()), text: unquoted(token), versions });
        }
        if is_token(word) {
            return Ok(Element::Token { name: None, text: unquoted(word), versions });
        }
        if word.ends_with(':') {
            return Err(self.error("a name stands before nothing"));
        }
        Ok(Element::Name { name: word.into(), kind: ArgumentKind::of_name(word), versions })
    }

    /// The inside of a bracket, the closing one and what is noted behind it included.
    fn group(&mut self, optional: bool) -> Result<Element, SyntaxError> {
        self.skip_spaces();
        let name = self.label();
        let (mut choices, end) = self.choices(optional)?;
        if let End::Repetition = end {
            if name.is_some() || choices.len() != 1 {
                return Err(self.error("a repetition has neither name nor choices"));
            }
            let elements = choices.remove(0);
            return Ok(Element::Many { elements, with_token: false });
        }
        let multiple = self.take("...");
        let versions = self.versions();
        Ok(Element::Group { name, optional, multiple, choices, versions })
    }

    /// Sequences up to the closing bracket.
    fn choices(&mut self, optional: bool) -> Result<(Vec<Vec<Element>>, End), SyntaxError> {
        let mut choices = Vec::new();
        loop {
            let (elements, end) = self.sequence(optional)?;
            choices.push(elements);
            if !matches!(end, End::Choice) {
                return Ok((choices, end));
            }
        }
    }

    fn sequence(&mut self, optional: bool) -> Result<(Vec<Element>, End), SyntaxError> {
        let close = if optional { "]" } else { ">" };
        let mut elements = Vec::new();
        loop {
            self.skip_spaces();
            if self.take("|") {
                return Ok((elements, End::Choice));
            }
            if self.take(close) {
                return Ok((elements, End::Bracket));
            }
            if optional && self.take("...]") {
                return Ok((elements, End::Repetition));
            }
            if self.rest().is_empty() {
                return Err(self.error("a bracket is not closed"));
            }
            // `[TYPE name: A|B]`: a name inside a bracket is that of everything behind it.
            if let Some(name) = self.label() {
                let (choices, end) = self.choices(optional)?;
                let versions = Versions::default();
                let name = Some(name);
                elements.push(Element::Group { name, optional: false, multiple: false, choices, versions });
                return Ok((elements, end));
            }
            let element = self.element()?;
            push(&mut elements, element, self)?;
        }
    }
}

/// Appends an element. A repetition joins what it repeats: the elements before it, all but equal to its own.
fn push(elements: &mut Vec<Element>, element: Element, reader: &Reader<'_>) -> Result<(), SyntaxError> {
    let Element::Many { elements: repeated, .. } = element else {
        elements.push(element);
        return Ok(());
    };
    let from = elements.len().checked_sub(repeated.len()).filter(|from| elements[*from..] == repeated[..]);
    let Some(from) = from.filter(|_| !repeated.is_empty()) else {
        return Err(reader.error("a repetition differs from what it repeats"));
    };
    elements.truncate(from);
    let with_token = repeated.len() > 1 && matches!(repeated[0], Element::Token { .. });
    elements.push(Element::Many { elements: repeated, with_token });
    Ok(())
}
