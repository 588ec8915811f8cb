//! Calls to charges: added up by day, place and rate.

use std::collections::{BTreeMap, HashMap};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type, Int64Type};
use daybook_ledger::price::{Book, PastCall, PastCalls};
use daybook_ledger::{Date, Usd};
use serde_json::{Map, Value};

use super::capacity;
use super::charge::{self, Charge, Sku};
use super::column;
use super::drawdown::{self, Applied, Drawdown, Open};
use super::read::{FACTS, Months};
use super::sku::{self, Priced, Rate};
use super::vendor::Vendor;
use super::{Focus, FocusOptions, atto};
use crate::registry::{Registry, Shortfall};
use crate::render::Writer;
use crate::{Error, Session};

/// Bytes of charges that are held before they are written, come what may.
const HELD_BYTES_MAX: usize = 128 << 20;
/// About what a charge takes beside its texts.
const CHARGE_BYTES: usize = 600;
/// Rows of one record batch.
const BATCH_ROWS: usize = 8_192;

/// A month by its first day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Month(Date);

impl Month {
    pub(super) fn of(day: Date) -> Self {
        let text = day.to_string();
        let first = text.get(..8).and_then(|month| Date::parse(&format!("{month}01")));
        Self(first.unwrap_or(day))
    }

    pub(super) fn first_day(self) -> Date {
        self.0
    }

    pub(super) fn next_month(self) -> Date {
        // No month has more days, and none two of them fewer.
        Self::of(Date::from_days(self.0.days() + 31)).0
    }
}

/// The model a charge is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Model {
    pub(super) provider: String,
    pub(super) id: String,
    pub(super) family: Option<String>,
    pub(super) developer: Option<String>,
}

/// When and for whom: everything that tells charges of one price apart.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) day: Date,
    pub(super) billed: Month,
    pub(super) is_correction: bool,
    pub(super) model: Model,
    pub(super) region: Option<String>,
    pub(super) team: Option<String>,
    pub(super) project: Option<String>,
    pub(super) environment: Option<String>,
    pub(super) api_key_alias: Option<String>,
    pub(super) workload: Option<String>,
    pub(super) contract: Option<String>,
    pub(super) tags: String,
}

impl Place {
    /// Of what a contract charges for nobody in particular.
    pub(super) fn of_contract(contract: &str, model: Model, day: Date) -> Self {
        Self {
            day,
            billed: Month::of(day),
            is_correction: false,
            model,
            region: None,
            team: None,
            project: None,
            environment: None,
            api_key_alias: None,
            workload: None,
            contract: Some(contract.into()),
            tags: "{}".into(),
        }
    }
}

/// The charges of one place.
#[derive(Debug)]
struct Group {
    place: Place,
    /// By rate card and rate: quantity in 10⁻¹² and calls.
    used: BTreeMap<(String, Rate), (i128, i64)>,
    /// What was recorded for it.
    recorded: Usd,
    /// What was recorded at prices that no book has, and for how many calls.
    unexplained: (Usd, i64),
}

/// Writes every charge.
pub(super) async fn write(
    session: &Session,
    books: &[Book],
    options: &FocusOptions,
    writer: &mut Writer<'_>,
) -> Result<Focus, Error> {
    let registry = session.registry();
    let months = Months::load(session, options).await?;
    let drawdown = Drawdown::before(session, registry, options.from).await?;
    let mut sum = Sum { books, registry, options, drawdown, groups: HashMap::new(), held: 0, focus: Focus::default() };
    for month in months.all() {
        let mut rows = Box::pin(months.calls(session, month)).await?;
        while let Some(batch) = rows.next().await? {
            sum.add(&batch)?;
            if sum.held > HELD_BYTES_MAX {
                sum.flush(writer)?;
            }
        }
        sum.flush(writer)?;
    }
    if let Some(last) = months.last {
        let drawdown = Drawdown::load(session, registry, None).await?;
        let unused = drawdown.unused((options.from, options.to), last);
        let charges: Vec<_> = unused.into_iter().map(rest).collect();
        sum.write(&charges, writer)?;
        sum.write(&capacity::charges(session, options, last).await?, writer)?;
    }
    Ok(sum.focus)
}

struct Sum<'a> {
    books: &'a [Book],
    registry: &'a Registry,
    options: &'a FocusOptions,
    drawdown: Drawdown<'a>,
    groups: HashMap<String, Group>,
    held: usize,
    focus: Focus,
}

impl Sum<'_> {
    fn add(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        let calls = PastCalls::new(batch)?;
        let facts = Facts::new(batch)?;
        let mut key = String::new();
        for row in 0..calls.len() {
            let Some(call) = calls.get(row) else { continue };
            let sign = facts.sign(row);
            match (call.list_cost, call.price_status) {
                (_, Some("gateway_cache")) => self.focus.gateway_cache += sign,
                (None, status) => {
                    let text = |text: Option<&str>| text.unwrap_or("?").to_owned();
                    let which = (text(call.call().provider), text(facts.text(row, "model")), text(status));
                    *self.focus.unpriced.entry(which).or_default() += sign;
                }
                (Some(cost), _) => {
                    self.focus.calls += sign;
                    facts.key(row, &call, &mut key);
                    self.charge(&key, &call, cost, (&facts, row));
                }
            }
        }
        Ok(())
    }

    /// Adds what a priced call used to its place.
    fn charge(&mut self, key: &str, call: &PastCall<'_>, cost: Usd, (facts, row): (&Facts, usize)) {
        if !self.groups.contains_key(key) {
            let place = facts.place(row, call, self.registry);
            let group = Group { place, used: BTreeMap::new(), recorded: Usd::ZERO, unexplained: (Usd::ZERO, 0) };
            self.held += 2 * key.len() + CHARGE_BYTES;
            self.groups.insert(key.to_owned(), group);
        }
        let Some(group) = self.groups.get_mut(key) else { return };
        let sign = facts.sign(row);
        let cost = Usd::from_pico(cost.pico() * i128::from(sign));
        let priced = call.call();
        let is_recorded = |book: &&Book| {
            let rated = book.price(&priced);
            rated.price_id == call.price_id && rated.list_cost == call.list_cost
        };
        let Some(book) = self.books.iter().rev().find(is_recorded) else {
            group.unexplained = (group.unexplained.0 + cost, group.unexplained.1 + sign);
            self.focus.unexplained += sign;
            return;
        };
        group.recorded = group.recorded + cost;
        for line in book.explain(&priced).lines {
            let (Some(unit), Some(list), Some(contracted)) =
                (line.unit, line.undiscounted_usd_per_million, line.usd_per_million)
            else {
                continue;
            };
            let card = call.price_id.unwrap_or_default().to_owned();
            let used = group.used.entry((card, Rate { unit, list, contracted })).or_insert_with(|| {
                self.held += CHARGE_BYTES;
                (0, 0)
            });
            *used = (used.0 + line.quantity.pico() * i128::from(sign), used.1 + sign);
        }
    }

    /// Writes what is held, in the order of keys.
    fn flush(&mut self, writer: &mut Writer<'_>) -> Result<(), Error> {
        let mut groups: Vec<_> = std::mem::take(&mut self.groups).into_iter().collect();
        self.held = 0;
        groups.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        let charges: Vec<_> = groups.into_iter().flat_map(|(_, group)| self.charges(group)).collect();
        self.write(&charges, writer)
    }

    fn write(&self, charges: &[Charge], writer: &mut Writer<'_>) -> Result<(), Error> {
        for part in charges.chunks(BATCH_ROWS) {
            writer.push(&column::record_batch(charge::COLUMNS, self.options.version, part)?)?;
        }
        Ok(())
    }

    /// One charge for each rate, and one for what rounding left.
    fn charges(&mut self, group: Group) -> Vec<Charge> {
        let Group { place, used, recorded, unexplained } = group;
        let mut charges = Vec::new();
        let (mut rest, mut has_discount) = (atto(recorded), false);
        for ((card, rate), (quantity, calls)) in used {
            has_discount |= rate.list != rate.contracted;
            for charge in self.usage(&place, &card, &rate, (quantity, calls)) {
                rest -= charge.contracted_cost;
                charges.extend((quantity != 0).then_some(charge));
            }
        }
        let adjust = |description: &str, cost: i128, calls: Option<i64>| {
            let list_cost = if has_discount { 0 } else { cost };
            (cost != 0).then(|| adjustment(&place, description, (list_cost, cost), calls))
        };
        charges.extend(adjust("Costs of single calls, rounded to 12 decimals, less this day's charges", rest, None));
        let (cost, calls) = unexplained;
        let description = "Calls recorded at prices that are in no sheet of the ledger";
        charges.extend(adjust(description, atto(cost), Some(calls)));
        charges
    }

    /// One charge, or one for each commitment that it draws down.
    fn usage(&mut self, place: &Place, card: &str, rate: &Rate, (quantity, calls): (i128, i64)) -> Vec<Charge> {
        let contract = place.contract.as_deref().filter(|_| !place.is_correction);
        let whole = Priced::new(rate, quantity);
        let mut applied = self.drawdown.apply(contract, place.day, whole.contracted_cost());
        let last = applied.pop();
        let mut charges = Vec::new();
        let mut rest = quantity;
        for applied in applied {
            // What lies on the border is in the first of two.
            let part = whole.quantity_for(applied.cost).min(rest);
            charges.push(usage_charge(place, card, rate, (part, None), Some(applied)));
            rest -= part;
        }
        charges.push(usage_charge(place, card, rate, (rest, Some(calls)), last));
        charges
    }
}

fn usage_charge(
    place: &Place,
    card: &str,
    rate: &Rate,
    (quantity, calls): (i128, Option<i64>),
    applied: Option<Applied>,
) -> Charge {
    let priced = Priced::new(rate, quantity);
    let (list_cost, cost) = (priced.list_cost(), priced.contracted_cost());
    let Model { provider, id, .. } = &place.model;
    let unit = rate.unit;
    // Processing in some regions costs more: another price of the same thing.
    let uplift = card.split_once('*').map(|(_, factor)| factor.split('-').next().unwrap_or(factor));
    let uplift = uplift.map(|factor| format!("*{factor}")).unwrap_or_default();
    let uplifted_region = place.region.as_deref().filter(|_| !uplift.is_empty());
    Charge {
        vendor: Vendor::of(provider),
        category: "Usage",
        frequency: "Usage-Based",
        description: format!("{} of {id}, {}: {unit}", priced.sku_meter, sku::tier(unit.tier)),
        list_cost,
        contracted_cost: cost,
        billed_cost: cost,
        effective_cost: cost,
        applied,
        is_unused: false,
        sku: Some(Sku {
            id: format!("{provider}/{id}/{}", unit.meter.as_str()),
            price_id: format!("{provider}/{id}/{unit}{uplift}"),
            meter: priced.sku_meter,
            details: sku::details(unit, &place.model, uplifted_region),
            pricing_category: sku::pricing_category(unit.tier),
            consumed: Some((priced.consumed, priced.consumed_unit)),
            quantity: priced.quantity,
            unit: priced.pricing_unit,
            list_unit_price: priced.list_unit_price,
            contracted_unit_price: priced.contracted_unit_price,
        }),
        price_id: Some(card.to_owned()),
        calls,
        place: place.clone(),
    }
}

fn adjustment(place: &Place, description: &str, (list_cost, cost): (i128, i128), calls: Option<i64>) -> Charge {
    Charge {
        vendor: Vendor::of(&place.model.provider),
        category: "Adjustment",
        frequency: "One-Time",
        description: description.into(),
        list_cost,
        contracted_cost: cost,
        billed_cost: cost,
        effective_cost: cost,
        sku: None,
        price_id: None,
        applied: None,
        is_unused: false,
        calls,
        place: place.clone(),
    }
}

/// The rest of a commitment that ended: nothing was used for it, and it is paid all the same.
fn rest(unused: &Open<'_>) -> Charge {
    let (contract, commitment) = (unused.contract, unused.commitment);
    let provider = contract.providers.first().map(|provider| provider.as_str()).unwrap_or_default();
    let day = commitment.ends_on;
    let id = drawdown::id(&contract.name, &commitment.name);
    let unpriced = match unused.unpriced_calls {
        0 => String::new(),
        calls => format!("; {calls} calls under it have no price and would lessen it"),
    };
    Charge {
        place: Place::of_contract(&contract.name, Model { provider: provider.into(), ..Model::default() }, day),
        vendor: Vendor::of(provider),
        category: "Usage",
        frequency: "One-Time",
        description: format!("Unused part of commitment {} of {}{unpriced}", commitment.name, contract.name),
        list_cost: 0,
        contracted_cost: 0,
        // What is forfeited was paid before.
        billed_cost: if commitment.shortfall == Shortfall::Billed { unused.left } else { 0 },
        effective_cost: unused.left,
        sku: Some(Sku {
            id: id.clone(),
            price_id: id,
            meter: "Committed Spend",
            details: "{}".into(),
            pricing_category: "Committed",
            consumed: None,
            quantity: 0,
            unit: "USD".into(),
            list_unit_price: 1_000_000_000_000,
            contracted_unit_price: 1_000_000_000_000,
        }),
        price_id: None,
        applied: Some(Applied {
            contract: contract.name.clone(),
            commitment: commitment.name.clone(),
            cost: unused.left,
            unit_hours: None,
        }),
        is_unused: true,
        calls: None,
    }
}

/// The columns of [`FACTS`].
struct Facts {
    /// In their order, tags and the day excepted.
    texts: Vec<StringArray>,
    tags: ArrayRef,
    restated_on: ArrayRef,
    sign: ArrayRef,
}

impl Facts {
    fn new(batch: &RecordBatch) -> Result<Self, Error> {
        let broken = |found: String| Error::Internal { invariant: "a day's calls have their columns", found };
        let column = |name: &str, data_type: Option<DataType>| {
            let column = batch.column_by_name(name).ok_or_else(|| broken(format!("{name} is missing")))?;
            let cast = |to: DataType| cast(column, &to).map_err(|error| broken(error.to_string()));
            data_type.map_or_else(|| Ok(ArrayRef::clone(column)), cast)
        };
        let text = |name: &&str| {
            let text = column(name, Some(DataType::Utf8))?;
            text.as_string_opt::<i32>().cloned().ok_or_else(|| broken(format!("{name} is no text")))
        };
        Ok(Self {
            texts: FACTS.iter().take(FACTS.len() - 2).map(text).collect::<Result<_, _>>()?,
            tags: column("tags", None)?,
            restated_on: column("restated_on", Some(DataType::Date32))?,
            sign: column("sign", Some(DataType::Int64))?,
        })
    }

    fn text(&self, row: usize, name: &str) -> Option<&str> {
        let at = FACTS.iter().position(|fact| *fact == name)?;
        self.texts.get(at).filter(|texts| texts.is_valid(row)).map(|texts| texts.value(row))
    }

    fn sign(&self, row: usize) -> i64 {
        self.sign.as_primitive_opt::<Int64Type>().map_or(1, |signs| signs.value(row))
    }

    fn restated_on(&self, row: usize) -> Option<Date> {
        let days = self.restated_on.as_primitive_opt::<Date32Type>()?;
        days.is_valid(row).then(|| Date::from_days(days.value(row)))
    }

    /// Everything that tells places apart, as one text that begins with the day. `\0` ends each part, `\x01` stands for a part that is not there.
    fn key(&self, row: usize, call: &PastCall<'_>, key: &mut String) {
        key.clear();
        let priced = call.call();
        let day = call.event_date.to_string();
        let restated_in = self.restated_on(row).map(|day| Month::of(day).0.to_string());
        let texts = self.texts.iter().map(|texts| texts.is_valid(row).then(|| texts.value(row)));
        for part in
            [Some(day.as_str()), restated_in.as_deref(), priced.provider, priced.region].into_iter().chain(texts)
        {
            key.push_str(part.unwrap_or("\x01"));
            key.push('\0');
        }
        for (name, value) in self.tags(row) {
            key.push_str(name);
            key.push('\0');
            key.push_str(value);
            key.push('\0');
        }
    }

    /// The sender's own tags.
    fn tags(&self, row: usize) -> impl Iterator<Item = (&str, &str)> {
        let maps = self.tags.as_map_opt().filter(|maps| maps.is_valid(row));
        let range = maps.and_then(|maps| {
            let offset = |at: usize| usize::try_from(*maps.value_offsets().get(at)?).ok();
            Some((maps, offset(row)?..offset(row + 1)?))
        });
        range.into_iter().flat_map(|(maps, range)| {
            let (names, values) = (maps.keys().as_string::<i32>(), maps.values().as_string::<i32>());
            range.map(move |at| (names.value(at), values.value(at)))
        })
    }

    fn place(&self, row: usize, call: &PastCall<'_>, registry: &Registry) -> Place {
        let owned = |text: Option<&str>| text.map(String::from);
        let priced = call.call();
        let model = self.text(row, "model").unwrap_or_default();
        let rule = registry.models.iter().find(|rule| rule.matches(priced.provider, model));
        let restated_on = self.restated_on(row);
        let tags = self.tags(row).map(|(name, value)| (name.to_owned(), Value::from(value)));
        let mut tags: Map<_, _> = tags.collect();
        for name in ["team", "environment"] {
            if let Some(value) = self.text(row, name) {
                tags.entry(name).or_insert_with(|| value.into());
            }
        }
        Place {
            day: call.event_date,
            billed: Month::of(restated_on.unwrap_or(call.event_date)),
            is_correction: restated_on.is_some(),
            model: Model {
                provider: priced.provider.unwrap_or_default().into(),
                id: model.into(),
                family: owned(self.text(row, "model_family")),
                developer: rule.and_then(|rule| rule.developer.clone()),
            },
            region: owned(priced.region),
            team: owned(self.text(row, "team")),
            project: owned(self.text(row, "project")),
            environment: owned(self.text(row, "environment")),
            api_key_alias: owned(self.text(row, "api_key_alias")),
            workload: owned(self.text(row, "workload")),
            contract: owned(self.text(row, "contract")),
            tags: Value::Object(tags).to_string(),
        }
    }
}
