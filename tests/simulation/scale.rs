//! How much a schedule holds. Small ones find as much as large ones and cost a quarter, so only every twentieth is large.

use std::ops::RangeInclusive;

use rand::Rng;
use rand::rngs::StdRng;

/// Of so many schedules one is large.
const LARGE_EVERY: u64 = 20;

/// What a schedule does next.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// Messages are delivered.
    Read,
    /// A worker looks at the clock.
    Tick,
    /// A worker writes what it has.
    Flush,
    /// A job makes some calls.
    Advance,
    Rebalance,
    Kill,
    Maintain,
    Replay,
    Import,
    /// The clock jumps.
    Jump,
}

pub(crate) struct Scale {
    pub(crate) is_large: bool,
    pub(crate) calls: RangeInclusive<i64>,
    pub(crate) partitions: RangeInclusive<i32>,
    pub(crate) steps: RangeInclusive<usize>,
    /// How often each step comes, of a thousand.
    steps_of_thousand: [(Step, u32); 10],
}

const SMALL: Scale = Scale {
    is_large: false,
    calls: 1..=4,
    partitions: 1..=2,
    steps: 5..=25,
    steps_of_thousand: [
        (Step::Read, 250),
        (Step::Tick, 30),
        (Step::Flush, 130),
        (Step::Advance, 370),
        (Step::Rebalance, 60),
        (Step::Kill, 60),
        (Step::Maintain, 30),
        (Step::Replay, 20),
        (Step::Import, 25),
        (Step::Jump, 25),
    ],
};

const LARGE: Scale = Scale {
    is_large: true,
    calls: 4..=16,
    partitions: 1..=3,
    steps: 40..=160,
    steps_of_thousand: [
        (Step::Read, 400),
        (Step::Tick, 60),
        (Step::Flush, 40),
        (Step::Advance, 380),
        (Step::Rebalance, 30),
        (Step::Kill, 30),
        (Step::Maintain, 15),
        (Step::Replay, 15),
        (Step::Import, 15),
        (Step::Jump, 15),
    ],
};

impl Scale {
    pub(crate) fn of(seed: u64) -> &'static Self {
        if seed.is_multiple_of(LARGE_EVERY) { &LARGE } else { &SMALL }
    }

    pub(crate) fn step(&self, rng: &mut StdRng) -> Step {
        let mut left = rng.random_range(0..1_000);
        let chosen = self.steps_of_thousand.iter().find(|(_, share)| match left < *share {
            true => true,
            false => {
                left -= share;
                false
            }
        });
        chosen.expect("the shares are a thousand").0
    }
}
