//! What is summed before it is priced costs what it costs call by call.

use proptest::prelude::*;
use proptest::sample::select;

use super::super::cuts::scaled_tokens;
use super::*;
use crate::{Operation, Tokens};

const HEADER: &str = "provider,model,effective_from,effective_to,unit,usd_per_million,source\n";

/// Bands, tiers, off-peak hours, a price per request, an uplift, and a change of price; rates whose products have at most
/// twelve decimals.
const COARSE: &str = "acme,a,2026-01-01,2026-11-18,input,2.5,s
acme,a,2026-11-18,,input,2.25,s
acme,a,2026-01-01,,output,10,s
acme,a,2026-01-01,,cache_read,0.25,s
acme,a,2026-01-01,,cache_write_5m,3.125,s
acme,a,2026-01-01,,input_above_200k,5,s
acme,a,2026-01-01,,output_above_200k,15,s
acme,a,2026-01-01,,batch_input,1.25,s
acme,a,2026-01-01,,batch_output,5,s
acme,a,2026-01-01,,page,1000,s
acme,b,2026-01-01,,input,0.5,s
acme,b,2026-01-01,,output,1.5,s
acme,b,2026-01-01,,off_peak_input,0.25,s
acme,b,2026-01-01,,off_peak_output,0.75,s
acme,b,2026-01-01,,off_peak_hours_1-5_16:30-24:00,0,s
acme,b,2026-01-01,,request,5000,s
acme,b,2026-01-01,,web_search_query_medium,10000,s
xai,grok,2026-01-01,,input,3,s
xai,grok,2026-01-01,,output,15,s
xai,grok,2026-01-01,,input_above_200k,6,s
xai,grok,2026-01-01,,output_above_200k,30,s
";

/// Products of many decimals: every call is rounded when it is priced by itself.
const FINE: &str = "acme,a,2026-01-01,,uplift_us,1.1,s
acme,c,2026-01-01,,input,0.12345679,s
acme,c,2026-01-01,,output,0.98765433,s
acme,*,2026-01-01,,discount_percent,12.3457,s
";

fn book(rows: &[&str]) -> Book {
    Book::read_csv(format!("{HEADER}{}", rows.concat()).as_bytes(), "test").unwrap()
}

#[derive(Clone, Debug)]
struct Made {
    provider: Option<&'static str>,
    model: Option<&'static str>,
    tier: Option<&'static str>,
    region: Option<&'static str>,
    at: i64,
    tokens: Tokens,
    meters: Vec<(&'static str, Usd)>,
    gateway_cache_hit: bool,
}

impl Made {
    fn on<T>(&self, f: impl FnOnce(&Call<'_>) -> T) -> T {
        f(&Call {
            provider: self.provider,
            response_model: self.model,
            request_model: Some("a"),
            service_tier: self.tier,
            region: self.region,
            at: Instant::from_micros(self.at),
            operation: Operation::Chat,
            tokens: &self.tokens,
            buckets: &self.tokens.buckets(),
            meters: &self.meters,
            batch: false,
            provisioned: self.tier == Some("scale"),
            gateway_cache_hit: self.gateway_cache_hit,
        })
    }
}

/// Around the length at which bands begin, and anywhere.
fn length() -> impl Strategy<Value = i64> {
    prop_oneof![0..2_000_i64, 199_999..200_003_i64, 0..400_000_i64]
}

fn any_tokens() -> impl Strategy<Value = Tokens> {
    let part = || prop_oneof![2 => Just(0), 1 => 1..900_i64];
    (length(), part(), part(), 0..5_000_i64, prop_oneof![9 => Just(true), 1 => Just(false)]).prop_map(
        |(fresh, read, written, output, has_output)| Tokens {
            input: Some(fresh + read + written),
            cache_read: Some(read).filter(|read| *read > 0),
            cache_write: Some(written),
            cache_write_5m: Some(written),
            output: Some(output).filter(|_| has_output),
            ..Tokens::default()
        },
    )
}

fn any_call() -> impl Strategy<Value = Made> {
    let provider = select(vec![Some("acme"), Some("acme"), Some("acme"), Some("xai"), Some("nobody"), None]);
    let model = select(vec![Some("a"), Some("b"), Some("c"), Some("grok"), Some("unheard"), None]);
    let tier = select(vec![None, None, Some("default"), Some("batch"), Some("priority"), Some("scale"), Some("odd")]);
    let region = select(vec![None, Some("us"), Some("eu")]);
    // Four days from 2026-11-16, a Monday.
    let at = (0..4 * 86_400_i64).prop_map(|second| (1_794_787_200 + second) * 1_000_000);
    let meter = prop_oneof![
        6 => Just(Vec::new()),
        1 => (1..4_i128).prop_map(|pages| vec![("pages", Usd::from_pico(pages * ONE))]),
        1 => (1..4_i128).prop_map(|searches| vec![("web_search_requests", Usd::from_pico(searches * ONE))]),
        1 => Just(vec![("holograms", Usd::from_pico(ONE))]),
        1 => (0..900_i128).prop_map(|billed| vec![("billed_input_tokens", Usd::from_pico(billed * ONE / 7))]),
    ];
    let hit = prop_oneof![9 => Just(false), 1 => Just(true)];
    (provider, model, tier, region, at, any_tokens(), meter, hit).prop_map(
        |(provider, model, tier, region, at, tokens, meters, gateway_cache_hit)| Made {
            provider,
            model,
            tier,
            region,
            at,
            tokens,
            meters,
            gateway_cache_hit,
        },
    )
}

fn grouped(calls: &[Made], cuts: Cuts) -> Vec<Group<()>> {
    grouped_by(calls, cuts, |_| ())
}

/// The groups of `calls`, summed in two parts that are then merged.
fn grouped_by<K: Copy + Eq + Hash>(calls: &[Made], cuts: Cuts, kind: impl Fn(&Made) -> K) -> Vec<Group<K>> {
    let cuts = Arc::new(cuts);
    let (first, second) = calls.split_at(calls.len() / 2);
    let part = |calls: &[Made]| {
        let mut groups = Groups::new(Arc::clone(&cuts));
        for (number, made) in (0_u128..).zip(calls) {
            made.on(|call| groups.add(EntryId(number.to_be_bytes()), call, None, kind(made)));
        }
        groups
    };
    part(first).merge(part(second)).into_groups()
}

fn cuts(book: &Book) -> Cuts {
    let mut cuts = Cuts::of([book], true);
    cuts.add_bands([book], Usd::from_pico(ONE));
    cuts
}

/// Calls and dollars by status: those of the groups, and those of the calls one by one, each rounded.
fn both_ways(book: &Book, calls: &[Made]) -> Result<(Usd, Usd), TestCaseError> {
    let (mut summed, mut one_by_one) = (HashMap::new(), HashMap::new());
    let mut exact = Exact::ZERO;
    for group in grouped(calls, cuts(book)) {
        let status = match group.price(book, PricesOf::TheCall) {
            Ok(cost) => {
                exact = exact + cost;
                if group.unpriceable == Some(PriceStatus::GatewayCache) {
                    PriceStatus::GatewayCache
                } else {
                    PriceStatus::Priced
                }
            }
            Err(status) => status,
        };
        *summed.entry(status).or_insert(0) += group.calls;
    }
    let mut total = Usd::ZERO;
    for made in calls {
        let rated = made.on(|call| book.price(call));
        total = total + rated.list_cost.unwrap_or_default();
        *one_by_one.entry(rated.status).or_insert(0) += 1_u64;
    }
    prop_assert_eq!(summed, one_by_one);
    Ok((exact.round().unwrap(), total))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn where_no_call_is_rounded_the_sums_agree_to_the_last_digit(
        calls in prop::collection::vec(any_call().prop_map(|made| Made { meters: whole(made.meters), ..made }), 1..200),
    ) {
        let (summed, one_by_one) = both_ways(&book(&[COARSE]), &calls)?;
        prop_assert_eq!(summed, one_by_one);
    }

    #[test]
    fn where_calls_are_rounded_the_sums_differ_by_no_more_than_that(calls in prop::collection::vec(any_call(), 1..200)) {
        let (summed, one_by_one) = both_ways(&book(&[COARSE, FINE]), &calls)?;
        let half_digits = i128::try_from(calls.len()).unwrap() + 1;
        prop_assert!(2 * (summed - one_by_one).pico().abs() <= half_digits, "{} {}", summed, one_by_one);
    }

    #[test]
    fn a_call_alone_costs_what_the_book_says(made in any_call()) {
        let book = book(&[COARSE, FINE]);
        let rated = made.on(|call| book.price(call));
        for group in grouped(&[made], cuts(&book)) {
            let cost = group.price(&book, PricesOf::TheCall).ok().map(|cost| cost.round().unwrap());
            prop_assert_eq!(cost, rated.list_cost);
        }
    }

    #[test]
    fn calls_in_one_group_would_reach_the_same_band_if_they_were_longer(
        calls in prop::collection::vec(any_call(), 1..60),
        ratio in (1..30_000_i128).prop_map(|ratio| Usd::from_pico(ratio * ONE / 10_000)),
    ) {
        let book = book(&[COARSE]);
        let mut cuts = Cuts::default();
        cuts.add_bands([&book], ratio);
        let beyond = |made: &Made| scaled_tokens(made.tokens.input.unwrap_or(0), ratio) > 200_000;
        prop_assert_eq!(grouped_by(&calls, cuts.clone(), beyond).len(), grouped(&calls, cuts).len());
    }
}

/// Counts that no sum has to round.
fn whole(meters: Vec<(&'static str, Usd)>) -> Vec<(&'static str, Usd)> {
    meters.into_iter().map(|(name, quantity)| (name, Usd::from_pico(quantity.pico() / ONE * ONE))).collect()
}

#[test]
fn a_day_other_than_the_calls_own_gives_its_prices_at_the_hours_of_the_call() {
    let book = book(&[COARSE]);
    let at = |text: &str| Instant::parse(text).unwrap().micros();
    let tokens = Tokens { input: Some(1_000_000), output: Some(0), ..Tokens::default() };
    let made = |model, at| Made {
        provider: Some("acme"),
        model: Some(model),
        tier: None,
        region: None,
        at,
        tokens,
        meters: Vec::new(),
        gateway_cache_hit: false,
    };
    // A Friday evening is off-peak whatever day's prices apply; 2026-11-22 is a Sunday.
    let evening = grouped(&[made("b", at("2026-11-20T18:00:00Z"))], cuts(&book));
    let sunday = PricesOf::Day(Date::parse("2026-11-22").unwrap());
    assert_eq!(evening[0].price(&book, sunday).unwrap().round(), Usd::parse("0.255").ok());
    let early = grouped(&[made("a", at("2026-11-17T09:00:00Z"))], cuts(&book));
    assert_eq!(early[0].price(&book, PricesOf::TheCall).unwrap().round(), Usd::parse("5").ok());
    let before = PricesOf::Day(Date::parse("2025-01-01").unwrap());
    assert_eq!(early[0].price(&book, before).map(Exact::round), Err(PriceStatus::NotInForce));
}

#[test]
fn a_rate_can_be_multiplied_by_meter() {
    let book = book(&[COARSE]);
    let tokens = Tokens { input: Some(1_000_000), output: Some(100_000), ..Tokens::default() };
    let made = Made {
        provider: Some("acme"),
        model: Some("b"),
        tier: None,
        region: None,
        at: Instant::parse("2026-11-20T09:00:00Z").unwrap().micros(),
        tokens,
        meters: Vec::new(),
        gateway_cache_hit: false,
    };
    let groups = grouped(&[made.clone(), made], cuts(&book));
    let half_more = |meter| Usd::parse(if meter == Meter::Output { "1.5" } else { "1" }).unwrap();
    let day = PricesOf::Day(Date::parse("2026-11-20").unwrap());
    // Twice one of input at 0.5, a tenth of output at 1.5, and the request at half a cent.
    assert_eq!(groups[0].price(&book, day).unwrap().round(), Usd::parse("1.31").ok());
    assert_eq!(groups[0].price_with(&book, day, half_more).unwrap().round(), Usd::parse("1.46").ok());
}
