//! What calls cost, computed by hand.

use super::*;

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
    let uncounted = case("openai", "whisper-1", 0, 0).with(|call| {
        call.operation = Operation::Transcription;
        call.meters = vec![("input_seconds", usd("60"))];
    });
    assert_eq!(uncounted.outcome(), costs("0.006"), "zeros are no tokens");
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
