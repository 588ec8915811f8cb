//! Counts by token bucket, as far as bills tell buckets apart, and money fine enough for a token.

use std::ops::{Add, AddAssign, Sub};

/// What both a ledger and a bill count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Bucket {
    /// Input neither read from nor written to a cache.
    Input,
    /// Input read from a cache.
    CacheRead,
    /// Input written for 5 minutes.
    Write5m,
    /// Input written for 1 hour.
    Write1h,
    /// Input written for another or an unknown time.
    Write,
    /// All output.
    Output,
    /// Web searches.
    Search,
}

impl Bucket {
    pub(super) const ALL: [Self; 7] =
        [Self::Input, Self::CacheRead, Self::Write5m, Self::Write1h, Self::Write, Self::Output, Self::Search];
    pub(super) const WRITES: [Self; 3] = [Self::Write5m, Self::Write1h, Self::Write];

    /// Its name in price sheets, in the column `meter`, and in messages.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::CacheRead => "cache_read",
            Self::Write5m => "cache_write_5m",
            Self::Write1h => "cache_write_1h",
            Self::Write => "cache_write",
            Self::Output => "output",
            Self::Search => "web_search",
        }
    }

    pub(super) fn named(meter: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|bucket| bucket.as_str() == meter)
    }
}

/// A number for each bucket: tokens, or 10⁻¹⁸ dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Vector([i128; 7]);

impl Vector {
    pub(super) fn one(bucket: Bucket, value: i128) -> Self {
        let mut vector = Self::default();
        vector.put(bucket, value);
        vector
    }

    pub(super) fn get(&self, bucket: Bucket) -> i128 {
        self.0.get(bucket as usize).copied().unwrap_or(0)
    }

    pub(super) fn put(&mut self, bucket: Bucket, value: i128) {
        if let Some(place) = self.0.get_mut(bucket as usize) {
            *place = value;
        }
    }

    pub(super) fn is_zero(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn sum(&self) -> i128 {
        self.0.iter().sum()
    }

    /// All cache writes.
    pub(super) fn writes(&self) -> i128 {
        Bucket::WRITES.into_iter().map(|bucket| self.get(bucket)).sum()
    }

    /// The same with all cache writes in `bucket`: for comparing with a side that does not tell lifetimes.
    pub(super) fn with_writes_in(mut self, bucket: Bucket) -> Self {
        let writes = self.writes();
        Bucket::WRITES.into_iter().for_each(|each| self.put(each, 0));
        self.put(bucket, writes);
        self
    }

    /// Bucket by bucket, `self * other`: tokens times a rate.
    pub(super) fn times(&self, other: &Self) -> Self {
        let mut product = Self::default();
        Bucket::ALL.into_iter().for_each(|bucket| product.put(bucket, self.get(bucket) * other.get(bucket)));
        product
    }

    /// All of one sign, nothing counting as both.
    pub(super) fn is_positive(&self) -> bool {
        self.0.iter().all(|value| *value >= 0)
    }

    pub(super) fn is_negative(&self) -> bool {
        self.0.iter().all(|value| *value <= 0)
    }
}

impl Add for Vector {
    type Output = Self;
    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

impl AddAssign for Vector {
    fn add_assign(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(one, other)| *one += other);
    }
}

impl Sub for Vector {
    type Output = Self;
    fn sub(mut self, other: Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(one, other)| *one -= other);
        self
    }
}

/// How many of a vector's 10⁻¹⁸ dollars make the 10⁻¹² dollars of an amount.
pub(super) const ATTO_PER_PICO: i128 = 1_000_000;

/// 10⁻¹⁸ dollars as 10⁻¹² dollars, half to even.
pub(super) fn to_pico(atto: i128) -> i128 {
    let (quotient, rest) = (atto.div_euclid(ATTO_PER_PICO), atto.rem_euclid(ATTO_PER_PICO));
    let half = ATTO_PER_PICO / 2;
    quotient + i128::from(rest > half || (rest == half && quotient % 2 != 0))
}
