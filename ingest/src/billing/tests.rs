//! Bills and reports as their providers write them.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float64Array, MapBuilder, RecordBatch, StringArray, StringBuilder, TimestampMillisecondArray,
};
use daybook_ledger::testing::at_every_call;
use daybook_ledger::{ChargeCategory, Instant, Ledger, Root, Usd};
use object_store::memory::InMemory;
use serde_json::Value;

use super::*;
use crate::source::file;

fn fixtures() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/events")
}

fn lines_of(input: &Input) -> Result<Vec<BillingLine>, Error> {
    let mut lines = Vec::new();
    read("bill", input, &mut |line| {
        lines.push(line);
        Ok(())
    })?;
    Ok(lines)
}

fn lines(text: &str) -> Vec<BillingLine> {
    lines_of(&bytes(text)).unwrap()
}

fn bytes(text: &str) -> Input {
    Input::Bytes(bytes::Bytes::copy_from_slice(text.as_bytes()))
}

fn usd(text: &str) -> Option<Usd> {
    Some(Usd::parse(text).unwrap())
}

/// A line in the words of the fixtures' truth.
fn field(line: &BillingLine, name: &str) -> Value {
    let tokens = &line.tokens;
    let amount = |amount: Option<Usd>| amount.map_or(Value::Null, |amount| amount.to_string().into());
    let instant = |instant: Instant| Value::from(instant.to_string().replace(".000000Z", "Z"));
    match name {
        "provider" => line.provider.clone().into(),
        "model" => line.reported_model.clone().into(),
        "operation" => line.report.as_str().into(),
        "status" => "success".into(),
        "input_tokens" => tokens.input.into(),
        "cached_read_tokens" => tokens.cache_read.into(),
        "cache_write_tokens" => tokens.cache_write.into(),
        "cache_write_5m_tokens" => tokens.cache_write_5m.into(),
        "cache_write_1h_tokens" => tokens.cache_write_1h.into(),
        "output_tokens" => tokens.output.into(),
        "reasoning_tokens" => tokens.reasoning.into(),
        "latency_ms" | "prompt_text" | "output_text" => Value::Null,
        "service_tier" => line.service_tier.clone().into(),
        "batch" => line.batch.into(),
        "model_requests" => line.requests.into(),
        "period_start" => instant(line.period_start),
        "period_end" => instant(line.period_end),
        "cost_usd" => amount(line.billed_cost.filter(|_| line.currency.as_deref() == Some("USD"))),
        "quantity" => amount(line.quantity),
        "quantity_unit" => line.quantity_unit.clone().into(),
        "line_item" => line.line_item.clone().into(),
        "billing_account" => line.billing_account.clone().into(),
        "web_search_requests" => {
            let count = line.meters.iter().find(|(name, _)| *name == "web_search_requests");
            count.map_or(Value::Null, |(_, count)| members::whole(*count).into())
        }
        other => panic!("the truth has a field `{other}` nobody compares"),
    }
}

fn same(expected: &Value, found: &Value, name: &str) -> bool {
    match (name, expected, found) {
        ("cost_usd" | "quantity", Value::String(one), Value::String(other)) => Usd::parse(one) == Usd::parse(other),
        _ => expected == found,
    }
}

#[test]
fn every_fixture_gives_its_truth() {
    let mut cases = 0;
    for source in Source::ALL {
        let folder = fixtures().join(source.as_str());
        let truth: Value = serde_json::from_slice(&std::fs::read(folder.join("expected.json")).unwrap()).unwrap();
        for (case, truth) in truth.as_object().unwrap() {
            let file = ["json", "csv"].map(|ending| folder.join(format!("{case}.{ending}")));
            let file = file.into_iter().find(|file| file.exists()).unwrap();
            let input = Input::Bytes(std::fs::read(file).unwrap().into());
            assert_eq!(recognise(case, &input).unwrap(), Some(*source), "{case}");
            let lines = lines_of(&input).unwrap();
            let records = truth["records"].as_array().unwrap();
            assert_eq!(lines.len(), records.len(), "{case}");
            for (line, record) in lines.iter().zip(records) {
                for (name, expected) in record.as_object().unwrap() {
                    let found = field(line, name);
                    assert!(same(expected, &found, name), "{case}: {name} is {found}, not {expected}");
                }
                assert_eq!(line.tokens.buckets().check, None, "{case}");
            }
            cases += 1;
        }
    }
    assert!(cases >= 12, "{cases}");
}

const OPENAI: &str = r#"{"object":"page","data":[{"object":"bucket","start_time":1795046400,"end_time":1795132800,"results":[RESULTS]}],"has_more":false,"next_page":null}"#;

fn openai(results: &str) -> String {
    OPENAI.replace("RESULTS", results)
}

#[test]
fn openai_counts_what_is_not_tokens_by_its_unit() {
    let results = [
        r#"{"object":"organization.usage.images.result","images":12,"num_model_requests":3,"size":"1024x1024","model":"gpt-image-2"}"#,
        r#"{"object":"organization.usage.audio_speeches.result","characters":4500,"num_model_requests":2}"#,
        r#"{"object":"organization.usage.audio_transcriptions.result","seconds":61.5,"num_model_requests":2}"#,
        r#"{"object":"organization.usage.vector_stores.result","usage_bytes":1073741824}"#,
        r#"{"object":"organization.usage.code_interpreter_sessions.result","num_sessions":4}"#,
        r#"{"object":"organization.usage.embeddings.result","input_tokens":900,"num_model_requests":9,"model":"text-embedding-3-small"}"#,
        r#"{"object":"organization.usage.web_searches.result","num_requests":7,"context_level":"medium"}"#,
    ];
    let lines = lines(&openai(&results.join(",")));
    let said: Vec<_> =
        lines.iter().map(|line| (line.service.as_deref().unwrap(), line.quantity, line.requests)).collect();
    assert_eq!(
        said,
        [
            ("images", usd("12"), Some(3)),
            ("audio_speeches", usd("4500"), Some(2)),
            ("audio_transcriptions", usd("61.5"), Some(2)),
            ("vector_stores", usd("1073741824"), None),
            ("code_interpreter_sessions", usd("4"), None),
            ("embeddings", None, Some(9)),
            ("web_searches", None, Some(7)),
        ]
    );
    assert_eq!(lines[0].dimensions, [("size".into(), "1024x1024".into())]);
    assert_eq!(lines[5].tokens.input, Some(900));
    assert_eq!(lines[6].meters, [("web_search_requests", Usd::parse("7").unwrap())]);
    assert_eq!(lines[0].shape.as_deref(), Some("1d by model,size,context_level"));
}

#[test]
fn openai_totals_that_contradict_their_parts_are_flagged() {
    let result = r#"{"object":"organization.usage.completions.result","input_tokens":100,"input_cached_tokens":40,"input_cache_write_tokens":0,"input_uncached_tokens":50,"output_tokens":5,"num_model_requests":1,"new_field":{"a":1}}"#;
    let line = lines(&openai(result)).remove(0);
    assert_eq!(line.tokens.buckets().check, Some("total_differs"));
    assert_eq!(line.extra.as_deref(), Some(r#"{"new_field":{"a":1}}"#));
}

#[test]
fn openai_audio_of_old_reports_is_not_counted_twice() {
    // Before the report told cached from uncached, its audio count held cached audio too.
    let result = r#"{"object":"organization.usage.completions.result","input_tokens":100,"input_cached_tokens":90,"input_audio_tokens":80,"output_tokens":5,"num_model_requests":1}"#;
    let line = lines(&openai(result)).remove(0);
    assert_eq!(line.tokens.input_audio, None);
    assert_eq!(line.extra.as_deref(), Some(r#"{"input_audio_tokens":80}"#));
}

#[test]
fn amounts_keep_every_digit_they_came_with() {
    let result = r#"{"object":"organization.costs.result","amount":{"value":0.06000000000001,"currency":"eur"},"line_item":null}"#;
    let line = lines(&openai(result)).remove(0);
    assert_eq!((line.billed_cost, line.currency.as_deref()), (usd("0.06000000000001"), Some("EUR")));
    let cents = |amount: &str, currency: &str| {
        let page = format!(
            r#"{{"data":[{{"starting_at":"2026-11-19T00:00:00Z","ending_at":"2026-11-20T00:00:00Z","results":[{{"amount":{amount},"currency":"{currency}","cost_type":"tokens","description":"Claude Haiku 4.5 Usage - Output Tokens"}}]}}],"has_more":false}}"#
        );
        lines(&page).remove(0)
    };
    assert_eq!(cents("\"143.2075\"", "USD").billed_cost, usd("1.432075"));
    assert_eq!(cents("\"0.0000000001\"", "USD").billed_cost, usd("0.000000000001"));
    assert_eq!(cents("143", "USD").billed_cost, usd("1.43"));
    assert_eq!(cents("\"143\"", "JPY").billed_cost, usd("143"));
    let line = cents("\"-50\"", "USD");
    assert_eq!((line.billed_cost, line.charge_category), (usd("-0.5"), ChargeCategory::Credit));
    assert_eq!((line.model.as_deref(), line.meter), (Some("claude-haiku-4-5"), Some("output")));
}

#[test]
fn anthropic_writes_of_a_lifetime_nobody_knew_are_still_writes() {
    let page = r#"{"data":[{"starting_at":"2026-11-19T00:00:00Z","ending_at":"2026-11-20T00:00:00Z","results":[{"uncached_input_tokens":10,"cache_creation":{"ephemeral_5m_input_tokens":1,"ephemeral_1h_input_tokens":2,"ephemeral_24h_input_tokens":4},"cache_read_input_tokens":100,"output_tokens":5,"server_tool_use":{"web_search_requests":0,"new_tool_requests":3}}]}],"has_more":false}"#;
    let line = lines(page).remove(0);
    assert_eq!((line.tokens.input, line.tokens.cache_write), (Some(117), Some(7)));
    assert_eq!(line.tokens.buckets().cache_write_unstated, Some(4));
    assert_eq!(line.extra.as_deref(), Some(r#"{"server_tool_use.new_tool_requests":3}"#));
}

const CUR: &str = "line_item_line_item_type,line_item_usage_start_date,line_item_usage_end_date,line_item_product_code,line_item_usage_type,line_item_usage_amount,line_item_unblended_cost,line_item_currency_code,pricing_unit,line_item_line_item_description,some_column\n";

fn cur(rows: &[&str]) -> String {
    let start = "2026-11-19T00:00:00.000Z,2026-11-19T01:00:00.000Z";
    rows.iter().fold(CUR.to_owned(), |text, row| text + &row.replace("TIME", start) + "\n")
}

#[test]
fn lines_about_other_services_are_counted_and_left_out() {
    let text = cur(&[
        "Usage,TIME,AmazonEC2,USE1-BoxUsage:t3.micro,1,0.01,USD,Hrs,,",
        "Usage,TIME,abc123marketplace,USE1-MP:USE1_InputTokenCount-Units,2,6,USD,Units,Claude Opus 5 (Amazon Bedrock Edition) | Million Input Tokens,x",
        "SavingsPlanNegation,TIME,AmazonBedrock,USE1-NovaPro-input-tokens,1,-1,USD,1K tokens,,",
        "EdpDiscount,TIME,AmazonBedrock,USE1-NovaPro-input-tokens,0,-0.1,USD,1K tokens,,",
        "Fee,TIME,AmazonBedrock,USE1-ProvisionedThroughput-NovaPro,1,500,USD,Hrs,,",
    ]);
    let mut found = Vec::new();
    let held = read("bill", &bytes(&text), &mut |line| {
        found.push(line);
        Ok(())
    });
    assert_eq!(held.unwrap(), Held { source: Source::AwsCur, lines: 4, others: 1 });
    assert_eq!(found[0].model.as_deref(), Some("claude-opus-5"));
    assert_eq!((found[0].meter, found[0].metered_tokens), (Some("input"), Some(2_000_000)));
    assert_eq!(found[0].extra.as_deref(), Some(r#"{"some_column":"x"}"#));
    let categories: Vec<_> = found.iter().map(|line| line.charge_category.as_str()).collect();
    assert_eq!(categories, ["usage", "adjustment", "credit", "purchase"]);
    assert_eq!(found[1].tokens.input, None, "only usage lines count tokens");
}

#[test]
fn the_older_spelling_of_the_report_is_the_same_report() {
    let new = cur(&["Usage,TIME,AmazonBedrock,USE1-NovaPro-output-tokens,3,0.0096,USD,1K tokens,,"]);
    let old = new
        .replace("line_item_line_item_description", "lineItem/LineItemDescription")
        .replace("line_item_line_item_type", "lineItem/LineItemType")
        .replace("line_item_usage_type", "lineItem/UsageType")
        .replace("line_item_unblended_cost", "lineItem/UnblendedCost");
    let (new, old) = (lines(&new).remove(0), lines(&old).remove(0));
    assert_eq!(new.line_id(), old.line_id());
    assert_eq!(new.entry_id(new.line_id()), old.entry_id(old.line_id()));
}

#[test]
fn a_line_stated_twice_in_a_bill_is_two_lines() {
    let row = "Usage,TIME,AmazonBedrock,USE1-NovaPro-output-tokens,3,0.0096,USD,1K tokens,,";
    let twice = lines(&cur(&[row, row]));
    assert_eq!(twice.iter().map(|line| line.occurrence).collect::<Vec<_>>(), [1, 2]);
    assert_ne!(twice[0].line_id(), twice[1].line_id());
}

#[test]
fn focus_rows_of_any_biller_and_currency_are_read() {
    let header = "ProviderName,ServiceName,ServiceCategory,ChargeCategory,ChargeClass,ChargePeriodStart,ChargePeriodEnd,BilledCost,BillingCurrency,ConsumedQuantity,ConsumedUnit,PricingQuantity,PricingUnit,SkuMeter,ChargeDescription,x_Own";
    let row = |row: &str| format!("{header}\n{}\n", row.replace("DAY", "2026-11-19T00:00:00Z,2026-11-20T00:00:00Z"));
    let one = |text: &str| lines(&row(text)).pop();
    let line = one("Google Cloud,Vertex AI,AI and Machine Learning,Usage,,DAY,1.50,EUR,2000000,tokens,2,1M tokens,Gemini 2.5 Flash GA Text Input - Predictions,,1").unwrap();
    assert_eq!((line.provider.as_str(), line.currency.as_deref()), ("vertex_ai", Some("EUR")));
    assert_eq!(
        (line.model.as_deref(), line.meter, line.metered_tokens),
        (Some("gemini-2.5-flash"), Some("input"), Some(2_000_000))
    );
    assert_eq!(
        line.extra.as_deref(),
        Some(
            r#"{"ServiceCategory":"AI and Machine Learning","PricingQuantity":"2","PricingUnit":"1M tokens","x_Own":"1"}"#
        )
    );
    // The unit of what was consumed says nothing; that of what is priced does.
    let line = one("Microsoft,Azure OpenAI,AI and Machine Learning,Usage,,DAY,2,USD,800,Units,800,1K Tokens,gpt 4o 1120 Outp glbl,,").unwrap();
    assert_eq!((line.metered_tokens, line.meter), (Some(800_000), Some("output")));
    let line = one("OpenAI,API,Other,Purchase,,DAY,1000,USD,,,,,,Prepaid credits,").unwrap();
    assert_eq!((line.provider.as_str(), line.line_item.as_deref()), ("openai", Some("Purchase")));
    assert_eq!(
        one("AWS,Amazon SageMaker,AI and Machine Learning,Usage,,DAY,1,USD,1,Hrs,1,Hrs,ml.g5,,").unwrap().provider,
        "aws"
    );
    assert!(one("AWS,Amazon EC2,Compute,Usage,,DAY,1,USD,1,Hrs,1,Hrs,BoxUsage,,").is_none());
}

#[test]
fn parquet_says_what_csv_says() {
    let start = Instant::parse("2026-11-19T00:00:00Z").unwrap().micros() / 1_000;
    let text = |value: &str| Arc::new(StringArray::from(vec![value])) as ArrayRef;
    let number = |value: f64| Arc::new(Float64Array::from(vec![value])) as ArrayRef;
    let time = |value: i64| Arc::new(TimestampMillisecondArray::from(vec![value])) as ArrayRef;
    let mut tags = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    tags.keys().append_value("team");
    tags.values().append_value("claims");
    tags.append(true).unwrap();
    let batch = RecordBatch::try_from_iter([
        ("line_item_line_item_type", text("Usage")),
        ("line_item_usage_start_date", time(start)),
        ("line_item_usage_end_date", time(start + 3_600_000)),
        ("line_item_product_code", text("AmazonBedrock")),
        ("line_item_usage_type", text("USE1-NovaPro-input-tokens")),
        ("line_item_usage_amount", number(1200.5)),
        ("line_item_unblended_cost", number(0.00000096)),
        ("line_item_currency_code", text("USD")),
        ("pricing_unit", text("1K tokens")),
        ("resource_tags", Arc::new(tags.finish()) as ArrayRef),
    ]);
    let batch = batch.unwrap();
    let mut file = Vec::new();
    let mut writer = parquet::arrow::ArrowWriter::try_new(&mut file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let line = lines_of(&Input::Bytes(file.into())).unwrap().remove(0);
    let csv = cur(&["Usage,TIME,AmazonBedrock,USE1-NovaPro-input-tokens,1200.5,0.00000096,USD,1K tokens,,"]);
    let same = lines(&csv).remove(0);
    assert_eq!(line.line_id(), same.line_id());
    assert_eq!((line.billed_cost, line.tokens), (usd("0.00000096"), same.tokens));
    assert_eq!(line.tags, [("team".into(), "claims".into())]);
}

#[test]
fn what_cannot_be_read_is_refused_with_its_place() {
    use daybook_ledger::Report as _;
    let refused = |text: &str, code: &str, message: &str| {
        let error = lines_of(&bytes(text)).unwrap_err();
        assert_eq!((error.code(), error.to_string().as_str()), (code, message), "{text}");
        assert!(error.hint().is_some());
    };
    refused("", "BILLING-001", "bill is no bill or usage report Daybook knows; it begins with nothing");
    refused(
        "{\"a\":1}",
        "BILLING-001",
        "bill is no bill or usage report Daybook knows; it begins with \"{\\\"a\\\":1}\"",
    );
    refused(
        &CUR.replace("line_item_currency_code,", ""),
        "BILLING-003",
        "bill has no column `line_item_currency_code`, without which a line of aws-cur has no meaning",
    );
    refused(
        &cur(&["Usage,TIME,AmazonBedrock,USE1-NovaPro-input-tokens,1,free,USD,1K tokens,,"]),
        "BILLING-004",
        "bill:2: `line_item_unblended_cost` is `free`, not a decimal number",
    );
    refused(
        &openai(r#"{"object":"organization.usage.completions.result","input_tokens":"many"}"#),
        "BILLING-004",
        "bill:1: `data[0].results[0].input_tokens` is `many`, not a whole number that is not negative",
    );
    refused(
        &openai(r#"{"object":"organization.costs.result","line_item":"x"}"#),
        "BILLING-004",
        "bill:1: `data[0].results[0].amount` is missing; it has to be an object",
    );
    let short = format!("{CUR}Usage,2026-11-19\n");
    let error = lines_of(&bytes(&short)).unwrap_err();
    assert_eq!(error.code(), "BILLING-002", "{error}");
}

async fn importer(ledger: &Ledger, at: i64) -> Importer {
    Importer::open(ledger.clone(), Instant::from_micros(1_795_200_000_000_000 + at)).await.unwrap()
}

async fn import(ledger: &Ledger, at: i64, text: &str) -> Imported {
    importer(ledger, at).await.import("bill", &bytes(text)).await.unwrap().1
}

async fn rows(ledger: &Ledger) -> u64 {
    ledger.billing().load(None).await.unwrap().files().iter().map(|file| file.rows).sum()
}

fn usage_of(input: i64) -> String {
    openai(&format!(
        r#"{{"object":"organization.usage.completions.result","model":"gpt-5","input_tokens":{input},"output_tokens":1,"num_model_requests":1}}"#
    ))
}

#[tokio::test]
async fn importing_again_adds_nothing_and_newer_numbers_replace() {
    let ledger = Ledger::create_at(Root::memory()).await.unwrap();
    let counts = |lines, added, replaced, unchanged, outdated| Imported {
        lines,
        others: 0,
        added,
        replaced,
        unchanged,
        outdated,
    };
    assert_eq!(import(&ledger, 0, &usage_of(10)).await, counts(1, 1, 0, 0, 0));
    assert_eq!(import(&ledger, 1, &usage_of(10)).await, counts(1, 0, 0, 1, 0));
    assert_eq!(import(&ledger, 2, &usage_of(11)).await, counts(1, 0, 1, 0, 0));
    assert_eq!(import(&ledger, 4, &usage_of(11)).await, counts(1, 0, 0, 1, 0));
    let both = format!("{}\n{}", usage_of(11), usage_of(12));
    assert_eq!(
        import(&ledger, 5, &both).await,
        counts(2, 0, 1, 1, 0),
        "a bucket polled twice in one file is one bucket"
    );
    assert_eq!(rows(&ledger).await, 3);
}

/// `text` as a file that was written at `at`.
fn written(dir: &std::path::Path, at: i64, text: &str) -> Input {
    let path = dir.join(at.to_string());
    std::fs::write(&path, text).unwrap();
    let input = file::Input {
        name: "bill".into(),
        size: text.len() as u64,
        modified: Some(Instant::from_micros(1_795_200_000_000_000 + at)),
        origin: file::Origin::File(path),
    };
    Input::Stored(input, tokio::runtime::Handle::current())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_that_come_back_stand_again_and_those_of_an_older_copy_do_not() {
    let (ledger, dir) = (Ledger::create_at(Root::memory()).await.unwrap(), tempfile::tempdir().unwrap());
    let files = [(5, 10), (15, 11), (35, 10)].map(|(at, tokens)| written(dir.path(), at, &usage_of(tokens)));
    let [first, second, back] = &files;
    for (at, file, expected) in [
        (10, first, "added"),
        (20, second, "replaced"),
        (30, first, "outdated"),
        (40, back, "replaced"),
        (50, back, "unchanged"),
        (60, first, "unchanged"),
        (70, second, "outdated"),
    ] {
        let (_, counts) = importer(&ledger, at).await.import("bill", file).await.unwrap();
        let Imported { added, replaced, unchanged, outdated, .. } = counts;
        let counts = [("added", added), ("replaced", replaced), ("unchanged", unchanged), ("outdated", outdated)];
        assert!(counts.iter().all(|(name, count)| *count == u64::from(*name == expected)), "at {at}: {counts:?}");
    }
    assert_eq!(rows(&ledger).await, 3);

    let ledger = Ledger::create_at(Root::memory()).await.unwrap();
    for run in [100, 200] {
        let mut importer = importer(&ledger, run).await;
        for file in &files {
            importer.import("bill", file).await.unwrap();
        }
        assert_eq!(
            rows(&ledger).await,
            3,
            "of the files of one import the last holds, and the same import adds nothing"
        );
    }
    let (_, counts) = importer(&ledger, 300).await.import("bill", back).await.unwrap();
    assert_eq!(counts.unchanged, 1, "the last of them stands");
}

#[tokio::test]
async fn reports_of_two_accounts_are_different_lines() {
    let ledger = Ledger::create_at(Root::memory()).await.unwrap();
    for (at, account) in [(0, None), (1, Some("research")), (2, Some("shop")), (3, Some("shop"))] {
        let mut importer = importer(&ledger, at).await.for_account(account.map(String::from));
        importer.import("bill", &bytes(&usage_of(10))).await.unwrap();
    }
    assert_eq!(rows(&ledger).await, 3);
}

#[tokio::test]
async fn two_imports_at_once_add_each_line_once() {
    let ledger = Ledger::create_at(Root::memory()).await.unwrap();
    let row = |n: usize| format!("Usage,TIME,AmazonBedrock,USE1-NovaPro-output-tokens,{n},0.1,USD,1K tokens,line {n},");
    let all: Vec<String> = (0..40).map(row).collect();
    let texts: Vec<String> =
        (0..4).map(|at| cur(&all.iter().skip(at * 5).map(String::as_str).collect::<Vec<_>>())).collect();
    let imports = (0..4).zip(&texts).map(|(at, text)| import(&ledger, at, text));
    let imported = futures::future::join_all(imports).await;
    assert_eq!(imported.iter().map(|counts| counts.added).sum::<u64>(), 40, "{imported:?}");
    assert_eq!(rows(&ledger).await, 40);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_of_bills_under_a_fault_at_every_call_and_run_again_adds_each_line_once() {
    let memory = Arc::new(InMemory::new());
    let ledger = Ledger::create_at(Root { store: Arc::clone(&memory) as _, ..Root::memory() }).await.unwrap();
    import(&ledger, 0, &usage_of(10)).await;
    let base = memory.fork();
    let checked = at_every_call(
        &base,
        async |store| {
            let importing = async {
                let ledger = Ledger::create_at(store.root()).await.ok()?;
                let mut importer = Importer::open(ledger, Instant::from_micros(1_795_200_000_000_001)).await.ok()?;
                importer.import("bill", &bytes(&usage_of(11))).await.ok()
            };
            tokio::select! { _ = importing => {}, () = store.death() => {} }
        },
        async |ledger, struck| {
            let again = import(&ledger, 2, &usage_of(11)).await;
            assert_eq!((again.replaced + again.unchanged, again.added), (1, 0), "{struck:?}");
            assert_eq!(rows(&ledger).await, 2, "{struck:?}");
        },
    );
    Box::pin(checked).await;
}

#[tokio::test]
async fn a_file_with_one_bad_line_leaves_no_trace() {
    let ledger = Ledger::create_at(Root::memory()).await.unwrap();
    let good = "Usage,TIME,AmazonBedrock,USE1-NovaPro-output-tokens,1,0.1,USD,1K tokens,,";
    let bad = "Usage,TIME,AmazonBedrock,USE1-NovaPro-output-tokens,1,,USD,1K tokens,,";
    assert!(importer(&ledger, 0).await.import("bill", &bytes(&cur(&[good, bad]))).await.is_err());
    assert_eq!(rows(&ledger).await, 0);
}
