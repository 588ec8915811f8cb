//! A small file with everything that is awkward about the format.

use super::*;

const SAMPLE: &[u8] = include_bytes!("sample.json");

fn read(bytes: &[u8]) -> Result<LiteLlm, Error> {
    let period = Period { from: Date::parse("2026-11-01").unwrap(), to: None };
    LiteLlm::read(bytes, "prices.json", period)
}

/// `unit rate` of every row of a product.
fn rows(import: &LiteLlm, provider: &str, model: &str) -> Vec<String> {
    let of_product = import.book.rows().filter(|row| row.provider == provider && row.model == model);
    let mut rows: Vec<_> =
        of_product.map(|row| format!("{} {}", row.unit, super::super::book::plain(row.usd_per_million))).collect();
    rows.sort();
    rows
}

fn reason<'a>(import: &'a LiteLlm, key: &str, example: &str) -> Option<&'a str> {
    import.left_out.iter().find(|left| left.key == key && left.example == example).map(|left| left.reason)
}

#[test]
fn tokens_tiers_bands_and_lifetimes_become_rows() {
    let import = read(SAMPLE).unwrap();
    assert_eq!(
        rows(&import, "openai", "gpt-9"),
        [
            "batch_input 0.625",
            "cache_read 0.125",
            "cache_write_12h 2.5",
            "cache_write_30m 1.5625",
            "flex_input 0.625",
            "input 1.25",
            "input_above_272k 2.5",
            "output 10",
            "priority_input_above_272k 5",
            "uplift_eu 1.1",
            "uplift_us 1.1",
            "web_search_query_high 30000",
            "web_search_query_low 10000",
            "web_search_query_medium 20000",
        ]
    );
    assert_eq!(rows(&import, "azure", "eu/gpt-9"), ["input 1.375", "output 11"]);
    assert_eq!(
        rows(&import, "dashscope", "qwen-tiers"),
        ["input 0.05", "input_above_256k 0.25", "output 0.4", "output_above_256k 2"]
    );
    let row = import.book.rows().find(|row| row.model == "gpt-9").unwrap();
    assert_eq!((row.effective_from.to_string().as_str(), row.effective_to), ("2026-11-01", None));
    assert_eq!(row.source, "prices.json gpt-9");
}

#[test]
fn multipliers_become_terms_and_tiers() {
    let import = read(SAMPLE).unwrap();
    assert_eq!(
        rows(&import, "anthropic", "claude-opus-9"),
        [
            "cache_write_1h 10",
            "cache_write_5m 6.25",
            "fast_cache_write_1h 20",
            "fast_cache_write_5m 12.5",
            "fast_input 10",
            "fast_output 50",
            "input 5",
            "output 25",
            "uplift_us 1.1",
        ]
    );
    assert_eq!(reason(&import, "provider_specific_entry.note", "claude-opus-9"), Some("not a price of tokens"));
    assert_eq!(rows(&import, "vertex_ai", "gemini-9"), ["input 0.3", "output 2.5", "uplift_regional 1.1"]);
}

#[test]
fn off_peak_windows_are_of_utc_whatever_zone_their_weekdays_are_of() {
    let import = read(SAMPLE).unwrap();
    assert_eq!(
        rows(&import, "deepseek", "deepseek-night"),
        [
            "cache_read 0.1",
            "cache_write 0",
            "input 0.4",
            "off_peak_hours_1-5_00:00-01:00 0",
            "off_peak_hours_1-5_10:00-24:00 0",
            "off_peak_hours_6-7_00:00-24:00 0",
            "off_peak_input 0.2",
            "off_peak_output 0.4",
            "output 0.8",
        ],
        "the entry under the provider's name, not the bare one"
    );
    let night = rows(&import, "tencent", "night");
    // Monday 10:00 to 24:00 UTC is Monday in Shanghai until 16:00, then Tuesday; before Monday's own day begins there, it
    // is still Sunday in UTC.
    let hours: Vec<_> = night.iter().filter(|row| row.starts_with("off_peak_hours")).collect();
    assert_eq!(
        hours,
        ["off_peak_hours_1-1_16:00-24:00 0", "off_peak_hours_1-2_10:00-16:00 0", "off_peak_hours_7-7_16:00-24:00 0"]
    );
}

#[test]
fn off_peak_hours_of_every_day_are_two_parts_over_midnight_and_rates_without_hours_are_none() {
    let off_peak = |hours: &str| {
        let json = format!(
            r#"{{"deepseek/d":{{"litellm_provider":"deepseek","mode":"chat","input_cost_per_token":1e-6,
                "off_peak_pricing":{{{hours}"input_cost_per_token":5e-7}}}}}}"#
        );
        read(json.as_bytes())
    };
    assert_eq!(
        rows(&off_peak(r#""hours_utc":"16:30-00:30","#).unwrap(), "deepseek", "d"),
        ["input 1", "off_peak_hours_1-7_00:00-00:30 0", "off_peak_hours_1-7_16:30-24:00 0", "off_peak_input 0.5"]
    );
    for hours in [r#""hours_utc":"night","#, ""] {
        assert!(matches!(off_peak(hours), Err(Error::NoRows { .. })), "{hours}");
    }
}

#[test]
fn what_is_not_tokens_becomes_rows_where_a_source_reports_it() {
    let import = read(SAMPLE).unwrap();
    assert_eq!(rows(&import, "openai", "whisper-9"), ["audio_second 100"]);
    assert_eq!(rows(&import, "cohere", "rerank-9"), ["input 0", "query 2500"], "a stated 0 is a price");
    assert_eq!(rows(&import, "mistral", "ocr-9"), ["page 2000"]);
    assert_eq!(
        rows(&import, "gemini", "gemini-9-live"),
        [
            "cache_read_audio 0.1",
            "google_maps_request 25000",
            "input 0.3",
            "input_audio 1",
            "input_video 0.6",
            "output 2.5"
        ]
    );
    let key = |key| reason(&import, key, "gemini/gemini-9-live").unwrap();
    assert!(key("output_cost_per_image_4K").contains("size"));
    assert!(key("output_image_each").contains("may be wrong"), "a rate that holds for some sizes is none");
    assert!(key("search_free_requests").contains("allowance"));
    assert_eq!(reason(&import, "annotation_cost_per_page", "mistral/ocr-9"), Some("no source reports the quantity"));
}

#[test]
fn models_that_would_get_a_wrong_price_are_left_out_with_the_reason() {
    let import = read(SAMPLE).unwrap();
    for (example, expected) in [
        ("acme/free", "every price is 0: a placeholder, or free"),
        ("acme/negative", NO_NUMBER),
        ("acme/new-band", UNKEPT),
        ("bedrock/us-east-1/1-month-commitment/anthropic.claude-9", "nothing of it has a price a sheet can hold"),
        ("deepseek-night", "another entry of the same provider and model is taken"),
        ("fallback", "it names no provider"),
        ("sample_spec", "a description of the format, not a model"),
    ] {
        assert_eq!(reason(&import, "model", example), Some(expected), "{example}");
    }
    assert!(import.book.rows().all(|row| row.provider != "acme"));
    let numbers = import.left_out.iter().find(|left| left.reason == NO_NUMBER).unwrap();
    assert_eq!(numbers.count, 2, "too fine, and negative");
    let products: BTreeSet<_> = import.book.rows().map(|row| (&row.provider, &row.model)).collect();
    assert_eq!(import.models, products.len());
}

#[test]
fn a_number_is_read_to_its_last_digit_or_refused() {
    for (text, places, expected) in [
        ("1.25e-05", 6, Some("12.5")),
        ("1.25E-5", 6, Some("12.5")),
        ("3", 0, Some("3")),
        ("0.0000001", 6, Some("0.1")),
        ("1e-14", 6, Some("0.00000001")),
        ("1.0e-14", 6, Some("0.00000001")),
        ("100e-16", 6, Some("0.00000001")),
        ("1e-15", 6, None),
        ("2.9999900000000002e-06", 6, None),
        ("0.0", 6, Some("0")),
        ("0e-99", 6, Some("0")),
        ("-1e-06", 6, None),
        ("1e999999999999", 6, None),
        ("abc", 6, None),
    ] {
        assert_eq!(shifted(text, places), expected.map(|text| Usd::parse(text).unwrap()), "{text}");
    }
}

#[test]
fn other_json_is_refused() {
    assert!(LiteLlm::recognise(b"\xef\xbb\xbf\n {"));
    assert!(!LiteLlm::recognise(b"provider,model"));
    assert!(matches!(read(b"{\"a\": 1}"), Err(Error::NotLiteLlm { .. })));
    assert!(matches!(read(b"{\"a\": "), Err(Error::NotLiteLlm { .. })));
    assert!(matches!(read(b"{}"), Err(Error::NoRows { .. })));
}
