//! Prices in SQL: `price` and `usd_per_million`, from the price book of the state that a session reads.

use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

use arrow::array::{Array as _, ArrayRef, AsArray as _, Decimal128Array};
use arrow::datatypes::{DataType, Date32Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use datafusion::common::{exec_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use datafusion::prelude::SessionContext;
use daybook_ledger::price::{Book, Call, Imports, RateOf, Tier, Unit};
use daybook_ledger::{Date, Instant, Operation, PRECISION, SCALE, Tokens, Usd};

/// A rate is at most 100,000,000 dollars per million: nine digits before the point.
const RATE_PRECISION: u8 = 21;

/// The prices of a session, made into a book when first asked for.
#[derive(Debug, Default)]
pub(crate) struct Prices {
    imports: Imports,
    book: OnceLock<std::result::Result<Book, String>>,
}

impl Prices {
    pub(crate) fn new(imports: Imports) -> Self {
        Self { imports, book: OnceLock::new() }
    }

    fn book(&self) -> Result<&Book> {
        match self.book.get_or_init(|| self.imports.book().map_err(|error| error.to_string())) {
            Ok(book) => Ok(book),
            Err(error) => exec_err!("{error}"),
        }
    }
}

/// Registers the functions over `prices`.
pub(crate) fn register(context: &SessionContext, prices: Prices) {
    let prices = Arc::new(prices);
    for function in [Function::Price, Function::UsdPerMillion] {
        let signature = Signature::user_defined(Volatility::Immutable);
        context.register_udf(ScalarUDF::new_from_impl(PriceFunction {
            function,
            prices: Arc::clone(&prices),
            signature,
        }));
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Function {
    /// What a call costs; null if it has no price.
    Price,
    /// What a million of a unit costs; null if it has no price.
    UsdPerMillion,
}

impl Function {
    const fn name(self) -> &'static str {
        match self {
            Self::Price => "price",
            Self::UsdPerMillion => "usd_per_million",
        }
    }

    /// The arguments, and how many of them may be given.
    const fn parameters(self) -> (&'static str, &'static [usize]) {
        match self {
            Self::Price => (
                "provider, model, at, input_tokens, output_tokens) or price(provider, model, at, uncached_input_tokens, \
                 cache_read_input_tokens, cache_write_input_tokens, output_tokens[, service_tier[, region]]) or price(provider, \
                 model, at, uncached_input_tokens, cache_read_input_tokens, cache_write_5m_input_tokens, \
                 cache_write_30m_input_tokens, cache_write_1h_input_tokens, cache_write_12h_input_tokens, \
                 cache_write_unstated_input_tokens, output_tokens[, service_tier[, region]]",
                &[5, 7, 8, 9, 11, 12, 13],
            ),
            Self::UsdPerMillion => {
                ("provider, model, unit, at[, service_tier[, region[, input_tokens]]]", &[4, 5, 6, 7])
            }
        }
    }

    /// The types the arguments are cast to.
    fn argument_types(self, given: &[DataType]) -> Result<Vec<DataType>> {
        let (parameters, numbers) = self.parameters();
        if !numbers.contains(&given.len()) {
            return plan_err!("{}({parameters}) does not take {} arguments", self.name(), given.len());
        }
        let output_at = Layout::of(given.len()).output_at();
        let wanted = given.iter().enumerate().map(|(at, given)| match (self, at) {
            (Self::Price, 2) | (Self::UsdPerMillion, 3) => instant_type(given),
            (Self::Price, at) if (3..=output_at).contains(&at) => DataType::Int64,
            (Self::UsdPerMillion, 6) => DataType::Int64,
            _ => DataType::Utf8View,
        });
        Ok(wanted.collect())
    }

    const fn precision(self) -> u8 {
        match self {
            Self::Price => PRECISION,
            Self::UsdPerMillion => RATE_PRECISION,
        }
    }
}

/// What `price` is told of the input, by how many arguments it has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// All of it.
    Total,
    /// What is fresh, read from a cache and written to one.
    Cached,
    /// As before, what is written by lifetime.
    Lifetimes,
}

impl Layout {
    const fn of(arguments: usize) -> Self {
        match arguments {
            ..=5 => Self::Total,
            6..=9 => Self::Cached,
            _ => Self::Lifetimes,
        }
    }

    /// Where the output stands, behind all of the input and before the tier.
    const fn output_at(self) -> usize {
        match self {
            Self::Total => 4,
            Self::Cached => 6,
            Self::Lifetimes => 10,
        }
    }
}

/// A day stays a day and stands for its first instant in UTC; text is read as an instant.
fn instant_type(given: &DataType) -> DataType {
    match given {
        DataType::Date32 => DataType::Date32,
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
        _ => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
    }
}

#[derive(Debug)]
struct PriceFunction {
    function: Function,
    prices: Arc<Prices>,
    signature: Signature,
}

impl PartialEq for PriceFunction {
    fn eq(&self, other: &Self) -> bool {
        self.function == other.function && Arc::ptr_eq(&self.prices, &other.prices)
    }
}

impl Eq for PriceFunction {}

impl Hash for PriceFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.function.hash(state);
    }
}

impl ScalarUDFImpl for PriceFunction {
    fn name(&self) -> &str {
        self.function.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Decimal128(self.function.precision(), SCALE))
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        self.function.argument_types(given)
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = call.args.iter().map(|value| value.to_array(call.number_rows)).collect::<Result<Vec<_>>>()?;
        let (book, arguments) = (self.prices.book()?, Arguments(&arrays));
        let amounts: Decimal128Array = match self.function {
            Function::Price => (0..call.number_rows).map(|row| price(book, &arguments, row).map(Usd::pico)).collect(),
            Function::UsdPerMillion => rates(book, &arguments, call.number_rows)?,
        };
        Ok(ColumnarValue::Array(Arc::new(amounts.with_precision_and_scale(self.function.precision(), SCALE)?)))
    }
}

/// The arguments of a call, of the types that [`Function::argument_types`] asks for.
struct Arguments<'a>(&'a [ArrayRef]);

impl<'a> Arguments<'a> {
    fn valid(&self, at: usize, row: usize) -> Option<&'a ArrayRef> {
        self.0.get(at).filter(|array| array.is_valid(row))
    }

    fn text(&self, at: usize, row: usize) -> Option<&'a str> {
        Some(self.valid(at, row)?.as_string_view_opt()?.value(row))
    }

    fn count(&self, at: usize, row: usize) -> Option<i64> {
        Some(self.valid(at, row)?.as_primitive_opt::<Int64Type>()?.value(row))
    }

    fn instant(&self, at: usize, row: usize) -> Option<Instant> {
        let array = self.valid(at, row)?;
        match array.as_primitive_opt::<Date32Type>() {
            Some(days) => Some(Date::from_days(days.value(row)).start()),
            None => Some(Instant::from_micros(array.as_primitive_opt::<TimestampMicrosecondType>()?.value(row))),
        }
    }
}

fn price(book: &Book, arguments: &Arguments<'_>, row: usize) -> Option<Usd> {
    let count = |at| arguments.count(at, row);
    let layout = Layout::of(arguments.0.len());
    let output_at = layout.output_at();
    let parts = (4..output_at).map(|at| count(at).unwrap_or(0));
    let lifetime = |at| count(at).filter(|_| layout == Layout::Lifetimes);
    let tokens = Tokens {
        input: Some(parts.clone().try_fold(count(3)?, i64::checked_add)?),
        cache_read: Some(parts.clone().take(1).sum()),
        cache_write: Some(parts.skip(1).try_fold(0_i64, i64::checked_add)?),
        cache_write_5m: lifetime(5),
        cache_write_30m: lifetime(6),
        cache_write_1h: lifetime(7),
        cache_write_12h: lifetime(8),
        output: Some(count(output_at)?),
        ..Tokens::default()
    };
    let rated = book.price(&Call {
        provider: arguments.text(0, row),
        response_model: Some(arguments.text(1, row)?),
        request_model: None,
        service_tier: arguments.text(output_at + 1, row),
        region: arguments.text(output_at + 2, row),
        at: arguments.instant(2, row)?,
        operation: Operation::Chat,
        tokens: &tokens,
        buckets: &tokens.buckets(),
        meters: &[],
        batch: false,
        provisioned: false,
        gateway_cache_hit: false,
    });
    rated.list_cost
}

fn rates(book: &Book, arguments: &Arguments<'_>, rows: usize) -> Result<Decimal128Array> {
    let mut amounts = Vec::with_capacity(rows);
    // Units are few and come in runs.
    let mut unit: Option<(&str, Unit)> = None;
    for row in 0..rows {
        let Some(text) = arguments.text(2, row) else {
            amounts.push(None);
            continue;
        };
        let parsed = match unit {
            Some((known, parsed)) if known == text => parsed,
            _ => match Unit::parse(text) {
                Ok(parsed) => parsed,
                Err(error) => return exec_err!("{error}"),
            },
        };
        unit = Some((text, parsed));
        amounts.push(rate(book, arguments, row, parsed).map(Usd::pico));
    }
    Ok(amounts.into())
}

fn rate(book: &Book, arguments: &Arguments<'_>, row: usize, unit: Unit) -> Option<Usd> {
    let provider = arguments.text(0, row)?;
    // A unit that names a tier is of that tier, whatever served.
    let tier = match unit.tier {
        Tier::Standard => Tier::of_service(Some(provider), arguments.text(4, row))?,
        named => named,
    };
    let beyond = unit.above_k.map(|above_k| i64::from(above_k) * 1_000 + 1);
    book.usd_per_million(&RateOf {
        provider,
        model: arguments.text(1, row)?,
        unit: Unit { tier, ..unit },
        at: arguments.instant(3, row)?,
        region: arguments.text(5, row),
        input_tokens: beyond.or(arguments.count(6, row)).unwrap_or(0),
    })
}
