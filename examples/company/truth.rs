//! What was planted, counted while it is drawn: by a sheet read here and plain products, in units of 10⁻¹⁸ dollars.

use std::collections::BTreeMap;
use std::error::Error;

use daybook_ledger::{Date, Entry, Feature, Instant, Status, Usd};
use serde_json::{Value, json};

use super::traffic::Workload;

/// The day `gpt-5.4` changes its prices.
const NEW_PRICES: &str = "2026-04-01";
const DISCOUNT_NUMERATOR: i128 = 7;
const DISCOUNT_DENOMINATOR: i128 = 8;

/// Tokens from which on `gemini-2.5-pro` costs more.
const LONG_INPUT: i64 = 200_000;

/// Calls and dollars of one thing.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    calls: u64,
    unpriced: u64,
    input_tokens: i64,
    output_tokens: i64,
    list_cost: Usd,
    days: Option<(Date, Date)>,
}

/// Provider, model and unit.
type Product = (String, String, String);
/// First day, first day after, nano-dollars per million.
type Price = (Date, Option<Date>, i128);

/// The truth about what was drawn so far.
pub(crate) struct Truth {
    rates: BTreeMap<Product, Vec<Price>>,
    /// By what is asked and whom it is about.
    tallies: BTreeMap<&'static str, BTreeMap<String, Tally>>,
}

impl Truth {
    pub(crate) fn new(sheet: &str) -> Result<Self, Box<dyn Error>> {
        let mut rates: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for line in sheet.lines().skip(1) {
            let [provider, model, from, to, unit, price, _] = line.split(',').collect::<Vec<_>>()[..] else {
                return Err(format!("not a price: {line}").into());
            };
            let from = Date::parse(from).ok_or_else(|| format!("not a day: {line}"))?;
            let nano = Usd::parse(price)?.pico() / 1_000;
            let key = (provider.to_owned(), model.to_owned(), unit.to_owned());
            rates.entry(key).or_default().push((from, Date::parse(to), nano));
        }
        Ok(Self { rates, tallies: BTreeMap::new() })
    }

    /// Counts a call of `workload`.
    pub(crate) fn count(&mut self, workload: &Workload, started_at: Instant, entry: &Entry<'_>) {
        let day = started_at.date();
        let cost = self.cost(workload, day, entry);
        let text = day.to_string();
        let month = text.get(..7).unwrap_or_default();
        let (provider, model) = (workload.provider, workload.model);
        let mut add = |what, whom: String| {
            self.tallies.entry(what).or_default().entry(whom).or_default().add(day, entry, cost);
        };
        add("all", "all".into());
        add("workload", workload.name.unwrap_or_default().into());
        add("provider", provider.into());
        add("model", format!("{provider}/{model}"));
        add("month", format!("{month} {provider}"));
        if model == "gpt-5.4" {
            add("price_change", if text.as_str() < NEW_PRICES { "before" } else { "after" }.into());
        }
        if workload.name.is_none() {
            add("shadow_key", "side-project".into());
        }
        if entry.features.contains(Feature::HostedState) {
            add("locked_in", workload.name.unwrap_or_default().into());
        }
        if workload.name == Some("translations") && entry.status == Status::Success {
            add("option", provider.into());
        }
        for (name, of, from, to) in [
            ("openai-2026/2026", "openai", "2026-01-01", "2026-12-31"),
            ("anthropic-2026/first half", "anthropic", "2026-01-01", "2026-06-30"),
            ("mistral-2025/year", "mistral", "2025-09-01", "2026-08-31"),
        ] {
            let covered = model != "acme-tuned-7" && provider == of;
            if covered && (from..=to).contains(&text.as_str()) {
                add("commitment", name.into());
            }
        }
        // What the calls after the change would have cost before it.
        if model == "gpt-5.4" && text.as_str() >= NEW_PRICES {
            let before = Date::parse(NEW_PRICES).map(|day| Date::from_days(day.days() - 1)).unwrap_or(day);
            let cost = self.cost(workload, before, entry);
            let tally =
                self.tallies.entry("price_change").or_default().entry("after, at old prices".into()).or_default();
            tally.add(day, entry, cost);
        }
    }

    fn rate(&self, workload: &Workload, day: Date, unit: &str) -> i128 {
        let key = (workload.provider.to_owned(), workload.model.to_owned(), unit.to_owned());
        let in_force = |(from, to, _): &&Price| *from <= day && to.is_none_or(|to| day < to);
        self.rates.get(&key).and_then(|rates| rates.iter().find(in_force)).map_or(0, |(.., nano)| *nano)
    }

    /// In dollars; `None` if nobody knows.
    fn cost(&self, workload: &Workload, day: Date, entry: &Entry<'_>) -> Option<Usd> {
        if entry.status == Status::Error || workload.model == "acme-tuned-7" {
            return None;
        }
        let tokens = &entry.tokens;
        let count = |tokens: Option<i64>| i128::from(tokens.unwrap_or(0));
        let (read, write) = (count(tokens.cache_read), count(tokens.cache_write_5m));
        let input = count(tokens.input) - read - write;
        let band =
            if workload.model == "gemini-2.5-pro" && tokens.input > Some(LONG_INPUT) { "_above_200k" } else { "" };
        let tier = if entry.features.contains(Feature::Batch) { "batch_" } else { "" };
        let of_tokens: i128 =
            [("input", input), ("cache_read", read), ("cache_write_5m", write), ("output", count(tokens.output))]
                .iter()
                .filter(|(_, quantity)| *quantity > 0)
                .map(|(meter, quantity)| quantity * 1_000 * self.rate(workload, day, &format!("{tier}{meter}{band}")))
                .sum();
        let of_meters: i128 = entry
            .meters
            .iter()
            .map(|(meter, quantity)| {
                let unit = if *meter == "input_seconds" { "audio_second" } else { "web_search_query_medium" };
                quantity.pico() / 1_000_000_000 * self.rate(workload, day, unit)
            })
            .sum();
        // OpenAI adds a tenth for the EU; the contract takes an eighth off Opus from 2026 on.
        let of_tokens =
            if workload.model == "gpt-5.4" && entry.region.is_some() { of_tokens * 11 } else { of_tokens * 10 };
        let is_discounted = workload.model == "claude-opus-5" && day.to_string().as_str() >= "2026-01-01";
        let (numerator, denominator) = if is_discounted { (DISCOUNT_NUMERATOR, DISCOUNT_DENOMINATOR) } else { (1, 1) };
        Some(Usd::from_pico(half_even((of_tokens + of_meters * 10) * numerator, 1_000_000 * 10 * denominator)))
    }

    pub(crate) fn json(&self, seed: u64) -> Value {
        let tallies = self.tallies.iter().map(|(what, tallies)| {
            let tallies: serde_json::Map<_, _> =
                tallies.iter().map(|(whom, tally)| (whom.clone(), tally.json())).collect();
            ((*what).to_owned(), Value::Object(tallies))
        });
        let tallies: serde_json::Map<_, _> = tallies.chain([("seed".to_owned(), seed.into())]).collect();
        Value::Object(tallies)
    }
}

impl Tally {
    fn add(&mut self, day: Date, entry: &Entry<'_>, cost: Option<Usd>) {
        self.calls += 1;
        self.unpriced += u64::from(cost.is_none());
        self.input_tokens += entry.tokens.input.unwrap_or(0);
        self.output_tokens += entry.tokens.output.unwrap_or(0);
        self.list_cost = self.list_cost + cost.unwrap_or_default();
        let (first, last) = self.days.unwrap_or((day, day));
        self.days = Some((first.min(day), last.max(day)));
    }

    fn json(&self) -> Value {
        let (first, last) = self.days.unwrap_or((Date::from_days(0), Date::from_days(0)));
        json!({
            "calls": self.calls,
            "unpriced": self.unpriced,
            "input_tokens": self.input_tokens.to_string(),
            "output_tokens": self.output_tokens.to_string(),
            "list_cost": self.list_cost.to_string(),
            "first_day": first.to_string(),
            "last_day": last.to_string(),
        })
    }
}

/// `value` by `divisor`, a tie to the even neighbour.
fn half_even(value: i128, divisor: i128) -> i128 {
    let (floor, rest) = (value.div_euclid(divisor), value.rem_euclid(divisor));
    match (rest * 2).cmp(&divisor) {
        std::cmp::Ordering::Less => floor,
        std::cmp::Ordering::Greater => floor + 1,
        std::cmp::Ordering::Equal => floor + floor.rem_euclid(2),
    }
}
