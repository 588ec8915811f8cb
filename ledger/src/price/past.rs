//! Calls read back from `usage`, to be priced again.

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, BooleanArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Int64Type, TimestampMicrosecondType};

use crate::{Buckets, Date, EntryId, Error, Feature, Features, Instant, Operation, Tokens, Usd};

use super::Call;

/// A call as its row of `usage` holds it.
///
/// [`PastCall::call`] is priced exactly as the entry was when it came: a test holds the two against each other.
#[derive(Clone, Debug)]
pub struct PastCall<'a> {
    /// The row's identity.
    pub entry_id: EntryId,
    /// The row's day.
    pub event_date: Date,
    /// The cost that was recorded.
    pub list_cost: Option<Usd>,
    /// The rate card that was recorded.
    pub price_id: Option<&'a str>,
    /// The status that was recorded.
    pub price_status: Option<&'a str>,
    /// What it leaned on.
    pub features: Features,
    provider: Option<&'a str>,
    response_model: Option<&'a str>,
    request_model: Option<&'a str>,
    service_tier: Option<&'a str>,
    region: Option<&'a str>,
    started_at: Instant,
    operation: Operation,
    tokens: Tokens,
    buckets: Buckets,
    meters: Vec<(&'a str, Usd)>,
    gateway_cache_hit: bool,
}

impl PastCall<'_> {
    /// What of it decides its cost.
    pub fn call(&self) -> Call<'_> {
        Call {
            provider: self.provider,
            response_model: self.response_model,
            request_model: self.request_model,
            service_tier: self.service_tier,
            region: self.region,
            at: self.started_at,
            operation: self.operation,
            tokens: &self.tokens,
            buckets: &self.buckets,
            meters: &self.meters,
            batch: self.features.contains(Feature::Batch),
            provisioned: self.features.contains(Feature::ProvisionedCapacity),
            gateway_cache_hit: self.gateway_cache_hit,
        }
    }
}

/// The columns of a batch of `usage` that a price depends on.
#[derive(Debug)]
pub struct PastCalls {
    entry_id: BinaryArray,
    /// In the order of [`TEXTS`].
    texts: Vec<StringArray>,
    /// In the order of [`COUNTS`].
    counts: Vec<ArrayRef>,
    started_at: ArrayRef,
    list_cost: ArrayRef,
    meters: ArrayRef,
    features: ArrayRef,
    gateway_cache_hit: BooleanArray,
}

const TEXTS: [&str; 9] = [
    "provider",
    "response_model",
    "request_model",
    "service_tier",
    "region",
    "operation",
    "usage_check",
    "price_id",
    "price_status",
];

const COUNTS: [&str; 13] = [
    "input_tokens",
    "cache_read_input_tokens",
    "cache_write_input_tokens",
    "cache_write_5m_input_tokens",
    "cache_write_30m_input_tokens",
    "cache_write_1h_input_tokens",
    "cache_write_12h_input_tokens",
    "input_audio_tokens",
    "input_image_tokens",
    "output_tokens",
    "reasoning_tokens",
    "output_audio_tokens",
    "output_image_tokens",
];

const OTHERS: [&str; 6] = ["entry_id", "started_at", "list_cost", "meters", "features", "gateway_cache_hit"];

impl PastCalls {
    /// The columns to read from `usage`.
    pub fn columns() -> Vec<&'static str> {
        [&TEXTS[..], &COUNTS[..], &OTHERS[..]].concat()
    }

    /// Takes them from a batch that has at least [`PastCalls::columns`].
    ///
    /// # Errors
    /// [`Error::Internal`] if one is missing or of another type.
    pub fn new(batch: &RecordBatch) -> Result<Self, Error> {
        let broken = |name: &str| Error::Internal {
            invariant: "`usage` has the columns of its schema",
            found: format!("column {name} is missing or of another type"),
        };
        let column = |name: &str| batch.column_by_name(name).cloned().ok_or_else(|| broken(name));
        let text = |name: &&str| -> Result<StringArray, Error> {
            let text = cast(&column(name)?, &DataType::Utf8).map_err(Error::arrow)?;
            text.as_string_opt::<i32>().cloned().ok_or_else(|| broken(name))
        };
        let of_type = |name: &str, is_type: fn(&DataType) -> bool| {
            column(name).and_then(|array| if is_type(array.data_type()) { Ok(array) } else { Err(broken(name)) })
        };
        // A query gives bytes and text as views.
        let entry_id = cast(&column("entry_id")?, &DataType::Binary).map_err(Error::arrow)?;
        Ok(Self {
            entry_id: entry_id.as_binary_opt().cloned().ok_or_else(|| broken("entry_id"))?,
            texts: TEXTS.iter().map(text).collect::<Result<_, _>>()?,
            counts: COUNTS
                .iter()
                .map(|name| of_type(name, |kind| matches!(kind, DataType::Int64)))
                .collect::<Result<_, _>>()?,
            started_at: of_type("started_at", |kind| matches!(kind, DataType::Timestamp(..)))?,
            list_cost: of_type("list_cost", |kind| matches!(kind, DataType::Decimal128(..)))?,
            meters: of_type("meters", |kind| matches!(kind, DataType::Map(..)))?,
            features: of_type("features", |kind| matches!(kind, DataType::List(_)))?,
            gateway_cache_hit: column("gateway_cache_hit")?
                .as_boolean_opt()
                .cloned()
                .ok_or_else(|| broken("gateway_cache_hit"))?,
        })
    }

    /// How many calls there are.
    pub fn len(&self) -> usize {
        self.entry_id.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The calls, in the order of the batch.
    pub fn iter(&self) -> impl Iterator<Item = PastCall<'_>> {
        (0..self.len()).filter_map(|at| self.get(at))
    }

    /// The call in row `at`; `None` past the end.
    pub fn get(&self, at: usize) -> Option<PastCall<'_>> {
        let entry_id = self.entry_id.is_valid(at).then(|| EntryId::from_slice(self.entry_id.value(at)))??;
        let started_at = self.started_at.as_primitive::<TimestampMicrosecondType>();
        let started_at = Instant::from_micros(started_at.is_valid(at).then(|| started_at.value(at))?);
        let list_cost = self.list_cost.as_primitive::<Decimal128Type>();
        let [provider, response_model, request_model, service_tier, region, operation, check, price_id, price_status] =
            <[Option<&str>; TEXTS.len()]>::try_from(self.texts_of(at)).ok()?;
        let tokens = self.tokens(at);
        Some(PastCall {
            entry_id,
            event_date: started_at.date(),
            list_cost: list_cost.is_valid(at).then(|| Usd::from_pico(list_cost.value(at))),
            price_id,
            price_status,
            provider,
            response_model,
            request_model,
            service_tier,
            region,
            started_at,
            // As when it came: what is not known is held to the strictest rule.
            operation: known(operation).unwrap_or(Operation::Chat),
            buckets: buckets(&tokens, check),
            tokens,
            meters: self.meters_of(at),
            features: self.features_of(at),
            gateway_cache_hit: self.gateway_cache_hit.is_valid(at) && self.gateway_cache_hit.value(at),
        })
    }

    fn texts_of(&self, at: usize) -> Vec<Option<&str>> {
        self.texts.iter().map(|texts| texts.is_valid(at).then(|| texts.value(at))).collect()
    }

    fn tokens(&self, at: usize) -> Tokens {
        let count = |column: usize| {
            let counts = self.counts.get(column)?.as_primitive::<Int64Type>();
            counts.is_valid(at).then(|| counts.value(at))
        };
        Tokens {
            input: count(0),
            cache_read: count(1),
            cache_write: count(2),
            cache_write_5m: count(3),
            cache_write_30m: count(4),
            cache_write_1h: count(5),
            cache_write_12h: count(6),
            input_audio: count(7),
            input_image: count(8),
            output: count(9),
            reasoning: count(10),
            output_audio: count(11),
            output_image: count(12),
            total: None,
        }
    }

    fn meters_of(&self, at: usize) -> Vec<(&str, Usd)> {
        let maps = self.meters.as_map();
        let (Some(&from), Some(&to)) = (maps.value_offsets().get(at), maps.value_offsets().get(at + 1)) else {
            return Vec::new();
        };
        let (names, amounts) = (maps.keys().as_string::<i32>(), maps.values().as_primitive::<Decimal128Type>());
        let range = usize::try_from(from).unwrap_or(0)..usize::try_from(to).unwrap_or(0);
        range.map(|entry| (names.value(entry), Usd::from_pico(amounts.value(entry)))).collect()
    }

    fn features_of(&self, at: usize) -> Features {
        let mut features = Features::default();
        let lists = self.features.as_list::<i32>();
        let (Some(&from), Some(&to)) = (lists.value_offsets().get(at), lists.value_offsets().get(at + 1)) else {
            return features;
        };
        let words = lists.values().as_string::<i32>();
        let words = (usize::try_from(from).unwrap_or(0)..usize::try_from(to).unwrap_or(0)).map(|at| words.value(at));
        // A word of a newer Daybook is none of ours.
        let known = words.filter_map(|word| Feature::ALL.iter().find(|feature| feature.as_str() == word));
        known.for_each(|feature| features.insert(*feature));
        features
    }
}

fn known(operation: Option<&str>) -> Option<Operation> {
    Operation::ALL.iter().copied().find(|known| operation == Some(known.as_str()))
}

/// The buckets of counts that were stored. The source's own total was not, only what the comparison with it said.
fn buckets(tokens: &Tokens, stored_check: Option<&str>) -> Buckets {
    let derived = tokens.buckets();
    let total_differs = stored_check.is_some_and(|check| check == Tokens::TOTAL_DIFFERS);
    Buckets { check: derived.check.or(total_differs.then_some(Tokens::TOTAL_DIFFERS)), ..derived }
}
