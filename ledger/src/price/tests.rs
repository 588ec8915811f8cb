//! The promises of `docs/prices.md`, on the default sheet and on small sheets of their own.

use crate::Report as _;
use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::*;
use crate::{Buckets, Date, Instant, Operation, Tokens, Usd};

static DEFAULT: LazyLock<Book> = LazyLock::new(|| Book::default_sheet().unwrap());

/// A call at noon of 2026-11-20, on a book.
#[derive(Clone, Debug)]
struct Case {
    provider: &'static str,
    model: &'static str,
    at: &'static str,
    tokens: Tokens,
    meters: Vec<(&'static str, Usd)>,
    tier: Option<&'static str>,
    region: Option<&'static str>,
    operation: Operation,
    batch: bool,
    provisioned: bool,
    gateway_cache_hit: bool,
}

fn case(provider: &'static str, model: &'static str, input: i64, output: i64) -> Case {
    Case {
        provider,
        model,
        at: "2026-11-20T12:00:00Z",
        tokens: Tokens { input: Some(input), output: Some(output), ..Tokens::default() },
        meters: Vec::new(),
        tier: None,
        region: None,
        operation: Operation::Chat,
        batch: false,
        provisioned: false,
        gateway_cache_hit: false,
    }
}

impl Case {
    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn tokens(mut self, change: impl FnOnce(&mut Tokens)) -> Self {
        change(&mut self.tokens);
        self
    }

    fn on<T>(&self, f: impl FnOnce(&Call<'_>) -> T) -> T {
        let buckets = self.tokens.buckets();
        f(&Call {
            provider: Some(self.provider),
            response_model: Some(self.model),
            request_model: None,
            service_tier: self.tier,
            region: self.region,
            at: Instant::parse(self.at).unwrap(),
            operation: self.operation,
            tokens: &self.tokens,
            buckets: &buckets,
            meters: &self.meters,
            batch: self.batch,
            provisioned: self.provisioned,
            gateway_cache_hit: self.gateway_cache_hit,
        })
    }

    /// The cost, or why there is none; never both, never neither.
    fn outcome_in(&self, book: &Book) -> Result<Usd, PriceStatus> {
        let rated = self.on(|call| book.price(call));
        assert_eq!(rated.price_id.is_some(), rated.status == PriceStatus::Priced, "{rated:?}");
        match rated.status {
            PriceStatus::Priced | PriceStatus::GatewayCache => Ok(rated.list_cost.expect("a priced call has a cost")),
            status => {
                assert_eq!(rated.list_cost, None, "what is not priced has no cost, not even 0");
                Err(status)
            }
        }
    }

    fn outcome(&self) -> Result<Usd, PriceStatus> {
        self.outcome_in(&DEFAULT)
    }

    fn price_id(&self) -> String {
        self.on(|call| DEFAULT.price(call).price_id.unwrap().to_owned())
    }
}

fn usd(text: &str) -> Usd {
    Usd::parse(text).unwrap()
}

fn costs(text: &str) -> Result<Usd, PriceStatus> {
    Ok(usd(text))
}

/// A sheet of `provider,model,from,to,unit,rate` lines.
fn sheet(lines: &[&str]) -> Book {
    Book::read_csv(csv(lines).as_bytes(), "test").unwrap()
}

fn csv(lines: &[&str]) -> String {
    let rows: String = lines.iter().map(|line| format!("{line},test\n")).collect();
    format!("{}\n{rows}", COLUMNS.join(","))
}

fn refusal(text: &str) -> Error {
    Book::read_csv(text.as_bytes(), "test.csv").unwrap_err()
}

// What calls cost, computed by hand.

#[test]
fn claude_reads_and_writes_of_two_lifetimes_cost_what_the_breakdown_of_the_gateway_says() {
    let call = case("anthropic", "claude-opus-5", 21_401, 210).tokens(|tokens| {
        tokens.cache_read = Some(18_400);
        tokens.cache_write = Some(2_944);
        tokens.cache_write_5m = Some(640);
        tokens.cache_write_1h = Some(2_304);
        tokens.reasoning = Some(150);
    });
    // 57 x 5 + 18,400 x 0.50 + 640 x 6.25 + 2,304 x 10 + 210 x 25
    assert_eq!(call.outcome(), costs("0.041775"));
    assert_eq!(call.price_id(), "anthropic/claude-opus-5@2026-07-24#aa67bfa6");
}

#[test]
fn web_searches_are_added_to_tokens_and_parts_of_tokens_are_not() {
    let call = case("anthropic", "claude-sonnet-5", 5_120, 188);
    let call = call.with(|call| {
        call.meters =
            vec![("web_search_requests", usd("3")), ("web_fetch_requests", usd("2")), ("input_video_tokens", usd("9"))]
    });
    let without = call.clone().with(|call| call.meters.clear());
    assert_eq!(call.outcome().unwrap() - without.outcome().unwrap(), usd("0.03"));
}

#[test]
fn claude_batch_is_half_even_for_the_write_that_no_sheet_lists() {
    let tokens = |tokens: &mut Tokens| {
        tokens.cache_read = Some(8_192);
        tokens.cache_write = Some(512);
        tokens.cache_write_5m = Some(500);
        tokens.cache_write_1h = Some(12);
    };
    let call = case("anthropic", "claude-haiku-4-5-20251001", 9_215, 64).tokens(tokens);
    // 511 x 0.5 + 8,192 x 0.05 + 500 x 0.625 + 12 x 1 + 64 x 2.5
    let batch = costs("0.0011496");
    assert_eq!(call.clone().with(|call| call.tier = Some("batch")).outcome(), batch);
    assert_eq!(call.clone().with(|call| call.batch = true).outcome(), batch);
    assert_eq!(call.outcome().map(|cost| cost.pico() / 2), batch.map(Usd::pico));
}

#[test]
fn images_and_seconds_are_priced_by_their_own_meters() {
    let image = case("openai", "gpt-image-2", 823, 1_056).with(|call| call.operation = Operation::Image);
    let image = image.tokens(|tokens| {
        tokens.input_image = Some(798);
        tokens.output_image = Some(1_056);
    });
    // 25 x 5 + 798 x 8 + 1,056 x 30
    assert_eq!(image.outcome(), costs("0.038189"));

    let seconds = case("openai", "whisper-1", 0, 0).with(|call| {
        call.tokens = Tokens::default();
        call.operation = Operation::Transcription;
        call.meters = vec![("input_seconds", usd("37.5"))];
    });
    assert_eq!(seconds.outcome(), costs("0.00375"));

    let rerank = case("cohere", "rerank-v4.0-pro", 0, 0).with(|call| {
        call.tokens = Tokens::default();
        call.operation = Operation::Rerank;
        call.meters = vec![("search_units", usd("1"))];
    });
    assert_eq!(rerank.outcome(), costs("0.0025"));
}

#[test]
fn seconds_beside_tokens_are_not_billed_twice() {
    let call = case("openai", "gpt-4o-transcribe", 100, 20).with(|call| {
        call.operation = Operation::Transcription;
        call.tokens.input_audio = Some(90);
        call.meters = vec![("input_seconds", usd("9"))];
    });
    assert_eq!(call.outcome(), costs("0.00045"), "100 x 2.5 + 20 x 10");
}

#[test]
fn embeddings_cost_their_input_whether_or_not_an_output_count_is_given() {
    let call =
        case("openai", "text-embedding-3-small", 1_000_000, 0).with(|call| call.operation = Operation::Embeddings);
    assert_eq!(call.outcome(), costs("0.02"));
    assert_eq!(call.tokens(|tokens| tokens.output = None).outcome(), costs("0.02"));
}

// Time.

#[test]
fn a_rate_holds_from_its_first_day_to_the_day_before_its_last() {
    let call = |at| case("openai", "gpt-5.6-sol", 1_000, 1_000).with(|call| call.at = at);
    assert_eq!(call("2026-07-05T23:59:59.999999Z").outcome(), Err(PriceStatus::NotInForce));
    assert_eq!(call("2026-07-06T00:00:00Z").outcome(), costs("0.035"), "5 and 30");
    assert_eq!(call("2026-07-24T23:59:59.999999Z").outcome(), costs("0.035"));
    assert_eq!(call("2026-07-25T00:00:00Z").outcome(), costs("0.024"), "4 and 20");
    assert_eq!(call("2026-07-25T01:00:00+02:00").outcome(), costs("0.035"), "days are days of UTC");
    assert_eq!(call("2099-01-01T00:00:00Z").outcome(), costs("0.024"));
}

#[test]
fn each_change_of_a_card_has_its_own_id() {
    let id = |at| case("openai", "gpt-5.6-sol", 1, 1).with(|call| call.at = at).price_id();
    let (first, second, third) = (id("2026-07-08T00:00:00Z"), id("2026-07-09T00:00:00Z"), id("2026-07-25T00:00:00Z"));
    assert!(first.starts_with("openai/gpt-5.6-sol@2026-07-06#"), "{first}");
    assert!(second.starts_with("openai/gpt-5.6-sol@2026-07-09#"), "{second}");
    assert!(third.starts_with("openai/gpt-5.6-sol@2026-07-25#"), "{third}");
    assert_eq!(third, id("2026-11-20T00:00:00Z"));
    assert_eq!(third.rsplit('#').next().map(str::len), Some(8));
}

#[test]
fn an_id_depends_on_rates_and_not_on_sources_or_on_the_end_of_a_period() {
    let id = |line: &str| {
        let book = Book::read_csv(format!("{}\n{line}\n", COLUMNS.join(",")).as_bytes(), "test").unwrap();
        let call = case("p", "m", 1, 0).with(|call| call.operation = Operation::Embeddings);
        call.on(|call| book.price(call).price_id.unwrap().to_owned())
    };
    let open = id("p,m,2026-01-01,,input,1,a page");
    assert_eq!(open, id("p,m,2026-01-01,2027-01-01,input,1.000,another page"));
    assert_ne!(open, id("p,m,2026-01-01,,input,1.00000001,a page"));
    assert_eq!(open, "p/m@2026-01-01#77ecebb5");
}

#[test]
fn a_gap_between_two_rows_is_not_in_force() {
    let book = sheet(&["p,m,2026-01-01,2026-02-01,input,1", "p,m,2026-03-01,,input,2"]);
    let at = |at| case("p", "m", 1_000_000, 0).with(|call| call.at = at).outcome_in(&book);
    assert_eq!(at("2026-01-31T23:00:00Z"), costs("1"));
    assert_eq!(at("2026-02-01T00:00:00Z"), Err(PriceStatus::NotInForce));
    assert_eq!(at("2026-03-01T00:00:00Z"), costs("2"));
}

// Tiers and bands.

#[test]
fn the_tier_that_served_decides() {
    let tier = |tier| case("openai", "gpt-6-sol", 1_000_000 / 5, 0).with(|call| call.tier = tier).outcome();
    for standard in
        [None, Some(""), Some("default"), Some("standard"), Some("auto"), Some("on_demand"), Some("ON_DEMAND")]
    {
        assert_eq!(tier(standard), costs("0.4"), "{standard:?}");
    }
    assert_eq!(tier(Some("flex")), costs("0.2"));
    assert_eq!(tier(Some("batch")), costs("0.2"));
    assert_eq!(tier(Some("priority")), costs("0.8"));
    assert_eq!(tier(Some("fast")), costs("0.8"), "OpenAI's other word for priority");
    for unpriced in ["ultrafast", "gold"] {
        assert_eq!(tier(Some(unpriced)), Err(PriceStatus::UnknownMeter), "{unpriced}");
    }
    let anthropic = |tier| case("anthropic", "claude-opus-5", 1, 1).with(|call| call.tier = Some(tier)).outcome();
    assert_eq!(anthropic("priority"), Err(PriceStatus::UnknownMeter));
    assert_eq!(anthropic("fast"), costs("0.00006"), "twice 5 and 25");
}

#[test]
fn beyond_the_threshold_the_whole_request_is_dearer() {
    let call = |input| case("anthropic", "claude-haiku-5-5", input, 1_000);
    assert_eq!(call(100_000).outcome(), costs("0.0105"), "0.1 and 0.5");
    assert_eq!(call(100_001).outcome(), costs("0.0525005"), "0.5 and 2.5");
    let cached = call(100_001).tokens(|tokens| tokens.cache_read = Some(100_001));
    assert_eq!(cached.outcome(), costs("0.00750005"), "cached input counts toward the threshold");
}

#[test]
fn at_xai_the_threshold_itself_is_beyond() {
    let call = |input| case("xai", "grok-4.5", input, 0);
    assert_eq!(call(199_999).outcome(), costs("0.399998"));
    assert_eq!(call(200_000).outcome(), costs("0.8"));
    let image = call(200_000).tokens(|tokens| tokens.input_image = Some(1_000));
    assert_eq!(image.outcome(), costs("0.8"), "an image at the price of text follows it into the band");
}

#[test]
fn a_tier_without_the_band_that_others_have_is_unpriced_beyond_it() {
    let call = |input| case("openai", "gpt-5.4", input, 0).with(|call| call.tier = Some("priority"));
    assert_eq!(call(272_000).outcome(), costs("1.36"));
    assert_eq!(call(272_001).outcome(), Err(PriceStatus::UnknownMeter));
}

#[test]
fn of_several_bands_the_highest_that_is_passed_applies() {
    let book = sheet(&[
        "p,m,2026-01-01,,input,1",
        "p,m,2026-01-01,,input_above_100k,2",
        "p,m,2026-01-01,,input_above_200k,3",
        "p,m,2026-01-01,,output,10",
        "p,m,2026-01-01,,output_above_100k,20",
    ]);
    let cost = |input| case("p", "m", input, 1_000_000).outcome_in(&book);
    assert_eq!(cost(100_000), costs("10.1"));
    assert_eq!(cost(200_000), costs("20.4"));
    assert_eq!(cost(300_000), costs("20.9"), "output has no third band and keeps its second");
}

// Fallbacks.

#[test]
fn without_cache_rates_cached_input_bills_as_input() {
    let call = case("groq", "qwen/qwen3.8-27b", 1_000_000, 0).tokens(|tokens| {
        tokens.cache_read = Some(400_000);
        tokens.cache_write = Some(100_000);
    });
    assert_eq!(call.outcome(), costs("0.8"));
    let batch = case("openai", "gpt-4o", 1_000_000, 0).with(|call| call.batch = true);
    assert_eq!(batch.tokens(|tokens| tokens.cache_read = Some(500_000)).outcome(), costs("1.25"));
}

#[test]
fn a_write_of_no_stated_lifetime_has_the_shortest_one_that_is_sold() {
    let write = |provider, model| case(provider, model, 200_000, 0).tokens(|tokens| tokens.cache_write = Some(200_000));
    assert_eq!(write("anthropic", "claude-opus-5").outcome(), costs("1.25"), "5 minutes at 6.25");
    assert_eq!(write("openai", "gpt-6-sol").outcome(), costs("0.5"), "30 minutes at 2.5");
    assert_eq!(write("deepseek", "deepseek-chat").outcome(), costs("0"), "a stated 0 is a price");
}

#[test]
fn a_lifetime_that_is_not_sold_is_unpriced() {
    let call = case("openai", "gpt-6-sol", 10, 0).tokens(|tokens| {
        tokens.cache_write = Some(10);
        tokens.cache_write_1h = Some(10);
    });
    assert_eq!(call.outcome(), Err(PriceStatus::UnknownMeter));
    let deepseek = Case { provider: "deepseek", model: "deepseek-chat", ..call };
    assert_eq!(deepseek.outcome(), costs("0"), "a rate for writes of any lifetime covers it");
}

#[test]
fn reasoning_bills_as_output_unless_it_has_a_rate_of_its_own() {
    let reasoning =
        |provider, model| case(provider, model, 0, 1_000_000).tokens(|tokens| tokens.reasoning = Some(400_000));
    assert_eq!(reasoning("anthropic", "claude-opus-5").outcome(), costs("25"));
    let book =
        sheet(&["p,m,2026-01-01,,output,1", "p,m,2026-01-01,,output_reasoning,2", "p,m,2026-01-01,,flex_output,0.5"]);
    assert_eq!(reasoning("p", "m").outcome_in(&book), costs("1.4"));
    let flex = reasoning("p", "m").with(|call| call.tier = Some("flex"));
    assert_eq!(
        flex.outcome_in(&book),
        Err(PriceStatus::UnknownMeter),
        "dearer than output, and flex does not say by how much"
    );
}

#[test]
fn reasoning_at_the_price_of_output_follows_it_into_tiers_and_bands() {
    let book = sheet(&[
        "p,m,2026-01-01,,output,1",
        "p,m,2026-01-01,,output_reasoning,1",
        "p,m,2026-01-01,,output_above_200k,3",
        "p,m,2026-01-01,,priority_output,2",
        "p,m,2026-01-01,,input,0",
    ]);
    let call = case("p", "m", 200_001, 1_000_000).tokens(|tokens| tokens.reasoning = Some(1_000_000));
    assert_eq!(call.outcome_in(&book), costs("3"));
    let short = call.tokens(|tokens| tokens.input = Some(0)).with(|call| call.tier = Some("priority"));
    assert_eq!(short.outcome_in(&book), costs("2"));
}

#[test]
fn sound_and_pictures_bill_as_text_where_they_have_no_rate() {
    let call = case("openai", "gpt-4o", 1_000, 1_000).tokens(|tokens| {
        tokens.input_image = Some(765);
        tokens.input_audio = Some(100);
        tokens.output_audio = Some(500);
    });
    assert_eq!(call.outcome(), costs("0.0125"));
    let realtime = Case { model: "gpt-realtime", operation: Operation::Realtime, ..call };
    // 135 x 4 + 765 x 5 + 100 x 32 + 500 x 16 + 500 x 64
    assert_eq!(realtime.outcome(), costs("0.047565"));
}

#[test]
fn searches_cost_the_same_in_every_tier() {
    let call = case("openai", "gpt-6-sol", 0, 0).with(|call| {
        call.tier = Some("priority");
        call.meters = vec![("web_search_requests", usd("2"))];
    });
    assert_eq!(call.outcome(), costs("0.02"));
}

// Regions.

#[test]
fn a_region_that_costs_a_tenth_more_is_added_to_tokens_and_named_in_the_id() {
    let call = case("anthropic", "claude-opus-5", 1_000_000, 0).with(|call| {
        call.meters = vec![("web_search_requests", usd("1"))];
        call.region = Some("us");
    });
    assert_eq!(call.outcome(), costs("5.51"));
    assert!(call.price_id().ends_with("*1.1"));
    let global = call.with(|call| call.region = Some("global"));
    assert_eq!(global.outcome(), costs("5.01"));

    let openai = |model, region| case("openai", model, 200_000, 0).with(|call| call.region = Some(region)).outcome();
    assert_eq!(openai("gpt-5.4", "eu"), costs("0.55"));
    assert_eq!(openai("gpt-6-sol", "US"), costs("0.44"));
    assert_eq!(openai("gpt-5.2", "eu"), openai("gpt-5.2", "none"));
    assert_eq!(openai("gpt-4o", "eu"), costs("0.5"));
}

// What is not known.

#[test]
fn what_is_not_known_has_a_reason_and_no_cost() {
    let known = || case("openai", "gpt-4o", 10, 10);
    let outcome = |change: &dyn Fn(&mut Case)| known().with(change).outcome();
    assert_eq!(outcome(&|call| call.provider = "ollama"), Err(PriceStatus::UnknownProvider));
    assert_eq!(outcome(&|call| call.model = "gpt-4o-nano"), Err(PriceStatus::UnknownModel));
    assert_eq!(outcome(&|call| call.at = "2025-01-01T00:00:00Z"), Err(PriceStatus::NotInForce));
    assert_eq!(outcome(&|call| call.meters = vec![("code_sessions", usd("1"))]), Err(PriceStatus::UnknownMeter));
    assert_eq!(outcome(&|call| call.meters = vec![("tool_calls", usd("-1"))]), Err(PriceStatus::InconsistentUsage));
    assert_eq!(outcome(&|call| call.tokens.cache_read = Some(11)), Err(PriceStatus::InconsistentUsage));
    assert_eq!(outcome(&|call| call.tokens = Tokens::default()), Err(PriceStatus::NoUsage));
    assert_eq!(outcome(&|call| call.tokens.output = None), Err(PriceStatus::NoUsage), "half of the usage");
    assert_eq!(outcome(&|call| call.tokens.input = None), Err(PriceStatus::NoUsage));
    assert_eq!(
        outcome(&|call| {
            (call.model, call.meters) = ("gpt-6-sol", vec![("web_search_requests", Usd::from_pico(i128::MAX))]);
        }),
        Err(PriceStatus::InconsistentUsage),
        "beyond 128 bits"
    );
}

#[test]
fn a_stated_zero_is_a_cost_of_zero() {
    assert_eq!(case("openai", "gpt-4o", 0, 0).outcome(), costs("0"));
}

#[test]
fn an_answer_from_the_gateways_cache_costs_nothing_whatever_it_says() {
    let call = case("nobody", "nothing", 10, 10).with(|call| call.gateway_cache_hit = true);
    assert_eq!(call.outcome(), costs("0"));
    assert_eq!(call.on(|call| DEFAULT.price(call).status), PriceStatus::GatewayCache);
}

#[test]
fn the_model_that_served_is_looked_up_and_the_one_asked_for_only_in_its_place() {
    let status = |provider, response_model, request_model| {
        let call = case(provider, "", 1, 1);
        call.on(|call| DEFAULT.price(&Call { response_model, request_model, ..*call }).status)
    };
    assert_eq!(status("openai", None, Some("gpt-4o")), PriceStatus::Priced);
    assert_eq!(status("openai", Some(""), Some("gpt-4o")), PriceStatus::Priced);
    assert_eq!(status("openai", Some("gpt-7"), Some("gpt-4o")), PriceStatus::UnknownModel);
    assert_eq!(status("azure", Some("gpt-4o-2024-11-20"), Some("chat-prod")), PriceStatus::Priced);
    assert_eq!(status("azure", None, Some("gpt-4o-2024-11-20")), PriceStatus::UnknownModel, "a deployment's name");
    assert_eq!(status("openai", None, None), PriceStatus::UnknownModel);
}

#[test]
fn the_names_that_sources_report_find_their_product() {
    let product = |provider, model| {
        let id = case(provider, model, 1, 1).price_id();
        id.split('@').next().unwrap().to_owned()
    };
    for (provider, model, sheet) in [
        ("openai", "gpt-5.4-mini-2026-03-17", "openai/gpt-5.4-mini"),
        ("openai", "gpt-6-sol-2026-09-22", "openai/gpt-6-sol"),
        ("openai", "gpt-6-astra-2026-09-03", "openai/gpt-6-astra"),
        ("openai", "gpt-4.1-mini-2025-04-14", "openai/gpt-4.1-mini"),
        ("anthropic", "claude-haiku-4-5", "anthropic/claude-haiku-4-5-20251001"),
        ("bedrock", "us.anthropic.claude-opus-5", "bedrock/us.anthropic.claude-opus-5"),
        ("bedrock", "eu.amazon.nova-pro-v1:0", "bedrock/amazon.nova-pro-v1:0"),
        ("gemini", "models/gemini-2.5-flash", "gemini/gemini-2.5-flash"),
        ("vertex_ai", "gemini-3.5-flash", "vertex_ai/gemini-3.5-flash"),
        ("groq", "openai/gpt-oss-120b", "groq/openai/gpt-oss-120b"),
        ("mistral", "mistral-large-2512", "mistral/mistral-large-2512"),
        ("deepseek", "deepseek-reasoner", "deepseek/deepseek-reasoner"),
        ("xai", "grok-4.7", "xai/grok-4.7"),
        ("cohere", "command-r-08-2024", "cohere/command-r-08-2024"),
    ] {
        assert_eq!(product(provider, model), sheet, "{model}");
    }
    for (provider, model) in [
        ("azure", "gpt-4o-2024-08-06"),
        ("bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("openai", "gpt-audio-2025-08-28"),
    ] {
        assert_eq!(case(provider, model, 1, 1).outcome(), Err(PriceStatus::UnknownModel), "{model}");
    }
}

// Explanations.

#[test]
fn an_explanation_shows_each_quantity_with_the_row_that_priced_it() {
    let call = case("anthropic", "claude-opus-5", 1_000, 10)
        .tokens(|tokens| {
            tokens.cache_write = Some(400);
            tokens.reasoning = Some(4);
        })
        .with(|call| call.meters = vec![("web_search_requests", usd("1"))]);
    let explanation = call.on(|call| DEFAULT.explain(call));
    let lines: Vec<_> = explanation
        .lines
        .iter()
        .map(|line| {
            let unit = line.row.unwrap().unit.to_string();
            (line.counted.as_str(), line.quantity, unit, line.usd_per_million.unwrap(), line.cost.unwrap())
        })
        .collect();
    let line =
        |counted, quantity, unit: &str, rate, cost| (counted, usd(quantity), unit.to_owned(), usd(rate), usd(cost));
    assert_eq!(
        lines,
        [
            line("input", "600", "input", "5", "0.003"),
            line("cache_write", "400", "cache_write_5m", "6.25", "0.0025"),
            line("output", "6", "output", "25", "0.00015"),
            line("output_reasoning", "4", "output", "25", "0.0001"),
            line("web_search_requests", "1", "web_search_query_medium", "10000", "0.01"),
        ]
    );
    assert_eq!(explanation.rated.list_cost, Some(usd("0.01575")));
    assert_eq!(explanation.in_force, Some((Date::parse("2026-07-24").unwrap(), None)));
    assert_eq!((explanation.tier, explanation.uplifted), (Some(Tier::Standard), false));
}

#[test]
fn an_explanation_names_what_has_no_rate() {
    let call = case("openai", "gpt-4o", 10, 10).with(|call| call.meters = vec![("code_sessions", usd("1"))]);
    let explanation = call.on(|call| DEFAULT.explain(call));
    assert_eq!(explanation.rated.status, PriceStatus::UnknownMeter);
    let unpriced: Vec<_> =
        explanation.lines.iter().filter(|line| line.row.is_none()).map(|line| line.counted.as_str()).collect();
    assert_eq!(unpriced, ["code_sessions"]);
    let unknown = case("ollama", "gemma4", 10, 10).on(|call| DEFAULT.explain(call).lines.len());
    assert_eq!(unknown, 2, "what was counted is shown even if nothing is known of its price");
}

// Sheets.

#[test]
fn the_default_sheet_is_sound_and_complete() {
    assert_eq!(DEFAULT.rows().count(), 1_123);
    let today = Date::parse("2026-11-20").unwrap();
    assert!(DEFAULT.rows().any(|row| !row.is_in_force(today)), "history is in it");
    assert!(DEFAULT.rows().all(|row| !row.source.is_empty()), "every fact names its source");
}

#[test]
fn a_sheet_is_read_whatever_its_byte_order_mark_line_ends_column_order_and_blanks() {
    let text = "\u{feff}source, unit,usd_per_million,model,provider,effective_to,effective_from\r\n\
                \"a, b\",input , 2.50 ,m,p,,2026-01-01\r\n";
    let book = Book::read_csv(text.as_bytes(), "test").unwrap();
    let expected = Row {
        provider: "p".to_owned(),
        model: "m".to_owned(),
        unit: Unit::standard(Meter::Input),
        usd_per_million: usd("2.5"),
        effective_from: Date::parse("2026-01-01").unwrap(),
        effective_to: None,
        source: "a, b".to_owned(),
    };
    assert_eq!(book.rows().collect::<Vec<_>>(), [&expected]);
}

#[test]
fn all_faults_of_a_sheet_are_named_with_line_column_value_and_what_is_valid() {
    let error = refusal(&csv(&[
        "p,m,2026-01-01,,input,1",
        "P,m m,2026-13-01,2026-1-1,inputs,1e-5",
        "p,m,2026-02-01,2026-02-01,output,-1",
        "p,m,2026-02-01,,input,2",
        "p,m,2026-02-01",
        "p,x,2026-02-01,,input,0.123456789",
        "p,y,2026-02-01,,input,100000000.1",
        ",z,2026-02-01,,input,1",
    ]));
    assert_eq!(error.code(), "PRICES-003");
    assert_eq!(
        error.to_string(),
        "price sheet test.csv has 10 faults\n  \
         line 3: effective_from `2026-13-01` is not a date, YYYY-MM-DD\n  \
         line 3: effective_to `2026-1-1` is not a date, YYYY-MM-DD\n  \
         line 3: unit `inputs` is not a unit, [tier_]meter[_above_Nk]; did you mean `input`?\n  \
         line 3: usd_per_million `1e-5` is not a plain decimal from 0 to 100000000 with at most 8 decimals\n  \
         line 4: usd_per_million `-1` is not a plain decimal from 0 to 100000000 with at most 8 decimals\n  \
         line 5: p m input already has a rate on 2026-02-01, line 2\n  \
         line 6: 4 fields where the header has 7\n  \
         line 7: usd_per_million `0.123456789` is not a plain decimal from 0 to 100000000 with at most 8 decimals\n  \
         line 8: usd_per_million `100000000.1` is not a plain decimal from 0 to 100000000 with at most 8 decimals\n  \
         line 9: provider `` is not a name: 1 to 200 characters without spaces, a provider in lower case"
    );
}

#[test]
fn the_limits_of_a_rate_are_themselves_valid() {
    let book =
        sheet(&["p,m,2026-01-01,,input,100000000", "p,m,2026-01-01,,output,0.00000001", "p,n,2026-01-01,,input,0"]);
    assert_eq!(book.rows().count(), 3);
    assert_eq!(case("p", "m", 100_000_000, 0).outcome_in(&book), costs("10000000000"));
    assert_eq!(case("p", "m", 0, 100).outcome_in(&book), costs("0.000000000001"));
}

#[test]
fn names_and_periods_are_checked_on_rows_from_anywhere() {
    let row = Row {
        provider: "P".to_owned(),
        model: "m m".to_owned(),
        unit: Unit::standard(Meter::Input),
        usd_per_million: Usd::from_pico(1),
        effective_from: Date::parse("2026-01-02").unwrap(),
        effective_to: Date::parse("2026-01-02"),
        source: String::new(),
    };
    let error = Book::from_rows(vec![row]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "price sheet rows has 4 faults\n  \
         row 1: provider `P` is not a name: 1 to 200 characters without spaces, a provider in lower case\n  \
         row 1: model `m m` is not a name: 1 to 200 characters without spaces, a provider in lower case\n  \
         row 1: usd_per_million `0.000000000001` is not a plain decimal from 0 to 100000000 with at most 8 decimals\n  \
         row 1: effective_to 2026-01-02 is not after effective_from 2026-01-02"
    );
    assert_eq!(Book::from_rows(Vec::new()).unwrap().rows().count(), 0);
}

#[test]
fn a_row_inside_a_longer_one_overlaps_even_behind_another() {
    let lines = ["p,m,2026-01-01,,input,1", "p,m,2026-02-01,2026-03-01,input,2", "p,m,2026-04-01,,input,3"];
    let error = refusal(&csv(&lines));
    assert_eq!(
        error.to_string(),
        "price sheet test.csv has 2 faults\n  \
         line 3: p m input already has a rate on 2026-02-01, line 2\n  \
         line 4: p m input already has a rate on 2026-04-01, line 2"
    );
}

#[test]
fn many_faults_are_counted_but_not_all_listed() {
    let lines: Vec<_> = (0..60).map(|_| "p,m,never,,input,1").collect();
    let text = refusal(&csv(&lines)).to_string();
    assert_eq!(text.lines().count(), 1 + Error::FAULTS_MAX + 1);
    assert!(text.ends_with("\n  and 10 more"), "{text}");
}

#[test]
fn other_columns_are_refused_with_the_nearest() {
    let error = refusal("provider,model,effective_form,effective_to,unit,usd_per_million,source,region\n");
    assert_eq!(error.code(), "PRICES-002");
    assert_eq!(
        error.to_string(),
        "price sheet test.csv has the wrong columns: missing effective_from, \
         unknown `effective_form` (did you mean `effective_from`?), `region`"
    );
    let twice = format!("{},unit\n", COLUMNS.join(","));
    assert!(refusal(&twice).to_string().ends_with("missing none, unknown `unit`"), "{}", refusal(&twice));
    assert_eq!(refusal("").code(), "PRICES-002");
}

#[test]
fn an_empty_sheet_and_bytes_that_are_no_text_are_refused() {
    assert_eq!(refusal(&csv(&[])).code(), "PRICES-004");
    assert_eq!(refusal(&csv(&[])).to_string(), "price sheet test.csv has no rows");
    let mut bytes = csv(&[]).into_bytes();
    bytes.extend(b"p,m,2026-01-01,,input,1,\xff\n");
    let error = Book::read_csv(&bytes[..], "test.csv").unwrap_err();
    assert_eq!((error.code(), error.to_string().as_str()), ("PRICES-001", "cannot read price sheet test.csv"));
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("UTF-8"));
}

#[test]
fn a_failing_writer_is_an_error() {
    let mut room = [0_u8; 16];
    let error = DEFAULT.write_csv(&mut room[..]).unwrap_err();
    assert_eq!((error.code(), error.to_string().as_str()), ("PRICES-005", "cannot write the price sheet"));
}

#[test]
fn an_overlay_holds_alone_on_the_days_it_covers_and_nowhere_else() {
    let list = sheet(&["p,m,2026-01-01,,input,10", "p,m,2026-01-01,,cache_read,1", "p,other,2026-01-01,,input,7"]);
    let contract = sheet(&["p,m,2026-03-01,2026-06-01,input,8", "p,new,2026-03-01,,input,3"]);
    let book = list.overlay(&contract);
    let cost = |model, at| {
        let call = case("p", model, 2_000_000, 0).with(|call| call.at = at);
        call.tokens(|tokens| tokens.cache_read = Some(1_000_000)).outcome_in(&book)
    };
    assert_eq!(cost("m", "2026-02-28T23:59:59Z"), costs("11"));
    assert_eq!(cost("m", "2026-03-01T00:00:00Z"), costs("16"), "the contract gives no rate for cached input");
    assert_eq!(cost("m", "2026-05-31T23:59:59Z"), costs("16"));
    assert_eq!(cost("m", "2026-06-01T00:00:00Z"), costs("11"));
    assert_eq!(cost("other", "2026-04-01T00:00:00Z"), costs("14"));
    assert_eq!(cost("new", "2026-04-01T00:00:00Z"), costs("6"));
    assert_eq!(book.rows().count(), 7, "two list rows in two parts each, one untouched, two of the contract");
}

// Terms.

#[test]
fn fast_mode_costs_twice_the_ordinary_rates_of_the_models_that_have_it() {
    let fast = |model| case("anthropic", model, 1_000_000, 1_000_000).with(|call| call.tier = Some("fast")).outcome();
    assert_eq!(fast("claude-opus-5"), costs("60"));
    assert_eq!(fast("claude-sonnet-5"), Err(PriceStatus::UnknownMeter));
    let cached = case("anthropic", "claude-opus-5", 1_000_000, 0).tokens(|tokens| tokens.cache_read = Some(1_000_000));
    assert_eq!(cached.with(|call| call.tier = Some("fast")).outcome(), costs("1"));
    let book = sheet(&[
        "anthropic,claude-opus-4-7,2026-01-01,,input,5",
        "anthropic,claude-opus-4-20250514,2026-01-01,,input,5",
    ]);
    for model in ["claude-opus-4-7", "claude-opus-4-20250514"] {
        let old = case("anthropic", model, 1, 0).with(|call| call.tier = Some("fast"));
        assert_eq!(old.outcome_in(&book), Err(PriceStatus::UnknownMeter), "{model} has no fast mode");
    }
    let stated =
        sheet(&["anthropic,claude-opus-5,2026-01-01,,input,5", "anthropic,claude-opus-5,2026-01-01,,fast_input,7"]);
    let stated =
        case("anthropic", "claude-opus-5", 1_000_000, 0).with(|call| call.tier = Some("fast")).outcome_in(&stated);
    assert_eq!(stated, costs("7"), "a row wins over what is known of the provider");
}

#[test]
fn off_peak_rates_hold_in_their_hours_and_what_has_none_costs_the_same_all_day() {
    let book = sheet(&[
        "deepseek,d,2026-01-01,,input,4",
        "deepseek,d,2026-01-01,,output,8",
        "deepseek,d,2026-01-01,,cache_read,1",
        "deepseek,d,2026-01-01,,off_peak_input,2",
        "deepseek,d,2026-01-01,,off_peak_output,3",
        "deepseek,d,2026-01-01,,priority_input,9",
        "deepseek,d,2026-01-01,,off_peak_hours_1-5_16:30-24:00,0",
        "deepseek,d,2026-01-01,,off_peak_hours_6-7_00:00-24:00,0",
    ]);
    let call = |at| {
        let call = case("deepseek", "d", 2_000_000, 1_000_000).with(|call| call.at = at);
        call.tokens(|tokens| (tokens.cache_read, tokens.reasoning) = (Some(1_000_000), Some(500_000)))
    };
    assert_eq!(call("2026-11-20T16:29:59Z").outcome_in(&book), costs("13"), "Friday afternoon");
    assert_eq!(call("2026-11-20T16:30:00Z").outcome_in(&book), costs("6"), "2 + 1 + 3");
    assert_eq!(call("2026-11-21T03:00:00Z").outcome_in(&book), costs("6"), "Saturday");
    assert_eq!(call("2026-11-23T00:00:00Z").outcome_in(&book), costs("13"), "Monday");
    let priority = case("deepseek", "d", 1_000_000, 0)
        .with(|call| (call.at, call.tier) = ("2026-11-21T03:00:00Z", Some("priority")));
    assert_eq!(priority.outcome_in(&book), costs("9"), "hours are of the ordinary service");
    let explanation = call("2026-11-21T03:00:00Z").on(|call| book.explain(call).tier);
    assert_eq!(explanation, Some(Tier::OffPeak));
}

#[test]
fn uplifts_stated_in_a_sheet_take_the_place_of_those_that_are_known() {
    let book = sheet(&[
        "vertex_ai,g,2026-01-01,,input,10",
        "vertex_ai,g,2026-01-01,,uplift_regional,1.25",
        "openai,gpt-6-x,2026-01-01,,input,10",
        "openai,gpt-6-x,2026-01-01,,uplift_eu,1.5",
    ]);
    let cost = |provider, model, region| {
        case(provider, model, 1_000_000, 0).with(|call| call.region = region).outcome_in(&book)
    };
    assert_eq!(cost("vertex_ai", "g", Some("us-central1")), costs("12.5"));
    assert_eq!(cost("vertex_ai", "g", Some("global")), costs("10"));
    assert_eq!(cost("vertex_ai", "g", None), costs("10"));
    assert_eq!(cost("openai", "gpt-6-x", Some("eu")), costs("15"));
    assert_eq!(
        cost("openai", "gpt-6-x", Some("us")),
        costs("10"),
        "no tenth for the US: the sheet says what regions cost"
    );
    let id = case("openai", "gpt-6-x", 1, 0).with(|call| call.region = Some("eu"));
    assert!(id.on(|call| book.price(call).price_id.unwrap().ends_with("*1.5")));
}

#[test]
fn a_discount_takes_percent_off_everything_in_its_period_and_the_nearest_pattern_wins() {
    let book = sheet(&[
        "openai,gpt-6-sol,2026-01-01,,input,10",
        "openai,gpt-6-sol,2026-01-01,,web_search_query_medium,10000",
        "openai,gpt-6-luna,2026-01-01,,input,10",
        "azure,gpt-6-sol,2026-01-01,,input,10",
        "openai,gpt-*,2026-02-01,2026-03-01,discount_percent,10",
        "openai,gpt-6-s*,2026-02-01,2026-03-01,discount_percent,12.5",
    ]);
    let call = |provider, model, at| {
        let call = case(provider, model, 1_000_000, 0).with(|call| (call.at, call.region) = (at, Some("us")));
        call.with(|call| {
            call.meters = vec![("web_search_requests", usd(if model == "gpt-6-sol" { "100" } else { "0" }))]
        })
    };
    let cost = |provider, model, at| call(provider, model, at).outcome_in(&book);
    assert_eq!(cost("openai", "gpt-6-sol", "2026-01-31T23:59:59Z"), costs("12"), "10 x 1.1 and 100 searches at a cent");
    assert_eq!(cost("openai", "gpt-6-sol", "2026-02-01T00:00:00Z"), costs("10.5"), "7/8 of it");
    assert_eq!(cost("openai", "gpt-6-luna", "2026-02-01T00:00:00Z"), costs("9.9"));
    assert_eq!(cost("openai", "gpt-6-sol", "2026-03-01T00:00:00Z"), costs("12"));
    let azure = case("azure", "gpt-6-sol", 1_000_000, 0).with(|call| call.at = "2026-02-01T00:00:00Z");
    assert_eq!(azure.outcome_in(&book), costs("10"));
    call("openai", "gpt-6-sol", "2026-02-02T00:00:00Z").on(|call| {
        let explanation = book.explain(call);
        let id = explanation.rated.price_id.unwrap();
        assert!(id.starts_with("openai/gpt-6-sol@2026-02-01#") && id.ends_with("*1.1-12.5%"), "{id}");
        assert_eq!(explanation.discount.map(|row| row.model.as_str()), Some("gpt-6-s*"));
        let total: Usd = explanation.lines.iter().filter_map(|line| line.cost).sum();
        assert_eq!(Some(total), explanation.rated.list_cost);
    });
}

#[test]
fn factors_of_many_digits_stay_exact_at_the_largest_quantities() {
    let book = sheet(&[
        "p,m,2026-01-01,,input,600.12345678",
        "p,m,2026-01-01,,output,0",
        "p,m,2026-01-01,,web_search_query_medium,40000.12345678",
        "p,m,2026-01-01,,uplift_eu,1.3333",
        "p,*,2026-01-01,,discount_percent,3.3333",
    ]);
    let call = case("p", "m", 100_000_000, 0).with(|call| {
        (call.region, call.meters) = (Some("eu"), vec![("web_search_requests", usd("4999.999"))]);
    });
    // (10^8 x 600.12345678 x 1.3333 + 4999.999 x 40000.12345678) / 10^6 x 0.966667
    assert_eq!(call.outcome_in(&book), costs("77540.672438922827"));
}

#[test]
fn a_discount_laid_over_a_sheet_leaves_its_rates() {
    let list = sheet(&["openai,gpt-6-sol,2026-01-01,,input,10", "openai,gpt-*,2026-01-01,,discount_percent,10"]);
    let contract = sheet(&["openai,gpt-*,2026-06-01,,discount_percent,20"]);
    let book = list.overlay(&contract);
    let cost = |at| case("openai", "gpt-6-sol", 1_000_000, 0).with(|call| call.at = at).outcome_in(&book);
    assert_eq!(cost("2026-05-31T00:00:00Z"), costs("9"));
    assert_eq!(cost("2026-06-01T00:00:00Z"), costs("8"));
}

#[test]
fn terms_out_of_range_and_patterns_for_rates_are_refused() {
    let error = refusal(&csv(&[
        "p,m,2026-01-01,,uplift_us,0.9",
        "p,m,2026-01-01,,discount_percent,100.1",
        "p,m,2026-01-01,,discount_percent,33.33333",
        "p,m,2026-01-01,,off_peak_hours_1-5_00:00-01:00,1",
        "p,m*,2026-01-01,,input,1",
        "p,m*,2026-01-01,,capacity_hour,1",
    ]));
    let text = error.to_string();
    for fault in [
        "line 2: uplift_us `0.9` is not a factor from 1 to 10 with at most 4 decimals",
        "line 3: discount_percent `100.1` is not percent from 0 to 100 with at most 4 decimals",
        "line 4: discount_percent `33.33333` is not percent",
        "line 5: off_peak_hours_1-5_00:00-01:00 `1` is not 0: the unit says it all",
        "line 6: input is of one model; only capacity_hour and discount_percent take a pattern",
    ] {
        assert!(text.contains(fault), "{text}");
    }
    assert!(!text.contains("line 7"), "{text}");
}

#[test]
fn capacity_paid_by_the_hour_has_no_price_per_token() {
    for tier in ["provisioned", "PROVISIONED_THROUGHPUT", "scale", "reserved"] {
        let call = case("openai", "gpt-4o", 10, 10).with(|call| call.tier = Some(tier));
        assert_eq!(call.outcome(), Err(PriceStatus::Provisioned), "{tier}");
    }
    let call = case("azure", "gpt-4o", 10, 10).with(|call| call.provisioned = true);
    assert_eq!(call.clone().outcome(), Err(PriceStatus::Provisioned));
    let hit = call.with(|call| call.gateway_cache_hit = true);
    assert_eq!(hit.outcome(), costs("0"));
}

// Meters beside tokens.

#[test]
fn billed_units_are_charged_and_not_the_tokens_that_were_processed() {
    let call = case("cohere", "c", 9_000_000, 9_000_000);
    let book = sheet(&[
        "cohere,c,2026-01-01,,input,2",
        "cohere,c,2026-01-01,,output,10",
        "cohere,c,2026-01-01,,classification,1000",
    ]);
    assert_eq!(call.outcome_in(&book), costs("108"));
    let billed = call.with(|call| {
        call.meters = vec![
            ("billed_input_tokens", usd("1000000")),
            ("billed_output_tokens", usd("500000.5")),
            ("classifications", usd("2")),
        ];
    });
    assert_eq!(billed.outcome_in(&book), costs("7.002005"));
    let without_tokens = billed.with(|call| call.tokens = Tokens::default());
    assert_eq!(without_tokens.outcome_in(&book), costs("7.002005"));
}

#[test]
fn what_only_a_meter_tells_apart_is_taken_out_of_the_bucket_it_is_part_of() {
    let book = sheet(&[
        "p,m,2026-01-01,,input,1",
        "p,m,2026-01-01,,output,0",
        "p,m,2026-01-01,,input_video,3",
        "p,m,2026-01-01,,cache_read,0.1",
        "p,m,2026-01-01,,cache_read_audio,0.5",
    ]);
    let call = case("p", "m", 3_000_000, 0).tokens(|tokens| tokens.cache_read = Some(1_000_000));
    assert_eq!(call.outcome_in(&book), costs("2.1"));
    let apart = call.with(|call| {
        call.meters = vec![
            ("input_video_tokens", usd("1000000")),
            ("cache_read_audio_tokens", usd("200000")),
            ("cache_read_image_tokens", usd("100000")),
        ];
    });
    assert_eq!(apart.outcome_in(&book), costs("4.18"), "1 + 3 + 0.08 + 0.1");
}

#[test]
fn what_google_found_for_a_grounded_prompt_is_not_billed_as_input() {
    let rows = |provider: &str| {
        let row = |unit_and_rate| format!("{provider},m,2026-01-01,,{unit_and_rate}");
        [row("input,1"), row("output,0"), row("web_search_query_medium,35000")]
    };
    let cost = |provider, meters: &[(&'static str, &str)]| {
        let call = case(provider, "m", 1_000_000, 0)
            .with(|call| call.meters = meters.iter().map(|(name, quantity)| (*name, usd(quantity))).collect());
        call.outcome_in(&sheet(&rows(provider).each_ref().map(String::as_str)))
    };
    let found = ("input_tool_use_tokens", "400000");
    assert_eq!(cost("gemini", &[found, ("web_search_requests", "1")]), costs("0.635"));
    assert_eq!(cost("gemini", &[found]), costs("1"), "of code that ran, or of pages that were fetched");
    assert_eq!(cost("mistral", &[found, ("web_search_requests", "1")]), costs("1.035"));
}

#[test]
fn pieces_are_billed_beside_tokens_only_where_they_have_a_rate() {
    let call = case("openai", "gpt-4o", 1_000_000, 0).with(|call| call.meters = vec![("input_images", usd("4"))]);
    assert_eq!(call.outcome(), costs("2.5"), "the pictures are among the tokens");
    let book =
        sheet(&["p,m,2026-01-01,,input,1", "p,m,2026-01-01,,input_image_each,1000", "p,m,2026-01-01,,request,5000"]);
    let here = Case { provider: "p", model: "m", ..call.clone() };
    assert_eq!(here.outcome_in(&book), costs("1.009"), "and the call itself");
    let pages = case("p", "m", 0, 0).with(|call| {
        (call.operation, call.tokens) = (Operation::Rerank, Tokens::default());
        call.meters = vec![("pages", usd("2"))];
    });
    assert_eq!(pages.outcome_in(&book), Err(PriceStatus::UnknownMeter), "without tokens the pages are all there is");
}

#[test]
fn a_price_change_in_mid_month_splits_the_month_exactly() {
    let book = sheet(&["p,m,2026-01-01,2026-11-16,input,1.25", "p,m,2026-11-16,,input,0.8"]);
    let day = |day: i64| case("p", "m", 100 + day, 0);
    let mut halves = [Usd::ZERO; 2];
    let texts: Vec<String> = (1..=30).map(|day| format!("2026-11-{day:02}T23:59:59.999999Z")).collect();
    for (number, text) in (1..).zip(&texts) {
        let text: &'static str = text.clone().leak();
        let cost = day(number).with(|call| call.at = text).outcome_in(&book).unwrap();
        halves[usize::from(number >= 16)] = halves[usize::from(number >= 16)] + cost;
    }
    // 15 days of 100 + n at 1.25, then 15 at 0.8, in millionths of a dollar.
    assert_eq!(halves, [usd("0.002025"), usd("0.001476")]);
    let ids: Vec<_> = texts
        .iter()
        .map(|at| {
            let at: &'static str = at.clone().leak();
            case("p", "m", 1, 0).with(|call| call.at = at).on(|call| book.price(call).price_id.unwrap().to_owned())
        })
        .collect();
    assert!(ids[..15].iter().all(|id| id == &ids[0]) && ids[15..].iter().all(|id| id == &ids[15]) && ids[0] != ids[15]);
}

// Properties.

/// A product of the default sheet, with counts that fit each other and stay within one band when two of them are added.
fn any_case() -> impl Strategy<Value = Case> {
    const PRODUCTS: &[(&str, &str)] = &[
        ("anthropic", "claude-opus-5"),
        ("anthropic", "claude-haiku-5-5"),
        ("openai", "gpt-6-sol"),
        ("openai", "gpt-4o"),
        ("gemini", "gemini-2.5-pro"),
        ("xai", "grok-4.5"),
        ("groq", "openai/gpt-oss-20b"),
    ];
    const TIERS: &[Option<&str>] = &[None, Some("batch"), Some("priority"), Some("flex")];
    const REGIONS: &[Option<&str>] = &[None, Some("us")];
    (select(PRODUCTS), select(TIERS), select(REGIONS), prop::array::uniform5(0..9_000_i64)).prop_map(
        |((provider, model), tier, region, [fresh, read, image, text, reasoning])| {
            let tokens = |tokens: &mut Tokens| {
                tokens.cache_read = Some(read);
                tokens.input_image = Some(image);
                tokens.reasoning = Some(reasoning);
            };
            let call = case(provider, model, fresh + read + image, text + reasoning).tokens(tokens);
            call.with(|call| (call.tier, call.region) = (tier, region))
        },
    )
}

fn sum(one: &Case, other: &Case) -> Case {
    let add = |a: Option<i64>, b: Option<i64>| Some(a.unwrap_or(0) + b.unwrap_or(0));
    let (a, b) = (one.tokens, other.tokens);
    one.clone().tokens(|tokens| {
        tokens.input = add(a.input, b.input);
        tokens.cache_read = add(a.cache_read, b.cache_read);
        tokens.input_image = add(a.input_image, b.input_image);
        tokens.output = add(a.output, b.output);
        tokens.reasoning = add(a.reasoning, b.reasoning);
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn splitting_a_call_in_two_changes_its_cost_by_no_more_than_the_rounding(one in any_case(), other in any_case()) {
        let other = Case { tokens: other.tokens, ..one.clone() };
        let whole = sum(&one, &other).outcome();
        if let (Ok(one), Ok(other), Ok(whole)) = (one.outcome(), other.outcome(), whole) {
            prop_assert!(((one + other) - whole).pico().abs() <= 1);
        }
    }

    #[test]
    fn more_tokens_never_cost_less(one in any_case(), more in any_case()) {
        if let (Ok(one), Ok(both)) = (one.outcome(), sum(&one, &more).outcome()) {
            prop_assert!(one <= both);
        }
    }

    #[test]
    fn a_total_is_the_exact_sum_of_its_lines(call in any_case()) {
        let explanation = call.on(|call| DEFAULT.explain(call));
        let exact = explanation.lines.iter().map(|line| {
            let quantity = i64::try_from(line.quantity.pico() / Usd::parse("1").unwrap().pico()).unwrap();
            line.usd_per_million.map(|rate| (quantity, rate))
        });
        let expected = exact.collect::<Option<Vec<_>>>().and_then(Usd::rate);
        prop_assert_eq!(explanation.rated.list_cost, expected);
    }

    #[test]
    fn a_sum_is_rounded_like_any_other_amount(quantity in 0..100_000_000_i64, nano in 0..1_000_000_i64) {
        let rate = Usd::from_pico(i128::from(nano) * 10_000);
        let book = Book::from_rows(vec![Row {
            provider: "p".to_owned(),
            model: "m".to_owned(),
            unit: Unit::standard(Meter::Input),
            usd_per_million: rate,
            effective_from: Date::from_days(0),
            effective_to: None,
            source: String::new(),
        }]).unwrap();
        prop_assert_eq!(case("p", "m", quantity, 0).outcome_in(&book).ok(), Usd::rate([(quantity, rate)]));
    }

    #[test]
    fn the_order_of_rows_never_matters(
        rows in Just(DEFAULT.rows().cloned().collect::<Vec<_>>()).prop_shuffle(),
        calls in prop::collection::vec(any_case(), 8),
    ) {
        let book = Book::from_rows(rows).unwrap();
        prop_assert!(book.rows().eq(DEFAULT.rows()));
        for call in calls {
            let ids = call.on(|call| (book.price(call), DEFAULT.price(call)));
            prop_assert_eq!(ids.0, ids.1);
        }
    }

    #[test]
    fn a_sheet_that_is_written_reads_back_equal(rows in subsequence(DEFAULT.rows().cloned().collect::<Vec<_>>(), 1..60)) {
        let book = Book::from_rows(rows).unwrap();
        let mut bytes = Vec::new();
        book.write_csv(&mut bytes).unwrap();
        let again = Book::read_csv(&bytes[..], "again").unwrap();
        prop_assert!(book.rows().eq(again.rows()));
    }

    #[test]
    fn overlaying_a_book_with_its_own_rows_changes_nothing(rows in subsequence(DEFAULT.rows().cloned().collect::<Vec<_>>(), 1..60)) {
        let book = Book::from_rows(rows).unwrap();
        prop_assert!(book.overlay(&book).rows().eq(book.rows()));
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), header in any::<bool>()) {
        let text = [if header { csv(&[]).into_bytes() } else { Vec::new() }, bytes].concat();
        prop_assert!(Book::read_csv(&text[..], "noise").is_err());
    }
}

#[test]
fn a_call_is_taken_from_an_entry() {
    let mut entry = crate::Entry::new("test", Operation::Responses, b"");
    entry.provider = Some("openai".into());
    entry.response_model = Some("gpt-6-sol-2026-09-22".into());
    entry.service_tier = Some("default".into());
    entry.tokens = Tokens { input: Some(1_000), output: Some(100), ..Tokens::default() };
    entry.features.insert(crate::Feature::Batch);
    let buckets: Buckets = entry.tokens.buckets();
    let at = Instant::parse("2026-11-20T12:00:00Z").unwrap();
    assert_eq!(DEFAULT.price(&Call::of(&entry, &buckets, at)).list_cost, Some(usd("0.0015")));
    entry.gateway_cache_hit = Some(true);
    assert_eq!(DEFAULT.price(&Call::of(&entry, &buckets, at)).status, PriceStatus::GatewayCache);
}
