//! `SORT` and `SORT_RO`: the elements of a list, set or sorted set in order, or what other keys hold for them.

mod options;
mod order;
mod pattern;

use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command};
use options::{Options, destination_and_key, key_only, reads_other_keys};
use order::{Element, Texts};
use pattern::Pattern;
use std::ops::Range;
use tidegate_data::types::set::{Set, SetRef};
use tidegate_data::types::string::INT_LEN_MAX;
use tidegate_data::{EventClass, Key, List, TypeCode, Zset};

const COMPLEXITY: &str = "O(N+M*log(M)) where N is the number of elements in the list or set to sort, and M the number of returned elements. When the elements are not sorted, complexity is O(N).";

const OF_ELEMENTS: KeySpec = KeySpec::unknown().ro().access().notes(
    "For the optional BY/GET keyword. It is marked 'unknown' because the key names derive from the content of the key we sort",
);

pub(super) static SORT: Command = command(
    "SORT",
    "key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [order: ASC|DESC] [sorting: ALPHA] \
     [STORE destination]",
    |cx, args, reply| sort(cx, args, reply, true),
)
.about("1.0.0", COMPLEXITY, "Sorts the elements of a list, set or sorted set, and returns or stores the result.")
.arity(-2)
.keys(KeySpec::first().ro().access())
.keys(OF_ELEMENTS)
.keys(KeySpec::unknown().ow().update().notes(
    "For the optional STORE keyword. It is marked 'unknown' because the keyword can appear anywhere in the argument array",
))
.key_finder(destination_and_key)
.whole_keyspace_if(reads_other_keys)
.flags(&[Flag::Write, Flag::DenyOom]);

pub(super) static SORT_RO: Command = command(
    "SORT_RO",
    "key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [order: ASC|DESC] [sorting: ALPHA]",
    |cx, args, reply| sort(cx, args, reply, false),
)
.about("7.0.0", COMPLEXITY, "Sorts the elements of a list, set or sorted set.")
.arity(-2)
.keys(KeySpec::first().ro().access())
.keys(OF_ELEMENTS)
.key_finder(key_only)
.whole_keyspace_if(reads_other_keys)
.flags(&[Flag::Readonly]);

fn sort(cx: &mut Ctx, args: &mut Args, reply: &mut Reply, may_store: bool) -> Result<Outcome, Error> {
    let words: Vec<&[u8]> = (0..args.len()).map(|index| args.get(index)).collect();
    let mut options = Options::parse(&words, may_store, cx.env.limits())?;
    let mut keys = args.keys();
    let source = keys.next().ok_or(Error::Syntax)?;
    let destination = keys.next().filter(|_| options.store.is_some());
    let type_code = match cx.keys.read(source) {
        None => None,
        Some(record) => match record.type_code() {
            code @ (TypeCode::List | TypeCode::Set | TypeCode::Zset) => Some(code),
            _ => return Err(Error::WrongType),
        },
    };
    if options.unsorted && type_code == Some(TypeCode::Set) && (destination.is_some() || cx.env.is_scripted())
    {
        // What is stored, or a script does, must not depend on how a set is kept.
        options.unsorted = false;
        options.alpha = true;
        options.by = None;
    }
    let mut texts = Texts::default();
    let mut elements = load(cx, source, type_code, &options, &mut texts)?;
    let mut wanted = options.places(elements.len());
    if options.unsorted {
        if matches!(type_code, Some(TypeCode::List | TypeCode::Zset)) {
            // No more than these were loaded.
            wanted = 0..elements.len();
        }
    } else {
        weigh(cx, &mut elements, &options, &mut texts)?;
        order::sort(&mut elements, wanted.clone(), &options, &texts);
    }
    let elements = &elements[wanted];
    if let Some(destination) = destination {
        return Ok(store(cx, destination, elements, &options, &texts, reply));
    }
    answer(cx, elements, &options, &texts, reply);
    Ok(Outcome::Same)
}

/// The elements of the source: all of them, or only the wanted ones of those that have an order which shall stay.
fn load(
    cx: &Ctx,
    source: Key,
    type_code: Option<TypeCode>,
    options: &Options,
    texts: &mut Texts,
) -> Result<Vec<Element>, Error> {
    let mut scratch = [0; INT_LEN_MAX];
    let mut elements = Vec::new();
    let mut add = |bytes: &[u8]| elements.push(Element::new(texts.push(bytes)));
    let places = |len: usize| {
        let Range { start, end } = options.places(len);
        match options.unsorted {
            true if options.descending => len - end..len - start,
            true => start..end,
            false => 0..len,
        }
    };
    match type_code {
        Some(TypeCode::List) => {
            let Some(list) = cx.keys.view_as::<List>(source)? else { return Ok(elements) };
            let places = places(list.len());
            let items = list.range(places.start, places.len());
            if options.is_reversed() {
                items.rev().for_each(|item| add(item.bytes(&mut scratch)));
            } else {
                items.for_each(|item| add(item.bytes(&mut scratch)));
            }
        }
        Some(TypeCode::Zset) => {
            let Some(zset) = cx.keys.view_as::<Zset>(source)? else { return Ok(elements) };
            let members = zset.range(places(zset.len()), options.is_reversed());
            members.for_each(|(member, _)| add(member.bytes(&mut scratch)));
        }
        Some(TypeCode::Set) => {
            let Some(set) = cx.keys.view_as::<Set>(source)? else { return Ok(elements) };
            set.iter().for_each(|member| add(member.bytes(&mut scratch)));
            let is_ordered = matches!(set, SetRef::Ints(_));
            if options.alpha && options.by.is_some() && !options.unsorted && !is_ordered {
                // Equal weights leave the order as it is, and that must not depend on how the set is kept.
                elements.sort_by(|a, b| texts.get(a.text()).cmp(texts.get(b.text())));
            }
        }
        _ => {}
    }
    Ok(elements)
}

/// Finds out what each element is sorted by.
fn weigh(cx: &mut Ctx, elements: &mut [Element], options: &Options, texts: &mut Texts) -> Result<(), Error> {
    let by = options.by.map(Pattern::new);
    let (mut name, mut weight) = (Vec::new(), Vec::new());
    let mut scratch = [0; INT_LEN_MAX];
    let mut all_numbers = true;
    for element in elements {
        let own = texts.get(element.text());
        let value = match &by {
            None => Some(own),
            Some(by) => by.look_up(cx, own, &mut name, &mut scratch),
        };
        // Without a value it weighs nothing.
        let Some(value) = value else { continue };
        if !options.alpha {
            match order::number(value) {
                Some(number) => element.weigh_number(number),
                None => all_numbers = false,
            }
            continue;
        }
        // Texts that only the client sees are compared as C compares them, up to their first zero byte.
        let text = if by.is_some() {
            weight.clear();
            weight.extend_from_slice(value);
            texts.push(&weight)
        } else {
            element.text()
        };
        element.weigh_text(if options.store.is_some() { text } else { texts.until_zero(text) });
    }
    if all_numbers {
        Ok(())
    } else {
        Err(Error::new("ERR One or more scores can't be converted into double"))
    }
}

/// Calls `visit` with each piece of the result: the elements, or what `GET` finds for them.
fn each_result(
    cx: &mut Ctx,
    elements: &[Element],
    options: &Options,
    texts: &Texts,
    mut visit: impl FnMut(Option<&[u8]>),
) {
    let patterns: Vec<Pattern> = options.get.iter().map(|pattern| Pattern::new(pattern)).collect();
    let mut name = Vec::new();
    let mut scratch = [0; INT_LEN_MAX];
    for element in elements {
        let text = texts.get(element.text());
        if patterns.is_empty() {
            visit(Some(text));
        }
        for pattern in &patterns {
            visit(pattern.look_up(cx, text, &mut name, &mut scratch));
        }
    }
}

fn answer(cx: &mut Ctx, elements: &[Element], options: &Options, texts: &Texts, reply: &mut Reply) {
    reply.array(elements.len() * options.get.len().max(1));
    each_result(cx, elements, options, texts, |value| reply.bulk_or_null(value));
}

/// Replaces the destination by a list of the result, or deletes it when there is none.
fn store(
    cx: &mut Ctx,
    destination: Key,
    elements: &[Element],
    options: &Options,
    texts: &Texts,
    reply: &mut Reply,
) -> Outcome {
    let limit = cx.env.limits().encodings.list_limit();
    let mut list = List::default();
    each_result(cx, elements, options, texts, |value| list.push_back(value.unwrap_or_default(), limit));
    let len = list.view().len();
    reply.integer(len as i64);
    if len == 0 {
        let removed = cx.keys.remove(destination);
        if removed {
            cx.keys.event(EventClass::Generic, "del", destination);
        }
        return Outcome::changed_if(removed);
    }
    let before = cx.keys.log().changes;
    cx.keys.store(destination, list);
    cx.keys.log().recount(before, len as u64);
    cx.keys.event(EventClass::List, "sortstore", destination);
    Outcome::Changed
}

#[cfg(test)]
mod tests;
