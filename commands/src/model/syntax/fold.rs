//! From elements to arguments: words join what follows them, groups become blocks or choices.

use super::read::{Element, Versions};
use super::{Argument, ArgumentKind};

/// The arguments of a sequence.
pub(super) fn sequence(elements: &[Element]) -> Vec<Argument> {
    let mut arguments = Vec::new();
    let mut rest = elements;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        let Element::Token { name, text, versions } = first else {
            arguments.push(single(first));
            continue;
        };
        let joined = match rest {
            [first, ..] if is_required_group(first) => 1,
            _ => rest.iter().take_while(|element| is_plain(element)).count(),
        };
        let (members, after) = rest.split_at(joined);
        rest = after;
        let mut argument = match members {
            [] => pure_token(name.as_deref(), text),
            [member] => single(member),
            members => block(None, members.iter().map(single).collect()),
        };
        argument.token = Some(text.clone());
        note(&mut argument, versions);
        arguments.push(argument);
    }
    arguments
}

/// A group that joins the word before it.
fn is_required_group(element: &Element) -> bool {
    match element {
        Element::Group { optional, .. } => !optional,
        Element::Many { elements, .. } => matches!(&elements[..], [only] if is_required_group(only)),
        _ => false,
    }
}

/// An argument that joins the word before it.
fn is_plain(element: &Element) -> bool {
    match element {
        Element::Name { .. } => true,
        Element::Many { elements, .. } => elements.iter().all(is_plain),
        Element::Token { .. } | Element::Group { .. } => false,
    }
}

fn single(element: &Element) -> Argument {
    match element {
        Element::Token { name, text, versions } => {
            let mut argument = pure_token(name.as_deref(), text);
            note(&mut argument, versions);
            argument
        }
        Element::Name { name, kind, versions } => {
            let mut argument = Argument::new(name.clone(), *kind);
            note(&mut argument, versions);
            argument
        }
        Element::Many { elements, with_token } => {
            let mut argument = one_or_block(None, sequence(elements));
            argument.multiple = true;
            argument.multiple_token = *with_token;
            argument
        }
        Element::Group { name, optional, multiple, choices, versions } => {
            let name = name.as_deref();
            let mut argument = match &choices[..] {
                [only] => one_or_block(name, sequence(only)),
                choices => {
                    let choices = choices.iter().map(|choice| one_or_block(None, sequence(choice)));
                    group(ArgumentKind::OneOf, name, choices.collect())
                }
            };
            argument.optional |= *optional;
            argument.multiple |= *multiple;
            note(&mut argument, versions);
            argument
        }
    }
}

fn pure_token(name: Option<&str>, text: &str) -> Argument {
    let name = name.map_or_else(|| text.to_ascii_lowercase(), ToOwned::to_owned);
    Argument { token: Some(text.into()), ..Argument::new(name, ArgumentKind::PureToken) }
}

/// What a bracket around a sequence makes: nothing new around a single argument without a label.
fn one_or_block(name: Option<&str>, mut arguments: Vec<Argument>) -> Argument {
    match (name, &mut arguments[..]) {
        (None, [_]) => arguments.remove(0),
        (Some(name), [Argument { kind: ArgumentKind::PureToken, name: own, .. }]) => {
            name.clone_into(own);
            arguments.remove(0)
        }
        _ => block(name, arguments),
    }
}

fn block(name: Option<&str>, arguments: Vec<Argument>) -> Argument {
    group(ArgumentKind::Block, name, arguments)
}

fn group(kind: ArgumentKind, name: Option<&str>, arguments: Vec<Argument>) -> Argument {
    let name = name.map_or_else(
        || arguments.iter().map(|argument| argument.name.as_str()).collect::<Vec<_>>().join("_"),
        ToOwned::to_owned,
    );
    Argument { arguments, ..Argument::new(name, kind) }
}

fn note(argument: &mut Argument, versions: &Versions) {
    if versions.since.is_some() {
        argument.since.clone_from(&versions.since);
    }
    if versions.deprecated.is_some() {
        argument.deprecated_since.clone_from(&versions.deprecated);
    }
}
