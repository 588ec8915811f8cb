//! What holds for every sheet and every call.

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::*;

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
