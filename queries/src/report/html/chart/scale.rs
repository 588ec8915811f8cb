//! From values to pixels, in whole numbers.

use super::super::svg::scaled;

/// A range of values on an axis of `height` pixels that grows upwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scale {
    low: i128,
    high: i128,
    step: i128,
    height: i128,
}

impl Scale {
    /// A range with round ends around 0 and all of `values`.
    pub(super) fn around(values: impl Iterator<Item = i128>, height: i128) -> Self {
        let (low, high) = values.fold((0, 0), |(low, high): (i128, i128), value| (low.min(value), high.max(value)));
        let step = round_step(high.saturating_sub(low) / 4);
        Self { low: low.div_euclid(step) * step, high: -(-high).div_euclid(step) * step, step, height }
    }

    /// Pixels from the top.
    pub(super) fn y(&self, value: i128) -> i128 {
        self.height - scaled(value - self.low, self.high - self.low, self.height)
    }

    /// The values of its lines.
    pub(super) fn ticks(&self) -> impl Iterator<Item = i128> {
        let (low, step) = (self.low, self.step);
        (0..=(self.high - self.low) / step).map(move |number| low + number * step)
    }
}

/// The next 1, 2 or 5 with zeros, from `least` on.
fn round_step(least: i128) -> i128 {
    let mut power = 1_i128;
    while let Some(next) = power.checked_mul(10).filter(|_| power * 5 < least) {
        power = next;
    }
    [1, 2, 5].into_iter().map(|factor| factor * power).find(|step| *step >= least).unwrap_or(least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_is_round_and_holds_every_value() {
        let scale = Scale::around([3, 87].into_iter(), 200);
        assert_eq!(scale.ticks().collect::<Vec<_>>(), [0, 50, 100]);
        assert_eq!((scale.y(0), scale.y(50), scale.y(100)), (200, 100, 0));
        let scale = Scale::around([-30, 60].into_iter(), 180);
        assert_eq!(scale.ticks().collect::<Vec<_>>(), [-50, 0, 50, 100]);
        assert_eq!(scale.y(0), 120);
        assert_eq!(Scale::around([0].into_iter(), 100).y(0), 100);
    }
}
