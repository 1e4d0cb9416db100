//! Streams against naive models. Every case is decided by its seed, which a failure names.

use std::collections::BTreeMap;

use super::*;

/// splitmix64
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.bits() % limit
    }

    fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len() as u64) as usize]
    }
}

const SEEDS: u64 = if cfg!(miri) { 2 } else { 120 };
const STEPS: usize = if cfg!(miri) { 40 } else { 250 };

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// Nodes of entries, each with a mark whether it is deleted.
#[derive(Debug, Default)]
struct Model {
    nodes: Vec<Vec<(StreamId, Pairs, bool)>>,
    last_id: StreamId,
    max_deleted_id: StreamId,
    added: u64,
}

impl Model {
    fn live(&self) -> Vec<(StreamId, Pairs)> {
        let live = self.nodes.iter().flatten().filter(|(_, _, deleted)| !deleted);
        live.map(|(id, pairs, _)| (*id, pairs.clone())).collect()
    }

    fn add(&mut self, id: StreamId, pairs: Pairs, entries_max: u64) {
        match self.nodes.last_mut() {
            Some(node) if entries_max == 0 || (node.len() as u64) < entries_max => {
                node.push((id, pairs, false));
            }
            _ => self.nodes.push(vec![(id, pairs, false)]),
        }
        self.last_id = id;
        self.added += 1;
    }

    fn delete(&mut self, id: StreamId) -> bool {
        for (at, node) in self.nodes.iter_mut().enumerate() {
            if let Some(entry) = node.iter_mut().find(|(other, _, deleted)| *other == id && !deleted) {
                entry.2 = true;
                if node.iter().all(|(_, _, deleted)| *deleted) {
                    self.nodes.remove(at);
                }
                self.max_deleted_id = self.max_deleted_id.max(id);
                return true;
            }
        }
        false
    }

    fn trim(&mut self, trim: Trim, exactness: Exactness) -> Vec<StreamId> {
        let mut removed = Vec::new();
        while !self.nodes.is_empty() {
            let len = self.live().len() as u64;
            let node = &mut self.nodes[0];
            let live: Vec<_> = node.iter().filter(|(_, _, deleted)| !deleted).map(|(id, _, _)| *id).collect();
            let whole = match trim {
                Trim::MaxLen(max) if len <= max => break,
                Trim::MaxLen(max) => len - live.len() as u64 >= max,
                Trim::MinId(min) => node.last().unwrap().0 < min,
            };
            if let Exactness::Nodes { limit } = exactness
                && (!whole || (limit > 0 && (removed.len() + live.len()) as u64 > limit))
            {
                break;
            }
            if whole {
                removed.extend(live);
                self.nodes.remove(0);
                continue;
            }
            let mut len = len;
            for (id, _, deleted) in node.iter_mut().filter(|(_, _, deleted)| !deleted) {
                let goes = match trim {
                    Trim::MaxLen(max) => len > max,
                    Trim::MinId(min) => *id < min,
                };
                if goes {
                    *deleted = true;
                    removed.push(*id);
                    len -= 1;
                }
            }
            break;
        }
        removed
    }
}

fn owned(entry: Entry<'_>) -> (StreamId, Pairs) {
    (entry.id, entry.fields.map(|(name, value)| (name.to_vec(), value.to_vec())).collect())
}

fn text(random: &mut Random) -> Vec<u8> {
    match random.below(6) {
        0 => Vec::new(),
        1 => (random.bits() as i64 >> random.below(64)).to_string().into_bytes(),
        2 => vec![b'x'; random.below(200) as usize],
        3 => b"007".to_vec(),
        _ => (0..random.below(20)).map(|_| random.bits() as u8).collect(),
    }
}

fn pairs(random: &mut Random) -> Pairs {
    match random.below(4) {
        0 => (0..=random.below(4)).map(|_| (text(random), text(random))).collect(),
        1 => vec![(b"a".to_vec(), text(random)), (b"12".to_vec(), text(random))],
        _ => vec![(b"field".to_vec(), text(random))],
    }
}

fn next_id(random: &mut Random, last: StreamId) -> StreamId {
    let id = match random.below(6) {
        0 => StreamId::new(last.ms + 1 + random.below(1000), random.bits() >> random.below(64)),
        1 => StreamId::new(last.ms + 1, 0),
        _ => StreamId::new(last.ms, last.seq.saturating_add(1 + random.below(3))),
    };
    if id > last { id } else { StreamId::new(last.ms + 1, 0) }
}

fn some_id(random: &mut Random, model: &Model) -> StreamId {
    let all: Vec<_> = model.nodes.iter().flatten().map(|(id, _, _)| *id).collect();
    let id = if all.is_empty() || random.below(10) == 0 {
        StreamId::new(random.below(3000), random.below(5))
    } else {
        *random.pick(&all)
    };
    match random.below(4) {
        0 => id.successor().unwrap_or(id),
        1 => id.predecessor().unwrap_or(id),
        _ => id,
    }
}

#[test]
fn entries_are_those_of_the_model() {
    for seed in 0..SEEDS {
        let mut random = Random(seed);
        let entries_max = *random.pick(&[0, 1, 2, 3, 7, 100]);
        let limits = NodeLimits { bytes_max: 0, entries_max };
        let (mut entries, mut model) = (Entries::default(), Model::default());
        for step in 0..STEPS {
            let context = format!("seed {seed}, step {step}");
            match random.below(12) {
                0..=6 => {
                    let (id, pairs) = (next_id(&mut random, model.last_id), pairs(&mut random));
                    entries.add(id, limits, pairs.len(), |i| (&pairs[i].0, &pairs[i].1));
                    model.add(id, pairs, entries_max);
                }
                7 | 8 => {
                    let id = some_id(&mut random, &model);
                    assert_eq!(entries.delete(id), model.delete(id), "{context}: delete {id}");
                }
                9 if random.below(4) == 0 => {
                    let trim = match random.below(2) {
                        0 => Trim::MaxLen(random.below(entries.len() + 3)),
                        _ => Trim::MinId(some_id(&mut random, &model)),
                    };
                    let exactness = match random.below(3) {
                        0 => Exactness::Exact,
                        _ => Exactness::Nodes { limit: random.below(3) * random.below(20) },
                    };
                    let mut removed = Vec::new();
                    let trimmed = entries.trim(trim, exactness, Some(&mut removed));
                    assert_eq!(removed, model.trim(trim, exactness), "{context}: {trim:?} {exactness:?}");
                    assert_eq!(trimmed, removed.len() as u64, "{context}");
                }
                _ => {
                    let (start, end) = (some_id(&mut random, &model), some_id(&mut random, &model));
                    let inside = |(id, _): &(StreamId, Pairs)| start <= *id && *id <= end;
                    let expected: Vec<_> = model.live().into_iter().filter(inside).collect();
                    let found: Vec<_> = entries.range(start, end).map(owned).collect();
                    assert_eq!(found, expected, "{context}: {start} to {end}");
                    let mut found: Vec<_> = entries.range_backwards(start, end).map(owned).collect();
                    found.reverse();
                    assert_eq!(found, expected, "{context}: back from {end} to {start}");
                    let found = model.live().into_iter().find(|(id, _)| *id == start);
                    assert_eq!(entries.get(start).map(owned), found, "{context}: {start}");
                }
            }
            let live = model.live();
            assert_eq!(entries.len(), live.len() as u64, "{context}");
            assert_eq!(entries.first_id(), live.first().map_or(StreamId::MIN, |(id, _)| *id), "{context}");
            assert_eq!(entries.last_live_id(), live.last().map(|(id, _)| *id), "{context}");
            assert_eq!(entries.nodes_len(), model.nodes.len(), "{context}");
            let counters = (entries.last_id(), entries.max_deleted_id(), entries.added());
            assert_eq!(counters, (model.last_id, model.max_deleted_id, model.added), "{context}");
        }
        round_trip(&entries, seed);
        entries.trim(Trim::MaxLen(0), Exactness::Exact, None);
        assert_eq!((entries.len(), entries.heap_size()), (0, 0), "seed {seed}");
    }
}

/// Through the parts of a file and back.
fn round_trip(entries: &Entries, seed: u64) {
    let nodes: Vec<_> = entries
        .nodes()
        .map(|(master, node)| {
            let (live, deleted, bytes) = node.parts();
            let read = Node::from_parts(master, live, deleted, bytes.to_vec());
            (master, read.unwrap_or_else(|error| panic!("seed {seed}: {error}")))
        })
        .collect();
    let counters = Counters {
        first_id: entries.first_id(),
        last_id: entries.last_id(),
        max_deleted_id: entries.max_deleted_id(),
        added: entries.added(),
    };
    let restored = Entries::restore(nodes, counters);
    assert!(restored.as_ref() == Some(entries), "seed {seed}: {restored:?} instead of {entries:?}");
    assert!(entries.clone() == *entries);
}

#[test]
fn trimming_can_pass_over_entries() {
    for seed in 0..SEEDS {
        let mut random = Random(seed);
        let limits = NodeLimits { bytes_max: 0, entries_max: 1 + random.below(5) };
        let mut entries = Entries::default();
        for ms in 1..=30 {
            entries.add(StreamId::new(ms, 0), limits, 1, |_| (b"f", b"v"));
        }
        let kept: Vec<u64> = (1..=30).filter(|_| random.below(3) == 0).collect();
        let before: Vec<u64> = (1..=30).collect();
        let may_go = |id: StreamId| !kept.contains(&id.ms);
        let max = random.below(30);
        let (trim, exactness) = if random.below(2) == 0 {
            (Trim::MaxLen(max), Exactness::Exact)
        } else {
            (Trim::MinId(StreamId::new(max, 0)), Exactness::Exact)
        };
        let trimmed = entries.trim_if(trim, exactness, may_go);
        let left: Vec<u64> = entries.range(StreamId::MIN, StreamId::MAX).map(|entry| entry.id.ms).collect();
        let mut len = 30;
        let expected: Vec<u64> = before
            .into_iter()
            .filter(|ms| {
                let wanted = match trim {
                    Trim::MaxLen(max) => len > max,
                    Trim::MinId(min) => *ms < min.ms,
                };
                let goes = wanted && !kept.contains(ms);
                len -= u64::from(goes);
                !goes
            })
            .collect();
        assert_eq!(left, expected, "seed {seed}: {trim:?}, kept {kept:?}");
        assert_eq!(trimmed, 30 - left.len() as u64, "seed {seed}");
        assert_eq!(entries.first_id().ms, left.first().copied().unwrap_or(0), "seed {seed}");
    }
}

#[test]
fn nodes_are_as_large_as_in_redis() {
    // Redis 7.0.15 makes 5 nodes of 100 entries `f` = 100 bytes with the default of 4096 bytes.
    let limits = NodeLimits { bytes_max: 4096, entries_max: 100 };
    let mut entries = Entries::default();
    for seq in 1..=150 {
        entries.add(StreamId::new(1, seq), limits, 1, |_| (b"f", &[b'x'; 100]));
    }
    let live: Vec<u64> = entries.nodes().map(|(_, node)| node.live()).collect();
    assert_eq!(live, [36, 36, 36, 36, 6]);
}

#[test]
fn broken_nodes_are_refused() {
    for seed in 0..SEEDS * 10 {
        let mut random = Random(seed);
        let master = StreamId::new(5, 5);
        let mut node = Node::new(1, |_| (b"field", b""));
        let mut id = master;
        for _ in 0..=random.below(5) {
            let pairs = pairs(&mut random);
            node.push(master, id, pairs.len(), |i| (&pairs[i].0, &pairs[i].1));
            id = next_id(&mut random, id);
        }
        let (live, deleted, bytes) = node.parts();
        let mut bytes = bytes.to_vec();
        for _ in 0..=random.below(3) {
            let at = random.below(bytes.len() as u64) as usize;
            match random.below(3) {
                0 => bytes[at] = random.bits() as u8,
                1 => bytes[at] ^= 1 << random.below(8),
                _ => bytes.truncate(at.max(1)),
            }
        }
        if let Ok(node) = Node::from_parts(master, live, deleted, bytes) {
            let forward: Vec<_> = node.entries(master).map(owned).collect();
            let mut backward: Vec<_> = node.entries_backwards(master).map(owned).collect();
            backward.reverse();
            assert_eq!(forward, backward, "seed {seed}");
        }
    }
    assert_eq!(Node::from_parts(StreamId::MIN, 0, 0, Vec::new()), Err(MalformedNode));
}

#[test]
fn groups_are_those_of_the_model() {
    for seed in 0..SEEDS {
        let mut random = Random(seed);
        let mut groups = Groups::default();
        assert!(groups.add(b"g", Group::new(StreamId::MIN, None)));
        assert!(!groups.add(b"g", Group::default()));
        // Owner, deliveries, and the time or the order in which it was given back.
        let mut model: BTreeMap<u64, (Option<Vec<u8>>, u64, i64)> = BTreeMap::new();
        let mut names: Vec<Vec<u8>> = Vec::new();
        let mut released = -1_000_000;
        for step in 0..STEPS {
            let context = format!("seed {seed}, step {step}");
            let name = vec![b'a' + random.below(6) as u8; random.below(3) as usize];
            let entry = random.below(40);
            let id = StreamId::new(entry, 0);
            let at_ms = random.below(50) as i64;
            groups.change(b"g", |group| match random.below(10) {
                0..=4 => {
                    let (owner, is_new) = group.consumer_named(&name, 7);
                    assert_eq!(is_new, !names.contains(&name), "{context}");
                    if is_new {
                        names.push(name.clone());
                    }
                    group.deliver(id, owner, at_ms, step as u64);
                    model.insert(entry, (Some(name), step as u64, at_ms));
                }
                5 => {
                    group.release(id, 3);
                    released += 1;
                    model.insert(entry, (None, 3, released));
                }
                6 | 7 => {
                    assert_eq!(group.acknowledge(id), model.remove(&entry).is_some(), "{context}");
                }
                8 => {
                    let found = group.find_consumer(&name);
                    assert_eq!(found.is_some(), names.contains(&name), "{context}");
                    if let Some(found) = found {
                        let before = model.len();
                        model.retain(|_, (owner, _, _)| owner.as_ref() != Some(&name));
                        assert_eq!(group.delete_consumer(found), before - model.len(), "{context}");
                        names.retain(|other| *other != name);
                    }
                }
                _ => {
                    let longest: Vec<_> = group.pending_longest().map(|(id, _)| id.ms).collect();
                    let mut expected: Vec<_> = model.iter().map(|(id, (_, _, at))| (*at, *id)).collect();
                    expected.sort_unstable();
                    assert_eq!(longest, expected.iter().map(|(_, id)| *id).collect::<Vec<_>>(), "{context}");
                }
            });
            compare(groups.get(b"g").unwrap(), &model, &names, &context);
            assert!(groups.clone() == groups, "{context}");
        }
        assert!(groups.heap_size() > 0);
        assert!(groups.remove(b"g").is_some());
        assert_eq!(groups.heap_size(), 0, "seed {seed}");
    }
}

fn compare(
    group: &Group,
    model: &BTreeMap<u64, (Option<Vec<u8>>, u64, i64)>,
    names: &[Vec<u8>],
    context: &str,
) {
    let pending: Vec<_> = group
        .pending()
        .map(|(id, pending)| {
            let owner = pending.owner().map(|owner| group.consumer(owner).name().to_vec());
            (id.ms, owner, pending.deliveries)
        })
        .collect();
    let expected: Vec<_> =
        model.iter().map(|(id, (owner, deliveries, _))| (*id, owner.clone(), *deliveries)).collect();
    assert_eq!(pending, expected, "{context}");
    assert_eq!(group.released_len(), model.values().filter(|(owner, _, _)| owner.is_none()).count());
    let mut sorted = names.to_vec();
    sorted.sort();
    assert_eq!(
        group.consumers().map(|(_, who)| who.name().to_vec()).collect::<Vec<_>>(),
        sorted,
        "{context}"
    );
    for (_, consumer) in group.consumers() {
        let has: Vec<_> = consumer.pending(StreamId::MIN).map(|id| id.ms).collect();
        let owned = model.iter().filter(|(_, (owner, _, _))| owner.as_deref() == Some(consumer.name()));
        assert_eq!(has, owned.map(|(id, _)| *id).collect::<Vec<_>>(), "{context}");
    }
}

#[test]
fn what_was_read_is_counted_where_it_can_be() {
    let limits = NodeLimits { bytes_max: 4096, entries_max: 100 };
    let mut stream = Stream::default();
    let id = |ms| StreamId::new(ms, 0);
    assert_eq!(stream.lag(&Group::new(id(9), None)), Some(0));
    for ms in 1..=5 {
        stream.parts_mut().entries.add(id(ms), limits, 1, |_| (b"f", b"v"));
    }
    let up_to = |stream: &Stream, ms| stream.entries().added_up_to(id(ms));
    assert_eq!([0, 1, 2, 5, 6].map(|ms| up_to(&stream, ms)), [Some(0), Some(1), None, Some(5), None]);
    assert_eq!(stream.lag(&Group::new(id(0), None)), Some(5));
    assert_eq!(stream.lag(&Group::new(id(2), None)), None);
    assert_eq!(stream.lag(&Group::new(id(2), Some(2))), Some(3));
    stream.parts_mut().entries.delete(id(3));
    assert_eq!(stream.lag(&Group::new(id(2), Some(2))), None, "one of those ahead was deleted");
    assert_eq!(stream.lag(&Group::new(id(4), Some(4))), Some(1));
    assert_eq!([0, 1, 5].map(|ms| up_to(&stream, ms)), [None, None, Some(5)]);
    stream.parts_mut().entries.trim(Trim::MinId(id(4)), Exactness::Exact, None);
    assert_eq!([0, 4, 5].map(|ms| up_to(&stream, ms)), [Some(3), Some(4), Some(5)]);
}
