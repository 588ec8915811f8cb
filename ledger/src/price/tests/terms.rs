//! Terms beside plain rates: hours, uplifts, discounts, capacity, units that are billed.

use super::*;

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
    let picture = case("cohere", "embed-v4.0", 1_000, 0).with(|call| {
        call.operation = Operation::Embeddings;
        call.meters = vec![("billed_image_tokens", usd("1000")), ("input_images", usd("1"))];
    });
    assert_eq!(picture.outcome(), costs("0.00047"));
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
