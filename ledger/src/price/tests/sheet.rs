//! Price sheets: read, refused, laid over each other.

use super::*;

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
