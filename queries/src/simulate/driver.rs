//! Drivers: assumptions with a width, and what each of them contributes to the width of a result.

use super::counterpart::Ratios;
use super::scenario::{Case, Change, Move, Range, Rise, Scenario};

/// An assumption that makes a scenario dearer or cheaper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Driver {
    /// The factor of a rise, by its number.
    Rise(usize),
    TokensRatio,
    OutputRatio,
    CacheHitsLost,
    UsdPerGpuHour,
    InputSpeed,
    OutputSpeed,
    Utilisation,
    EngineeringDays,
    DayRate,
    DualRunningMonths,
}

/// Which case each driver is at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cases {
    all: Case,
    but: Option<(Driver, Case)>,
}

impl Cases {
    /// Every driver at `case`.
    pub(super) const fn all(case: Case) -> Self {
        Self { all: case, but: None }
    }

    /// `driver` at `case`, every other in the middle.
    pub(super) const fn one(driver: Driver, case: Case) -> Self {
        Self { all: Case::Middle, but: Some((driver, case)) }
    }

    pub(super) fn of(self, driver: Driver) -> Case {
        self.but.filter(|(one, _)| *one == driver).map_or(self.all, |(_, case)| case)
    }

    pub(super) fn ratios(self, to: &Move) -> Ratios {
        Ratios {
            tokens: to.tokens_ratio.range.of(self.of(Driver::TokensRatio)),
            output: to.output_ratio.range.of(self.of(Driver::OutputRatio)),
            lost: to.cache_hits_lost.range.of(self.of(Driver::CacheHitsLost)),
        }
    }
}

impl Driver {
    /// The drivers of what `scenario` costs from month to month.
    pub(super) fn running(scenario: &Scenario) -> Vec<Self> {
        let moved = [Self::TokensRatio, Self::OutputRatio, Self::CacheHitsLost];
        let hosted = [Self::UsdPerGpuHour, Self::InputSpeed, Self::OutputSpeed, Self::Utilisation];
        match &scenario.change {
            Change::Nothing => Vec::new(),
            Change::Rises(rises) => (0..rises.len()).map(Self::Rise).collect(),
            Change::Moves { .. } => moved.to_vec(),
            Change::Hosted(..) => moved.into_iter().chain(hosted).collect(),
        }
    }

    /// Its key in a file of scenarios.
    pub(super) const fn key(self) -> &'static str {
        match self {
            Self::Rise(_) => "factor",
            Self::TokensRatio => "tokens_ratio",
            Self::OutputRatio => "output_ratio",
            Self::CacheHitsLost => "cache_hits_lost",
            Self::UsdPerGpuHour => "usd_per_gpu_hour",
            Self::InputSpeed => "input_tokens_per_second",
            Self::OutputSpeed => "output_tokens_per_second",
            Self::Utilisation => "utilisation",
            Self::EngineeringDays => "engineering_days",
            Self::DayRate => "day_rate_usd",
            Self::DualRunningMonths => "dual_running_months",
        }
    }

    /// Whether it is about machines of one's own.
    pub(super) const fn is_hosting(self) -> bool {
        matches!(self, Self::UsdPerGpuHour | Self::InputSpeed | Self::OutputSpeed | Self::Utilisation)
    }

    /// Whether more of it makes the scenario cheaper.
    pub(super) const fn is_inverse(self) -> bool {
        matches!(self, Self::InputSpeed | Self::OutputSpeed | Self::Utilisation)
    }

    /// What is assumed for it in `scenario`, as far as that says, at each place: one for each move.
    pub(super) fn ranges(self, scenario: &Scenario) -> Vec<Range> {
        let of_moves = |range: fn(&Move) -> Range| scenario.moves().iter().map(range).collect();
        match (self, &scenario.change) {
            (Self::Rise(at), Change::Rises(rises)) => {
                rises.get(at).map(|rise: &Rise| rise.factor).into_iter().collect()
            }
            (Self::TokensRatio, _) => of_moves(|one| one.tokens_ratio.range),
            (Self::OutputRatio, _) => of_moves(|one| one.output_ratio.range),
            (Self::CacheHitsLost, _) => of_moves(|one| one.cache_hits_lost.range),
            (Self::UsdPerGpuHour, Change::Hosted(_, hosting)) => vec![hosting.usd_per_gpu_hour],
            (Self::InputSpeed, Change::Hosted(_, hosting)) => vec![hosting.input_tokens_per_second],
            (Self::OutputSpeed, Change::Hosted(_, hosting)) => vec![hosting.output_tokens_per_second],
            (Self::Utilisation, Change::Hosted(_, hosting)) => vec![hosting.utilisation],
            (Self::EngineeringDays, _) => scenario.project.engineering_days.into_iter().collect(),
            (Self::DayRate, _) => scenario.project.day_rate_usd.into_iter().collect(),
            (Self::DualRunningMonths, _) => scenario.project.dual_running_months.into_iter().collect(),
            _ => Vec::new(),
        }
    }
}
