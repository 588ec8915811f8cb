//! Any ledger comes back from its bundle: text of any kind and none, huge bodies, every null, the ends of money and time.

use std::borrow::Cow;
use std::path::Path;

use daybook_export::{Request, Silent, diff, restore, write};
use daybook_ledger::testing::{append, correct, quarantine};
use daybook_ledger::{
    Body, Entry, Evidence, EvidenceKind, Feature, Instant, Ledger, Operation, Score, Status, Tokens, Usd,
};
use proptest::option::of;
use proptest::prelude::*;

use super::Place;

/// More than any amount that is recorded, and so that the sum of a dozen still has 38 digits.
const USD_MAX: i128 = 10_i128.pow(36);
const TIMES: [&str; 6] = [
    "1969-12-31T23:59:59.999999Z",
    "1970-01-01T00:00:00Z",
    "2026-11-19T23:59:59.999999Z",
    "2026-11-20T00:00:00Z",
    "2026-11-20T12:00:00.000001Z",
    "9999-12-31T23:59:59.999999Z",
];
const WORST: &str = "\u{0}\u{202e}\u{1f600}e\u{301}\r\n\",\\ud800\u{feff}NULL";

fn text() -> BoxedStrategy<String> {
    prop_oneof![Just(String::new()), "\\PC{0,12}", Just(WORST.to_owned()), Just("null".to_owned())].boxed()
}

fn said() -> BoxedStrategy<String> {
    prop_oneof![9 => text(), 1 => Just(format!("{WORST}{}", "x".repeat(1 << 20)))].boxed()
}

fn usd() -> impl Strategy<Value = Usd> {
    prop_oneof![Just(0), Just(1), Just(-1), Just(USD_MAX), Just(-USD_MAX), any::<i64>().prop_map(i128::from)]
        .prop_map(Usd::from_pico)
}

fn count() -> impl Strategy<Value = i64> {
    prop_oneof![Just(0), Just(-1), Just(Tokens::EVENT_MAX), Just(-Tokens::EVENT_MAX), 0..Tokens::EVENT_MAX]
}

fn instant() -> impl Strategy<Value = Instant> {
    prop::sample::select(TIMES.as_slice()).prop_map(|time| Instant::parse(time).unwrap())
}

/// A call with anything in it, and nothing.
fn any_call() -> impl Strategy<Value = (Entry<'static>, Option<Usd>)> {
    let words = prop::collection::vec(of(text()), 18);
    let bodies = prop::collection::vec(of(said()), 4);
    let counts = prop::collection::vec(of(count()), 16);
    let tags = prop::collection::vec((text(), text()), 0..3);
    let raw = prop_oneof![prop::collection::vec(any::<u8>(), 0..20), Just(vec![0xff; 1 << 18])];
    let others = (of(usd()), of(usd()), usd(), any::<[Option<bool>; 3]>(), of(any::<u16>()), any::<bool>());
    (words, of(bodies), counts, tags, raw, (instant(), of(instant())), others, any::<u64>()).prop_map(
        |(words, bodies, counts, tags, raw, (started_at, completed_at), others, id)| {
            let (reported_cost, list_cost, meter, [streamed, hit, _], http_status, is_odd) = others;
            let raw: &'static [u8] = raw.leak();
            let mut entry = Entry::new("any", is_odd.then_some(Operation::Embeddings), raw);
            let mut words = words.into_iter().map(|word| word.map(Cow::Owned));
            let mut word = || words.next().flatten();
            entry.gateway = word();
            entry.provider = word();
            entry.request_model = word();
            entry.response_model = word();
            entry.service_tier = word();
            entry.region = word();
            entry.team = word();
            entry.project = word();
            entry.workload_hint = word();
            entry.environment = word();
            entry.api_key_alias = word();
            entry.end_user = word();
            entry.trace_id = word();
            entry.session_id = word();
            entry.error_type = word();
            entry.finish_reason = word();
            entry.extra = word();
            entry.event_id = Some(id.to_string().into());
            entry.started_at = Some(started_at);
            entry.completed_at = completed_at;
            let mut counts = counts.into_iter();
            let mut count = || counts.next().flatten();
            entry.tokens.input = count();
            entry.tokens.output = count();
            entry.tokens.cache_read = count();
            entry.tokens.cache_write = count();
            entry.tokens.cache_write_1h = count();
            entry.tokens.reasoning = count();
            entry.tokens.output_audio = count();
            entry.latency_ms = count();
            entry.ttft_ms = count();
            entry.streamed = streamed;
            entry.gateway_cache_hit = hit;
            entry.http_status = http_status;
            entry.reported_cost = reported_cost;
            entry.reported_currency = is_odd.then_some("EUR");
            entry.status = if is_odd { Status::Error } else { Status::Success };
            entry.meters = vec![("web_search_requests", meter)];
            entry.features.insert_if(is_odd, Feature::ToolCalling);
            entry.tags = tags.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
            entry.body = bodies.map(|bodies| {
                let mut bodies = bodies.into_iter().map(|body| body.map(Cow::Owned));
                let mut body = || bodies.next().flatten();
                Body {
                    input_messages: body(),
                    output_messages: body(),
                    tool_definitions: body(),
                    request_parameters: body(),
                }
            });
            (entry, list_cost)
        },
    )
}

fn any_fact() -> impl Strategy<Value = Evidence> {
    let texts = prop::collection::vec(of(text()), 8);
    let scores = prop::collection::btree_map(text(), usd().prop_map(|value| Score { value, scale: None }), 0..3);
    (texts, scores, prop::sample::select(&TIMES[..4])).prop_map(|(texts, scores, day)| {
        let mut texts = texts.into_iter();
        let mut text = || texts.next().flatten();
        Evidence {
            workload: text(),
            contract: text(),
            provider: text(),
            model: text(),
            artifact: text(),
            // Of an audit it may not be missing.
            note: text().or_else(|| Some("found".into())),
            recorded_by: text(),
            details: text(),
            scores,
            ..Evidence::new(EvidenceKind::Audit, Instant::parse(day).unwrap().date())
        }
    })
}

async fn assert_comes_back(place: &Place, ledger: &Ledger, out: &Path, new: &str) {
    write(ledger, &Request { shard_bytes: 1 << 12, ..Request::new(out) }, &mut Silent).await.unwrap();
    restore(out, &place.address(new), &mut Silent).await.unwrap();
    let rebuilt = Ledger::open(&place.address(new)).await.unwrap();
    let verdict = diff(ledger, &rebuilt, &mut Silent).await.unwrap();
    assert_eq!(verdict.differences, []);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, max_shrink_iters: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_ledger_comes_back_from_its_bundle(
        calls in prop::collection::vec(any_call(), 0..8),
        later in prop::collection::vec(any_call(), 0..4),
        facts in prop::collection::vec(any_fact(), 0..4),
        message in any::<Vec<u8>>(),
        is_one_file in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let place = Place::new();
            let ledger = Ledger::open_or_create(&place.address("ledger")).await.unwrap();
            ledger.record(&facts, Instant::parse("2026-11-21T00:00:00Z").unwrap()).await.unwrap();
            // As writers do: `usage` last, which is what a bundle's versions are taken from.
            correct(&ledger, "batch-1", &later).await;
            quarantine(&ledger, "batch-1", 1, &message).await;
            append(&ledger, "batch-1", &calls).await;
            let out = place.path(if is_one_file { "bundle.tar.zst" } else { "bundle" });
            assert_comes_back(&place, &ledger, &out, "new").await;
        });
    }
}
