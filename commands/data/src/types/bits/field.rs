//! Integers of 1 to 64 bits at any place of a row of bits.

/// What becomes of a result that its field cannot hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OverflowRule {
    /// The lowest bits stay.
    #[default]
    Wrap,
    /// The nearest value that fits.
    Saturate,
    /// Nothing is written.
    Fail,
}

/// A result that does not fit, and is to be given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overflow;

/// The place and the type of an integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its first bit, the most significant one.
    pub offset: u64,
    /// Number of bits: 1 to 64, to 63 without a sign.
    pub width: u32,
    /// Two's complement, or never negative.
    pub signed: bool,
}

impl Field {
    /// Index of its last bit.
    pub fn last_bit(self) -> u64 {
        self.offset.saturating_add(u64::from(self.width) - 1)
    }

    /// The value there; what lies behind the end of the row reads as zeros. O(1).
    pub fn get(self, row: &[u8]) -> i64 {
        let start = usize::try_from(self.offset / 8).unwrap_or(usize::MAX);
        let mut window = [0; 16];
        let there = row.get(start..).unwrap_or_default();
        let len = there.len().min(9);
        window[..len].copy_from_slice(&there[..len]);
        let from_the_left = u128::from_be_bytes(window) << (self.offset % 8);
        let unused = 128 - self.width;
        if self.signed {
            (from_the_left.cast_signed() >> unused) as i64
        } else {
            (from_the_left >> unused) as i64
        }
    }

    /// Writes the lowest bits of `value`; the field must be inside the row. O(1).
    pub fn set(self, row: &mut [u8], value: i64) {
        let start = (self.offset / 8) as usize;
        let skip = (self.offset % 8) as u32;
        let len = (skip + self.width).div_ceil(8) as usize;
        let place = &mut row[start..start + len];
        let mut window = [0; 16];
        window[..len].copy_from_slice(place);
        let unused = 128 - self.width;
        let mask = (u128::MAX << unused) >> skip;
        let bits = (u128::from(value.cast_unsigned()) << unused) >> skip;
        let window = (u128::from_be_bytes(window) & !mask | bits).to_be_bytes();
        place.copy_from_slice(&window[..len]);
    }

    /// The least and the greatest value it can hold.
    fn limits(self) -> (i128, i128) {
        if self.signed {
            let half = 1 << (self.width - 1);
            (-half, half - 1)
        } else {
            (0, (1 << self.width) - 1)
        }
    }

    /// What is stored when `value` shall be. An unsigned field takes a negative value for a very large one, as Redis
    /// does.
    ///
    /// # Errors
    ///
    /// It does not fit, and the rule is to fail then.
    pub fn fit(self, value: i64, rule: OverflowRule) -> Result<i64, Overflow> {
        if !self.signed {
            return self.fit_wide(i128::from(value.cast_unsigned()), rule);
        }
        let (_, max) = self.limits();
        // Redis subtracts in 64 bits: so far below the limits a value looks as if it were above them.
        let wraps = self.width < 64 && max - i128::from(value) > i128::from(i64::MAX);
        if wraps && rule == OverflowRule::Saturate {
            Ok(max as i64)
        } else {
            self.fit_wide(i128::from(value), rule)
        }
    }

    /// What is stored when the value there shall grow by `increment`.
    ///
    /// # Errors
    ///
    /// It does not fit, and the rule is to fail then.
    pub fn add(self, old: i64, increment: i64, rule: OverflowRule) -> Result<i64, Overflow> {
        self.fit_wide(i128::from(old) + i128::from(increment), rule)
    }

    fn fit_wide(self, value: i128, rule: OverflowRule) -> Result<i64, Overflow> {
        let (min, max) = self.limits();
        if (min..=max).contains(&value) {
            return Ok(value as i64);
        }
        match rule {
            OverflowRule::Fail => Err(Overflow),
            OverflowRule::Saturate => Ok(value.clamp(min, max) as i64),
            OverflowRule::Wrap => {
                let unused = 128 - self.width;
                let from_the_left = value << unused;
                Ok(if self.signed {
                    from_the_left >> unused
                } else {
                    (from_the_left.cast_unsigned() >> unused).cast_signed()
                } as i64)
            }
        }
    }
}
