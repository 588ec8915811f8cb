//! LiteLLM's price file (`model_prices_and_context_window.json`) as rows of a sheet.
//!
//! Numbers are read from their text, never through a float. Each cost key becomes a row or is listed with the reason why
//! not. A model of which one rate cannot be kept is not imported at all: with the others alone its calls would get a price
//! that is wrong unseen.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::value::RawValue;

use crate::{Date, Usd};

use super::book::{NAME_CHARS_MAX, RATE_PLACES_MAX};
use super::litellm_keys::{CAPACITY, Target, target};
use super::unit::{DAY_MINUTES, minute_of_day};
use super::{Book, Error, Hours, Meter, Row, Tier, Unit};

/// What a LiteLLM price file became.
#[derive(Debug)]
pub struct LiteLlm {
    /// The rows.
    pub book: Book,
    /// Models that have rows.
    pub models: usize,
    /// Keys and models that have none, and why; the most frequent first.
    pub left_out: Vec<LeftOut>,
}

/// What was not imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The key, or `model` for a whole model.
    pub key: String,
    /// Why.
    pub reason: &'static str,
    /// How often.
    pub count: usize,
    /// The first model it was found with.
    pub example: String,
}

/// The days for which the rates of a file without dates are taken.
#[derive(Clone, Copy, Debug)]
pub struct Period {
    /// First day.
    pub from: Date,
    /// First day after; `None`: until something newer is imported.
    pub to: Option<Date>,
}

type Fields<'a> = BTreeMap<String, &'a RawValue>;

impl LiteLlm {
    /// Whether `bytes` look like such a file: a JSON object. Our own sheets are CSV.
    pub fn recognise(bytes: &[u8]) -> bool {
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        text.trim_ascii_start().first() == Some(&b'{')
    }

    /// Reads a file, whose rates hold over `period`. `name` is how errors and rows call it.
    ///
    /// # Errors
    /// [`Error::NotLiteLlm`] if it is not an object of objects; [`Error::NoRows`].
    pub fn read(bytes: &[u8], name: &str, period: Period) -> Result<Self, Error> {
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let not = |source| Error::NotLiteLlm { sheet: name.to_owned(), source };
        let models: BTreeMap<String, &RawValue> = serde_json::from_slice(text).map_err(not)?;
        let mut import = Import { name, period, rows: Vec::new(), models: 0, left_out: BTreeMap::new() };
        let mut entries: Vec<(Product, String, Fields<'_>)> = Vec::new();
        for (key, value) in models {
            let fields: Fields<'_> = serde_json::from_str(value.get()).map_err(not)?;
            match Product::of(&key, &fields) {
                Ok(product) => entries.push((product, key, fields)),
                Err(reason) => import.leave_out("model", reason, &key),
            }
        }
        // LiteLLM looks a model up under its provider first: of two entries of one product the one named so counts.
        entries.sort_by(|(a, ..), (b, ..)| {
            (&a.provider, &a.model, !a.prefixed).cmp(&(&b.provider, &b.model, !b.prefixed))
        });
        let mut seen = BTreeSet::new();
        for (product, key, fields) in &entries {
            if seen.insert((&product.provider, &product.model)) {
                import.model(product, key, fields);
            } else {
                import.leave_out("model", "another entry of the same provider and model is taken", key);
            }
        }
        import.finish()
    }
}

/// Who sells a model under which name.
#[derive(Debug)]
struct Product {
    provider: String,
    model: String,
    /// Whether LiteLLM's key names the provider.
    prefixed: bool,
}

impl Product {
    fn of(key: &str, fields: &Fields<'_>) -> Result<Self, &'static str> {
        if key == "sample_spec" {
            return Err("a description of the format, not a model");
        }
        let Some(theirs) = fields.get("litellm_provider").and_then(|value| text(value)) else {
            return Err("it names no provider");
        };
        let provider = ours(&theirs);
        let stripped = [theirs.as_str(), provider].iter().find_map(|name| key.strip_prefix(name)?.strip_prefix('/'));
        let model = stripped.unwrap_or(key).to_owned();
        let is_name = |name: &str| {
            (1..=NAME_CHARS_MAX).contains(&name.chars().count())
                && !name.contains(|c: char| c.is_whitespace() || c == '*')
        };
        if !is_name(&model) || !is_name(provider) || provider.chars().any(char::is_uppercase) {
            return Err("its name is none a sheet can hold");
        }
        Ok(Self { provider: provider.to_owned(), model, prefixed: stripped.is_some() })
    }
}

/// What we call a provider of LiteLLM's.
fn ours(theirs: &str) -> &str {
    match theirs {
        "text-completion-openai" => "openai",
        "azure_text" => "azure",
        "bedrock_converse" => "bedrock",
        "cohere_chat" => "cohere",
        vertex if vertex.starts_with("vertex_ai") => "vertex_ai",
        other => other,
    }
}

#[derive(Debug)]
struct Import<'n> {
    name: &'n str,
    period: Period,
    rows: Vec<Row>,
    models: usize,
    left_out: BTreeMap<(String, &'static str), (usize, String)>,
}

/// A model cannot be imported.
struct Refused(&'static str);

/// The rows of one model while they come together.
#[derive(Default)]
struct Card {
    rates: BTreeMap<Unit, Usd>,
    /// What has no row: key and reason.
    without: Vec<(String, &'static str)>,
    /// Meters whose one rate would be wrong for some calls.
    refined: BTreeSet<Meter>,
}

const UNKEPT: &str = "a rate of it has a form that cannot be kept";
const NO_NUMBER: &str = "a rate of it is not a decimal from 0 on with at most 8 decimals per million";
const TWICE: &str = "it states two rates for one unit";

impl Import<'_> {
    fn leave_out(&mut self, key: &str, reason: &'static str, model: &str) {
        let (count, _) = self.left_out.entry((key.to_owned(), reason)).or_insert_with(|| (0, model.to_owned()));
        *count += 1;
    }

    fn model(&mut self, product: &Product, key: &str, fields: &Fields<'_>) {
        let mut card = Card::default();
        if let Err(Refused(reason)) = card.read(product, fields) {
            return self.leave_out("model", reason, key);
        }
        for meter in std::mem::take(&mut card.refined) {
            let refined: Vec<Unit> = card.rates.keys().filter(|unit| unit.meter == meter).copied().collect();
            for unit in refined {
                card.rates.remove(&unit);
                card.without.push((unit.to_string(), "other rates depend on the size, so this one may be wrong"));
            }
        }
        for (key_left_out, reason) in &card.without {
            self.leave_out(key_left_out, reason, key);
        }
        let priced = card.rates.iter().filter(|(unit, _)| !unit.meter.is_term());
        let (mut none, mut all_zero) = (true, true);
        for (_, rate) in priced {
            (none, all_zero) = (false, all_zero && *rate == Usd::ZERO);
        }
        match (none, all_zero) {
            (true, _) => return self.leave_out("model", "nothing of it has a price a sheet can hold", key),
            (_, true) => return self.leave_out("model", "every price is 0: a placeholder, or free", key),
            _ => self.models += 1,
        }
        self.rows.extend(card.rates.into_iter().map(|(unit, usd_per_million)| Row {
            provider: product.provider.clone(),
            model: product.model.clone(),
            unit,
            usd_per_million,
            effective_from: self.period.from,
            effective_to: self.period.to,
            source: format!("{} {key}", self.name),
        }));
    }

    fn finish(self) -> Result<LiteLlm, Error> {
        if self.rows.is_empty() {
            return Err(Error::NoRows { sheet: self.name.to_owned() });
        }
        let placed = self.rows.into_iter().zip(1..).map(|(row, number)| (super::Place::Row(number), row)).collect();
        let book = Book::from_placed_rows(placed, Vec::new(), self.name)?;
        let left_out = self.left_out.into_iter();
        let mut left_out: Vec<_> =
            left_out.map(|((key, reason), (count, example))| LeftOut { key, reason, count, example }).collect();
        left_out.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.key.cmp(&b.key)));
        Ok(LiteLlm { book, models: self.models, left_out })
    }
}

impl Card {
    fn read(&mut self, product: &Product, fields: &Fields<'_>) -> Result<(), Refused> {
        for (key, value) in fields {
            match key.as_str() {
                "tiered_pricing" | "off_peak_pricing" | "provider_specific_entry" => {}
                "search_context_cost_per_query" => self.searches(value)?,
                _ => self.key(product, fields, key, value, None)?,
            }
        }
        // These lie over the plain keys, so they come after all of them.
        if let Some(tiers) = fields.get("tiered_pricing") {
            self.tiered(product, fields, tiers)?;
        }
        if let Some(off_peak) = fields.get("off_peak_pricing") {
            self.off_peak(product, fields, off_peak)?;
        }
        match fields.get("provider_specific_entry") {
            Some(entry) => self.provider_specific(entry),
            None => Ok(()),
        }
    }

    /// One plain key. `place` puts a rate into a tier and band of its own: that of a structure.
    fn key(
        &mut self,
        product: &Product,
        fields: &Fields<'_>,
        key: &str,
        value: &RawValue,
        place: Option<(Tier, Option<u32>)>,
    ) -> Result<(), Refused> {
        if value.get() == "null" {
            return Ok(());
        }
        let placed = |unit: Unit| match place {
            Some((tier, above_k)) => Unit { tier, above_k, ..unit },
            None => unit,
        };
        let (unit, places) = match target(key) {
            Target::One(unit) if unit.meter.is_term() => (unit, 0),
            Target::One(unit) => (placed(unit), 6),
            Target::Thousand(unit) => (placed(unit), 3),
            Target::DefaultWrite(tier, above_k) => {
                (placed(Unit { tier, above_k, ..Unit::standard(default_write(product)) }), 6)
            }
            Target::Seconds(tier) => match mode(fields).as_deref() {
                Some("audio_transcription" | "realtime") => {
                    (placed(Unit { tier, ..Unit::standard(Meter::AudioSecond) }), 6)
                }
                _ => return self.nothing(key, CAPACITY),
            },
            Target::Nothing(reason) => return self.nothing(key, reason),
            Target::Refines(meter, reason) => {
                self.refined.insert(meter);
                return self.nothing(key, reason);
            }
            Target::Unkept => return Err(Refused(UNKEPT)),
            Target::NotAPrice => return Ok(()),
        };
        let rate = number(value).and_then(|text| shifted(&text, places)).ok_or(Refused(NO_NUMBER))?;
        if unit.meter == Meter::OutputSecond {
            match mode(fields).as_deref() {
                // What a transcription makes is text: its "output seconds" are those that went in, already billed.
                Some("audio_transcription") => return self.nothing(key, "a transcription is billed by its input"),
                Some("audio_speech" | "video_generation") => {}
                _ => return self.nothing(key, CAPACITY),
            }
        }
        self.put(unit, rate)
    }

    fn nothing(&mut self, key: &str, reason: &'static str) -> Result<(), Refused> {
        self.without.push((key.to_owned(), reason));
        Ok(())
    }

    fn put(&mut self, unit: Unit, rate: Usd) -> Result<(), Refused> {
        match self.rates.insert(unit, rate) {
            Some(other) if other != rate => Err(Refused(TWICE)),
            _ => Ok(()),
        }
    }

    fn searches(&mut self, value: &RawValue) -> Result<(), Refused> {
        if value.get() == "null" {
            return Ok(());
        }
        for (size, value) in object(value).ok_or(Refused(UNKEPT))? {
            let meter = match size.as_str() {
                "search_context_size_low" => Meter::WebSearchLow,
                "search_context_size_medium" => Meter::WebSearchMedium,
                "search_context_size_high" => Meter::WebSearchHigh,
                _ => return Err(Refused(UNKEPT)),
            };
            let rate = number(value).and_then(|text| shifted(&text, 6)).ok_or(Refused(NO_NUMBER))?;
            self.put(Unit::standard(meter), rate)?;
        }
        Ok(())
    }

    /// A list of ranges of input tokens, each with rates for the whole request.
    fn tiered(&mut self, product: &Product, fields: &Fields<'_>, tiers: &RawValue) -> Result<(), Refused> {
        let tiers: Vec<Fields<'_>> = serde_json::from_str(tiers.get()).map_err(|_| Refused(UNKEPT))?;
        if tiers.iter().any(|tier| tier.contains_key("max_results_range")) {
            return self
                .nothing("tiered_pricing", "a search's price by the number of results, which no source reports");
        }
        for tier in &tiers {
            let above_k = tier.get("range").and_then(|range| range_start(range)).ok_or(Refused(UNKEPT))?;
            for (key, value) in tier.iter().filter(|(key, _)| *key != "range") {
                self.key(product, fields, key, value, Some((Tier::Standard, above_k)))?;
            }
        }
        Ok(())
    }

    fn off_peak(&mut self, product: &Product, fields: &Fields<'_>, value: &RawValue) -> Result<(), Refused> {
        let off_peak = object(value).ok_or(Refused(UNKEPT))?;
        let zone = off_peak.get("weekday_timezone").and_then(|zone| text(zone));
        let mut stated = BTreeSet::new();
        for (key, value) in &off_peak {
            match key.as_str() {
                "weekday_timezone" => {}
                "windows" => stated.extend(windows(value, zone.as_deref()).ok_or(Refused(UNKEPT))?),
                "hours_utc" => stated.extend(every_day(value).ok_or(Refused(UNKEPT))?),
                _ => self.key(product, fields, key, value, Some((Tier::OffPeak, None)))?,
            }
        }
        if stated.is_empty() {
            return Err(Refused(UNKEPT));
        }
        let unit = |hours| Unit { hours: Some(hours), ..Unit::standard(Meter::OffPeakHours) };
        stated.into_iter().try_for_each(|hours| self.put(unit(hours), Usd::ZERO))
    }

    /// Multipliers among what else a provider needs: `us` is a region, `fast` a tier.
    fn provider_specific(&mut self, value: &RawValue) -> Result<(), Refused> {
        for (key, value) in object(value).ok_or(Refused(UNKEPT))? {
            let factor = || number(value).and_then(|text| shifted(&text, 0)).ok_or(Refused(NO_NUMBER));
            match key.as_str() {
                "us" => self.put(Unit::standard(Meter::UpliftUs), factor()?)?,
                "eu" => self.put(Unit::standard(Meter::UpliftEu), factor()?)?,
                "fast" => self.fast(factor()?)?,
                _ => self.nothing(&format!("provider_specific_entry.{key}"), "not a price of tokens")?,
            }
        }
        Ok(())
    }

    fn fast(&mut self, factor: Usd) -> Result<(), Refused> {
        let ordinary = self.rates.iter().filter(|(unit, _)| unit.tier == Tier::Standard && unit.meter.is_tokens());
        let fast: Vec<_> = ordinary.map(|(unit, rate)| (Unit { tier: Tier::Fast, ..*unit }, *rate)).collect();
        for (unit, rate) in fast {
            let product = rate.pico().checked_mul(factor.pico()).ok_or(Refused(NO_NUMBER))?;
            const FINEST: i128 = 10_000 * super::call::ONE;
            if product % FINEST != 0 {
                return Err(Refused(NO_NUMBER));
            }
            self.put(unit, Usd::from_pico(product / super::call::ONE))?;
        }
        Ok(())
    }
}

/// The lifetime a write has that states none: 5 minutes with Claude, 30 with OpenAI's models, unknown elsewhere.
fn default_write(product: &Product) -> Meter {
    match product.provider.as_str() {
        _ if product.model.contains("claude") => Meter::CacheWrite5m,
        "openai" | "azure" => Meter::CacheWrite30m,
        _ => Meter::CacheWrite,
    }
}

fn mode(fields: &Fields<'_>) -> Option<String> {
    text(fields.get("mode")?)
}

fn text(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}

fn object(value: &RawValue) -> Option<Fields<'_>> {
    serde_json::from_str(value.get()).ok()
}

/// The text of a number, also of one that stands in quotes.
fn number(value: &RawValue) -> Option<String> {
    let written = value.get();
    match written.as_bytes().first()? {
        b'"' => text(value),
        b'-' | b'0'..=b'9' => Some(written.to_owned()),
        _ => None,
    }
}

/// `number` times ten to the power of `places`, if it is a rate: exact, not negative, with at most 8 decimals.
fn shifted(number: &str, places: i32) -> Option<Usd> {
    let number = number.trim();
    let (mantissa, exponent) = match number.find(['e', 'E']) {
        Some(at) => (number.get(..at)?, number.get(at + 1..)?.parse::<i32>().ok()?),
        None => (number, 0),
    };
    let exponent = exponent.checked_add(places)?;
    let decimals = mantissa.split_once('.').map_or("", |(_, decimals)| decimals).trim_end_matches('0');
    let whole_zeros = if decimals.is_empty() {
        let whole = mantissa.split_once('.').map_or(mantissa, |(whole, _)| whole);
        i32::try_from(whole.len() - whole.trim_end_matches('0').len()).ok()?
    } else {
        0
    };
    let finest = i32::try_from(decimals.len()).ok()?.checked_sub(exponent)?.checked_sub(whole_zeros)?;
    let rate = Usd::parse(&format!("{mantissa}e{exponent}")).ok()?;
    let is_kept = finest <= i32::try_from(RATE_PLACES_MAX).ok()? || rate == Usd::ZERO && is_zero(mantissa);
    Some(rate).filter(|rate| is_kept && !rate.is_negative())
}

fn is_zero(mantissa: &str) -> bool {
    mantissa.chars().all(|c| matches!(c, '0' | '.' | '-' | '+'))
}

/// The start of `[from, to]` in thousands of tokens; `Some(None)` for 0.
fn range_start(range: &RawValue) -> Option<Option<u32>> {
    let bounds: Vec<&RawValue> = serde_json::from_str(range.get()).ok()?;
    let from = shifted(&number(bounds.first()?)?, 0)?;
    let thousand = 1_000 * super::call::ONE;
    match from.pico() {
        0 => Some(None),
        tokens if tokens % thousand == 0 => Some(Some(u32::try_from(tokens / thousand).ok()?)),
        _ => None,
    }
}

/// Windows of hours in UTC on days of the week of `zone`.
fn windows(value: &RawValue, zone: Option<&str>) -> Option<BTreeSet<Hours>> {
    // Hours by which the days of the week begin before those of UTC. No zone here has summer time.
    let ahead: u16 = match zone {
        None | Some("UTC") => 0,
        Some("Asia/Shanghai" | "Asia/Singapore" | "Asia/Hong_Kong") => 8,
        Some(_) => return None,
    };
    let windows: Vec<Fields<'_>> = serde_json::from_str(value.get()).ok()?;
    let mut all = BTreeSet::new();
    for window in &windows {
        if window.keys().any(|key| key != "hours_utc" && key != "weekdays") {
            return None;
        }
        let weekdays: Vec<u8> = match window.get("weekdays") {
            Some(days) => serde_json::from_str(days.get()).ok()?,
            None => (1..=7).collect(),
        };
        for range in ranges(window.get("hours_utc")?)? {
            // Over midnight it is not kept: which day would it belong to?
            let within = minutes(&range).filter(|(from, to)| from < to)?;
            all.extend(of_days(&weekdays, within, ahead * 60)?);
        }
    }
    Some(all)
}

/// Hours of every day, in two parts if they are over midnight.
fn every_day(value: &RawValue) -> Option<BTreeSet<Hours>> {
    let mut all = BTreeSet::new();
    for range in ranges(value)? {
        let (from, to) = minutes(&range).filter(|(from, to)| from != to)?;
        let parts = if from < to { vec![(from, to)] } else { vec![(from, DAY_MINUTES), (0, to)] };
        for part in parts {
            all.extend(of_days(&[1, 2, 3, 4, 5, 6, 7], part, 0)?);
        }
    }
    Some(all)
}

/// One range, or a list of them.
fn ranges(value: &RawValue) -> Option<Vec<String>> {
    text(value).map(|one| vec![one]).or_else(|| serde_json::from_str(value.get()).ok())
}

/// `10:00-00:00`: an end of `00:00` is midnight.
fn minutes(range: &str) -> Option<(u16, u16)> {
    let (from, to) = range.split_once('-')?;
    let (from, to) = (minute_of_day(from.trim())?, minute_of_day(to.trim())?);
    Some((from, if to == 0 { DAY_MINUTES } else { to }))
}

/// The hours of UTC in which it is one of `weekdays` in a zone whose days begin `ahead` minutes before those of UTC.
fn of_days(weekdays: &[u8], (from, to): (u16, u16), ahead: u16) -> Option<Vec<Hours>> {
    // From this minute of UTC on it is the next day there.
    let turn = DAY_MINUTES - ahead;
    let mut hours = Vec::new();
    for day in weekdays {
        let day = Some(*day).filter(|day| (1..=7).contains(day))?;
        let day_before = if day == 1 { 7 } else { day - 1 };
        for (weekday, from_minute, to_minute) in [(day, from, to.min(turn)), (day_before, from.max(turn), to)] {
            if from_minute < to_minute {
                hours.push(Hours { first_weekday: weekday, last_weekday: weekday, from_minute, to_minute });
            }
        }
    }
    Some(joined(hours))
}

/// Neighbouring days with the same hours as one stretch.
fn joined(mut hours: Vec<Hours>) -> Vec<Hours> {
    hours.sort_by_key(|hours| (hours.from_minute, hours.to_minute, hours.first_weekday));
    let mut joined: Vec<Hours> = Vec::new();
    for next in hours {
        match joined.last_mut() {
            Some(last)
                if (last.from_minute, last.to_minute) == (next.from_minute, next.to_minute)
                    && last.last_weekday + 1 == next.first_weekday =>
            {
                last.last_weekday = next.last_weekday;
            }
            _ => joined.push(next),
        }
    }
    joined
}

#[cfg(test)]
mod tests;
