//! What is to come, and what was out of the ordinary.

use super::{Chart, Section};

/// Spend by month to the end of the next quarter, and what the projection goes by.
pub fn forecast() -> Vec<Section> {
    let of = |dimensions: &str| {
        format!(
            "SELECT dimension, name, month, actual, projected_days, low, middle, high, weeks FROM forecast \
             WHERE dimension IN ({dimensions}) ORDER BY dimension, name, month"
        )
    };
    vec![
        Section::new("total", "Total by month", "US dollars of whole months: spent so far, and the rest as the last twelve weeks go on. Low and high are the \
                   drift stopping or going on, less and plus the noise of those weeks; no probability, and no knowledge of \
                   plans. Nothing: fewer than four weeks to go by.", of("'total'"))
        .drawn(Chart::Lines { by: &[], day: "month", lines: &["middle"], band: Some(("low", "high")) }),
        Section::new("parts", "By contract, provider and workload", "Each on its own; the middles of the parts need not add up to that of the total. No name: calls of none.", of("'contract', 'provider', 'workload'")),
        Section::new("trends", "What it goes by", "The level of the last week on the line through all, what a week costs more than the one before (median over \
                   all pairs), the median of the last four, and how far a week lies off the line on average.", "SELECT dimension, name, last_day, weeks, weekly, drift, recent, noise, unpriced_calls FROM trends \
                  ORDER BY dimension, name"),
    ]
}

/// Days that cost other than their weekday does, newest first.
pub fn anomalies() -> Section {
    Section::new(
        "anomalies",
        "Anomalies",
        "A workload's day against the median of the same weekday in the eight weeks before; odd beyond 3.5 spreads. The mover \
               is what differs most from its own median.",
        "SELECT * FROM anomalies ORDER BY day DESC, abs(excess) DESC, workload",
    )
}
