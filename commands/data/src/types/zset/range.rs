//! Ranges of a sorted set: by score and, where all scores are the same, by name.

/// Scores between two bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoreRange {
    pub min: f64,
    pub max: f64,
    /// A score equal to `min` is out.
    pub above_min: bool,
    /// A score equal to `max` is out.
    pub below_max: bool,
}

impl ScoreRange {
    /// All scores from `min` to `max`, both included.
    pub const fn inclusive(min: f64, max: f64) -> Self {
        Self { min, max, above_min: false, below_max: false }
    }

    /// False for a score below the range.
    #[inline]
    pub fn reaches_min(self, score: f64) -> bool {
        if self.above_min { score > self.min } else { score >= self.min }
    }

    /// False for a score above the range.
    #[inline]
    pub fn within_max(self, score: f64) -> bool {
        if self.below_max { score < self.max } else { score <= self.max }
    }

    #[inline]
    pub fn contains(self, score: f64) -> bool {
        self.reaches_min(score) && self.within_max(score)
    }
}

/// An end of a range of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameBound<'a> {
    /// Before all names.
    Lowest,
    Included(&'a [u8]),
    Excluded(&'a [u8]),
    /// Behind all names.
    Highest,
}

/// Names between two bounds, in the order of their bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameRange<'a> {
    pub min: NameBound<'a>,
    pub max: NameBound<'a>,
}

impl NameRange<'_> {
    /// False for a name below the range.
    #[inline]
    pub fn reaches_min(self, name: &[u8]) -> bool {
        match self.min {
            NameBound::Lowest => true,
            NameBound::Included(min) => name >= min,
            NameBound::Excluded(min) => name > min,
            NameBound::Highest => false,
        }
    }

    /// False for a name above the range.
    #[inline]
    pub fn within_max(self, name: &[u8]) -> bool {
        match self.max {
            NameBound::Lowest => false,
            NameBound::Included(max) => name <= max,
            NameBound::Excluded(max) => name < max,
            NameBound::Highest => true,
        }
    }

    #[inline]
    pub fn contains(self, name: &[u8]) -> bool {
        self.reaches_min(name) && self.within_max(name)
    }
}
