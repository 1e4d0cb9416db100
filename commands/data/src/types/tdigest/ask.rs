//! Answers about the numbers of a digest, with the rules of interpolation of t-digest-c. A node of weight 1 is a number that is
//! known exactly; so are the least and the greatest one.

use std::borrow::Cow;

use super::{Node, TDigest, merge};

/// The numbers of a digest, in merged nodes.
#[derive(Debug)]
pub struct Merged<'a> {
    nodes: Cow<'a, [Node]>,
    /// How many numbers there are.
    size: u64,
    min: f64,
    max: f64,
}

impl<'a> Merged<'a> {
    pub(super) fn of(digest: &'a TDigest) -> Self {
        let parts = &*digest.parts;
        let size = parts.weight();
        let nodes = if parts.nodes.len() > parts.merged_len {
            let mut nodes = parts.nodes.clone();
            merge(&mut nodes, parts.compression, size);
            Cow::Owned(nodes)
        } else {
            Cow::Borrowed(&*parts.nodes)
        };
        Merged { nodes, size, min: parts.min, max: parts.max }
    }

    pub(super) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    fn weight_at(&self, at: usize) -> f64 {
        self.nodes[at].weight as f64
    }

    /// The number below which this share of all numbers lies, from 0 to 1; not a number if there are none. O(nodes).
    pub fn quantile(&self, share: f64) -> f64 {
        let (first, last) = match &*self.nodes {
            [] => return f64::NAN,
            [only] => return only.mean,
            [first, .., last] => (*first, *last),
        };
        let total = self.size as f64;
        let index = share * total;
        if index < 1.0 {
            return self.min;
        }
        let half = first.weight as f64 / 2.0;
        if first.weight > 1 && index < half {
            return self.min + (index - 1.0) / (half - 1.0) * (first.mean - self.min);
        }
        if index > total - 1.0 {
            return self.max;
        }
        let last_half = last.weight as f64 / 2.0;
        if last.weight > 1 && total - index <= last_half {
            return self.max - (total - index - 1.0) / (last_half - 1.0) * (self.max - last.mean);
        }
        let mut before = half;
        for pair in self.nodes.windows(2) {
            let (left, right) = (pair[0], pair[1]);
            let distance = f64::midpoint(left.weight as f64, right.weight as f64);
            if before + distance > index {
                return between(left, right, index - before, before + distance - index);
            }
            before += distance;
        }
        let behind = index - total - last_half;
        weighted_mean(last.mean, behind, self.max, last_half - behind)
    }

    /// The share of all numbers that lies below this one, half of those that are equal included; not a number if there are none.
    /// O(nodes).
    pub fn share_below(&self, number: f64) -> f64 {
        let total = self.size as f64;
        let (first, last) = match &*self.nodes {
            [] => return f64::NAN,
            _ if number < self.min => return 0.0,
            _ if number > self.max => return 1.0,
            [_] => {
                let width = self.max - self.min;
                return if number - self.min <= width { 0.5 } else { (number - self.min) / width };
            }
            [first, .., last] => (*first, *last),
        };
        if number < first.mean {
            return self.share_of_end(number - self.min, first.mean - self.min, first.weight);
        }
        if number > last.mean {
            return 1.0 - self.share_of_end(self.max - number, self.max - last.mean, last.weight);
        }
        let mut before = 0.0;
        for (at, node) in self.nodes[..self.nodes.len() - 1].iter().enumerate() {
            let next = self.nodes[at + 1];
            if same(node.mean, number) {
                let equal = self.nodes[at..].iter().take_while(|node| same(node.mean, number));
                let weight: f64 = equal.map(|node| node.weight as f64).sum();
                return (before + weight / 2.0) / total;
            }
            if node.mean <= number && number < next.mean {
                return (before + weight_between(*node, next, number)) / total;
            }
            before += self.weight_at(at);
        }
        1.0 - 0.5 / total
    }

    /// The share of the numbers beyond one that is `distance` away from the end, in the outer half of a node that is `width` wide.
    fn share_of_end(&self, distance: f64, width: f64, weight: u64) -> f64 {
        let total = self.size as f64;
        if width <= 0.0 {
            0.0
        } else if same(distance, 0.0) {
            0.5 / total
        } else {
            (1.0 + distance / width * (weight as f64 / 2.0 - 1.0)) / total
        }
    }

    /// How many numbers lie below this one; -1 if it is below all, and the number of all if it is above all. `None` if there are
    /// none. O(nodes).
    pub fn rank(&self, number: f64) -> Option<i64> {
        self.ranked(number, false)
    }

    /// How many numbers lie above this one; -1 if it is above all, and the number of all if it is below all. `None` if there are
    /// none. O(nodes).
    pub fn reverse_rank(&self, number: f64) -> Option<i64> {
        self.ranked(number, true)
    }

    fn ranked(&self, number: f64, from_above: bool) -> Option<i64> {
        if self.size == 0 {
            return None;
        }
        let size = self.size as i64;
        if number < self.min || number > self.max {
            let is_before = (number > self.max) == from_above;
            return Some(if is_before { -1 } else { size });
        }
        let below = self.share_below(number) * size as f64;
        let rank = if from_above { size as f64 - below } else { below };
        // A half is rounded down.
        let whole = rank.trunc();
        // Infinite numbers make a share that is none.
        Some(if rank - whole <= 0.5 { whole as i64 } else { (whole as i64).saturating_add(1) })
    }

    /// The number that has this many below it: infinity if there are not that many, not a number if there are none. O(nodes).
    pub fn by_rank(&self, rank: u64) -> f64 {
        match rank {
            _ if self.size == 0 => f64::NAN,
            0 => self.min,
            rank if rank >= self.size => f64::INFINITY,
            rank => self.quantile(rank as f64 / self.size as f64),
        }
    }

    /// The number that has this many above it: minus infinity if there are not that many, not a number if there are none.
    /// O(nodes).
    pub fn by_reverse_rank(&self, rank: u64) -> f64 {
        match rank {
            _ if self.size == 0 => f64::NAN,
            0 => self.max,
            rank if rank >= self.size => f64::NEG_INFINITY,
            rank => self.quantile((self.size - rank - 1) as f64 / self.size as f64),
        }
    }

    /// The mean of the numbers between two shares; not a number if there are none. O(nodes).
    pub fn trimmed_mean(&self, low: f64, high: f64) -> f64 {
        if let [only] = &*self.nodes {
            return only.mean;
        }
        let total = self.size as f64;
        let (low, high) = ((total * low).floor(), (total * high).ceil());
        let (mut before, mut sum, mut count) = (0.0, 0.0, 0.0);
        for node in &*self.nodes {
            let weight = node.weight as f64;
            let kept = weight - (low - before).max(0.0).min(weight);
            let kept = (high - before).max(0.0).min(kept);
            before += weight;
            sum += node.mean * kept;
            count += kept;
            if before >= high {
                break;
            }
        }
        sum / count
    }
}

/// The weight from the beginning of `left` to a number between it and `right`.
fn weight_between(left: Node, right: Node, number: f64) -> f64 {
    let distance = f64::midpoint(left.weight as f64, right.weight as f64);
    let width = right.mean - left.mean;
    if width <= 0.0 {
        return distance;
    }
    // What is exactly at its place takes no part in interpolation.
    let (left_known, right_known) = match (left.weight, right.weight) {
        (1, 1) => return 1.0,
        (1, _) => (0.5, 0.0),
        (_, 1) => (0.0, 0.5),
        _ => (0.0, 0.0),
    };
    let start = left.weight as f64 / 2.0 + left_known;
    start + (distance - left_known - right_known) * (number - left.mean) / width
}

/// The number at some weight behind the middle of `left` and before that of `right`.
fn between(left: Node, right: Node, behind: f64, ahead: f64) -> f64 {
    let mut left_known = 0.0;
    if left.weight == 1 {
        if behind < 0.5 {
            return left.mean;
        }
        left_known = 0.5;
    }
    let mut right_known = 0.0;
    if right.weight == 1 {
        if ahead <= 0.5 {
            return right.mean;
        }
        right_known = 0.5;
    }
    weighted_mean(left.mean, ahead - right_known, right.mean, behind - left_known)
}

/// The mean of two numbers with weights, never beyond either of them.
fn weighted_mean(a: f64, a_weight: f64, b: f64, b_weight: f64) -> f64 {
    let mean = (a * a_weight + b * b_weight) / (a_weight + b_weight);
    a.min(b).max(mean.min(a.max(b)))
}

#[expect(clippy::float_cmp, reason = "numbers that are known exactly")]
fn same(a: f64, b: f64) -> bool {
    a == b
}
