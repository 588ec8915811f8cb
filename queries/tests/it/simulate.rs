//! Scenarios over recorded calls, held against the example of docs/simulation.md and against pricing call by call.

use std::path::Path;
use std::sync::Arc;

use daybook_ledger::price::{Book, Call, PricesOf};
use daybook_ledger::testing::{append, call};
use daybook_ledger::{Date, Entry, Feature, Instant, Ledger, Report as _, Tokens, Usd};
use daybook_queries::registry::{File, Registry};
use daybook_queries::report::{Section, render_sections};
use daybook_queries::simulate::{
    EXAMPLE, Priced, Project, Range, Scenario, Scenarios, SimulateOptions, Window, sections, simulate,
};
use daybook_queries::{Drawing, Error, Format, RegistryChoice, Session, SessionOptions, render};
use serde_json::Value;

use crate::{fixture, portfolio};

const SHEET: &str = "provider,model,effective_from,effective_to,unit,usd_per_million,source\n";

fn usd(text: &str) -> Usd {
    Usd::parse(text).unwrap()
}

fn day(text: &str) -> PricesOf {
    PricesOf::Day(Date::parse(text).unwrap())
}

fn registry(files: &[(&str, &str)]) -> Registry {
    let file = |(name, text): &(&str, &str)| File { name: (*name).into(), text: (*text).into() };
    Registry::read("", files.iter().map(file).collect()).unwrap()
}

async fn open(ledger: &Ledger, registry: Registry) -> Session {
    let registry = RegistryChoice::Given(Arc::new(registry));
    Session::open(ledger, SessionOptions { registry, ..fixture::options() }).await.unwrap()
}

/// Every scenario at the same prices, over everything.
async fn play(session: &Session, book: Book, scenarios: Scenarios) -> Result<Vec<Section>, Error> {
    let prices_of = scenarios.prices_of.unwrap_or(day("2026-11-20"));
    let options = SimulateOptions { window: Window::default(), prices_of, growth: scenarios.growth };
    let book = Arc::new(book);
    let priced = |scenario| Priced { scenario, book: Arc::clone(&book) };
    let scenarios: Vec<_> = scenarios.scenarios.into_iter().map(priced).collect();
    simulate(session, &book, &scenarios, &options).await
}

async fn text(session: &Session, sections: &[Section], format: Format) -> String {
    let mut out = Vec::new();
    render_sections(session, sections, format, &mut out).await.unwrap();
    String::from_utf8(out).unwrap()
}

async fn json(session: &Session, sections: &[Section]) -> Value {
    serde_json::from_str(&text(session, sections, Format::Json).await).unwrap()
}

/// The row of `table` whose `column` is `value`.
fn row<'v>(report: &'v Value, table: &str, column: &str, value: &str) -> &'v Value {
    let rows = report[table].as_array().unwrap();
    let found = rows.iter().find(|row| row[column] == value);
    found.ok_or_else(|| format!("{table} has no {column} {value}: {rows:?}")).unwrap()
}

fn cells(row: &Value, columns: &[&str]) -> Vec<String> {
    columns.iter().map(|column| row[*column].to_string().trim_matches('"').to_owned()).collect()
}

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/simulation.md");

/// The fenced blocks of the example, by language.
fn blocks(docs: &str, language: &str) -> Vec<String> {
    let example = docs.split_once("## An example").unwrap().1;
    let fence = format!("```{language}\n");
    example.split(&fence).skip(1).map(|block| block.split_once("```").unwrap().0.to_owned()).collect()
}

async fn documented() -> (Session, Vec<Section>) {
    let docs = std::fs::read_to_string(DOCS).unwrap();
    let [sheet, calls] = <[String; 2]>::try_from(blocks(&docs, "csv")).unwrap();
    let ledger = fixture::empty().await;
    let mut teams = std::collections::BTreeSet::new();
    for (number, line) in calls.lines().skip(1).enumerate() {
        let fields: Vec<&str> = line.split(',').collect();
        let count = |at: usize| fields[at].parse::<i64>().unwrap();
        let ids: Vec<String> = (0..count(0)).map(|at| format!("{number}-{at}")).collect();
        let entries = ids.iter().map(|id| {
            let tokens = (count(4), count(6));
            let mut entry = call(id, fields[2], fields[3], fields[1], "2026-11-20T09:00:00Z", tokens);
            entry.tokens.cache_read = Some(count(5)).filter(|cached| *cached > 0);
            let feature = Feature::ALL.iter().find(|feature| feature.as_str() == fields[7]);
            feature.into_iter().for_each(|feature| entry.features.insert(*feature));
            (entry, None)
        });
        append(&ledger, &format!("b{number}"), &entries.collect::<Vec<_>>()).await;
        teams.insert(fields[1]);
    }
    let workload = |team: &&str| format!("[[workload]]\nname = '{team}'\n[[workload.rule]]\nteam = '{team}'\n");
    let workloads: String = teams.iter().map(workload).collect();
    let models = "[[model]]\nmatch = 'model'\nproviders = 'other'\nfamily = 'm'\ncontext_tokens_max = 256000\n";
    let session = open(&ledger, registry(&[("workloads.toml", &workloads), ("models.toml", models)])).await;
    let book = Book::read_csv(sheet.as_bytes(), "docs").unwrap();
    let scenarios = Scenarios::read("docs", &blocks(&docs, "toml")[0]).unwrap();
    let sections = play(&session, book, scenarios).await.unwrap();
    (session, sections)
}

/// What the documentation shows of a table.
fn shown(name: &str) -> String {
    let sql = |select: &str| format!("SELECT {select}");
    match name {
        "scenarios" => {
            sql("scenario, calls, base, low, middle, high, left_out_calls, left_out_base FROM simulated_scenarios")
        }
        "drivers" => sql("part, driver, at_low, at_middle, at_high, low_change, high_change \
                          FROM simulated_drivers WHERE scenario = 'move'"),
        "left_out" => sql("scenario, reason, detail, workload, model, calls, base FROM simulated_left_out"),
        _ => sql("volume, low, middle, high, once_middle, first_year_middle FROM simulated_matrix \
                  WHERE scenario = 'move'"),
    }
}

#[tokio::test]
async fn the_example_of_the_documentation_is_what_is_computed() {
    let (session, _) = documented().await;
    let mut docs = std::fs::read_to_string(DOCS).unwrap();
    for name in ["scenarios", "drivers", "left_out", "matrix"] {
        let (rows, mut table) = (session.run(&shown(name)).await.unwrap(), Vec::new());
        render(rows, Format::Markdown, Drawing::default(), &mut table).await.unwrap();
        let table = String::from_utf8(table).unwrap();
        let table = table.trim_end();
        let mark = format!("<!-- {name} -->\n");
        let (before, rest) = docs.split_once(&mark).unwrap();
        let after = rest.split_once("<!-- end -->").unwrap().1;
        docs = format!("{before}{mark}{table}\n<!-- end -->{after}");
    }
    if std::env::var_os("DAYBOOK_WRITE_DOCS").is_some() {
        std::fs::write(DOCS, &docs).unwrap();
    }
    assert_eq!(std::fs::read_to_string(DOCS).unwrap(), docs, "run with DAYBOOK_WRITE_DOCS=1");
}

#[tokio::test]
async fn each_kind_costs_what_is_computed_by_hand() {
    let (session, sections) = documented().await;
    let report = json(&session, &sections).await;
    let columns = ["calls", "base", "low", "middle", "high", "left_out_calls", "left_out_base"];
    for (name, expected) in [
        ("base", ["147", "8.0625", "8.0625", "8.0625", "8.0625", "3", "null"]),
        ("move", ["100", "2.34", "1.44", "2.2", "3.36", "7", "3.2025"]),
        ("dearer answers", ["107", "5.5425", "5.71125", "5.88", "6.38625", "0", "null"]),
        ("a quarter", ["102", "5.52", "4.956", "4.956", "4.956", "5", "0.0225"]),
        ("all at other", ["102", "5.52", "3.264", "3.264", "3.264", "48", "2.5425"]),
        ("our own", ["40", "2.52", "48", "60", "96", "0", "null"]),
    ] {
        let found = cells(row(&report, "scenarios", "scenario", name), &columns);
        let plain = found.iter().map(|cell| match cell.contains('.') {
            true => cell.trim_end_matches('0').trim_end_matches('.'),
            false => cell,
        });
        assert_eq!(plain.collect::<Vec<_>>(), expected, "{name}");
    }
    let driver = |name: &str| {
        let rows = report["drivers"].as_array().unwrap();
        let of_move = rows.iter().find(|row| row["scenario"] == "move" && row["driver"] == name).unwrap();
        cells(of_move, &["low_change", "high_change"])
    };
    assert_eq!(driver("tokens_ratio"), ["-0.220000000000", "0.440000000000"]);
    assert_eq!(driver("cache_hits_lost"), ["-0.600000000000", "0.600000000000"]);
    assert_eq!(driver("together"), ["0.060000000000", "0.120000000000"]);
    // (2.2 + 3.18 + 0.0225 + 2.52) x 30.4375; 20 x 800 + 2 x 2.34 x 30.4375.
    let matrix = report["matrix"].as_array().unwrap();
    let of_move = matrix.iter().find(|row| row["scenario"] == "move" && row["volume"] == "middle").unwrap();
    let found = cells(of_move, &["calls_a_month", "middle", "once_middle", "first_year_middle"]);
    assert_eq!(found, ["4474", "241.141093750000", "16142.447500000000", "19036.140625000000"]);
    // One GPU of 730.5 hours; at twice the volume it is still idle most of the time.
    let hosted = matrix.iter().filter(|row| row["scenario"] == "our own").map(|row| row["high"].as_str().unwrap());
    assert_eq!(hosted.collect::<Vec<_>>(), ["3006.349921875000", "3090.699843750000", "3259.399687500000"]);
}

/// Calls of every length around a band and a window, in two tiers, over days on which prices change.
fn varied(at: usize) -> Entry<'static> {
    let id: &'static str = Box::leak(format!("v{at}").into_boxed_str());
    let (day, number) = (16 + at % 4, i64::try_from(at).unwrap());
    let input = [0, 1, 7_500, 99_999, 100_000, 100_001, 199_999, 200_000, 200_001, 310_000][at % 10] + 3 * number;
    let model = ["a", "b"][at % 2];
    let mut entry = call(id, "acme", model, "t", &format!("2026-11-{day}T{:02}:30:00Z", at % 24), (input, 11 * number));
    entry.tokens.cache_read = Some(input / 3).filter(|_| at.is_multiple_of(3));
    entry.service_tier = at.is_multiple_of(5).then(|| "batch".into());
    entry
}

const VARIED: &str = "acme,a,2026-01-01,2026-11-18,input,2.5,s
acme,a,2026-11-18,,input,2.25,s
acme,a,2026-01-01,,output,10,s
acme,a,2026-01-01,,cache_read,0.25,s
acme,a,2026-01-01,,input_above_200k,5,s
acme,a,2026-01-01,,output_above_200k,15,s
acme,a,2026-01-01,,batch_input,1.25,s
acme,a,2026-01-01,,batch_output,5,s
acme,b,2026-01-01,,input,0.5,s
acme,b,2026-01-01,,output,1.5,s
acme,b,2026-01-01,,off_peak_input,0.25,s
acme,b,2026-01-01,,off_peak_output,0.75,s
acme,b,2026-01-01,,off_peak_hours_1-5_16:30-24:00,0,s
acme,b,2026-01-01,,batch_input,0.25,s
acme,b,2026-01-01,,batch_output,0.75,s
acme,b,2026-01-01,,request,5000,s
other,c,2026-01-01,,input,1,s
other,c,2026-01-01,,output,4,s
other,c,2026-01-01,,input_above_200k,2,s
other,c,2026-01-01,,output_above_200k,6,s
other,c,2026-01-01,,batch_input,0.5,s
other,c,2026-01-01,,batch_output,2,s
other,c,2026-01-01,,request,1000,s
";

fn price(book: &Book, entry: &Entry<'_>) -> Option<Usd> {
    let (buckets, at) = (entry.tokens.buckets(), entry.started_at.unwrap());
    book.price(&Call::of(entry, &buckets, at)).list_cost
}

/// 600 calls with the costs of their day, in three batches.
async fn varied_ledger(book: &Book) -> Ledger {
    let ledger = fixture::empty().await;
    for batch in 0..3 {
        let entries: Vec<_> = (0..200).map(|at| varied(batch * 200 + at)).collect();
        let costs: Vec<_> = entries.iter().map(|entry| price(book, entry)).collect();
        let priced: Vec<_> = entries.into_iter().zip(costs).collect();
        append(&ledger, &format!("b{batch}"), &priced).await;
    }
    ledger
}

#[tokio::test]
async fn a_replay_at_the_prices_of_each_day_is_what_was_recorded_to_the_last_digit() {
    let book = || Book::read_csv(format!("{SHEET}{VARIED}").as_bytes(), "test").unwrap();
    let session = open(&varied_ledger(&book()).await, Registry::builtin().unwrap()).await;
    let scenarios = Scenarios { prices_of: Some(PricesOf::TheCall), ..Scenarios::none() };
    let sections = play(&session, book(), scenarios).await.unwrap();
    let report = json(&session, &sections).await;
    let traffic = &report["traffic"][0];
    assert_eq!(cells(traffic, &["calls", "unpriced_calls", "days"]), ["600", "0", "4"]);
    assert_eq!(traffic["base"], traffic["recorded_cost"]);
}

#[tokio::test]
async fn a_move_costs_what_the_moved_calls_cost_one_by_one() {
    let book = || Book::read_csv(format!("{SHEET}{VARIED}").as_bytes(), "test").unwrap();
    let models = "[[model]]\nmatch = 'c'\nfamily = 'c'\ncontext_tokens_max = 599999\noutput_tokens_max = 12000\n";
    let session = open(&varied_ledger(&book()).await, registry(&[("models.toml", models)])).await;
    let scenarios = "[[scenario]]\nname = 'm'\nkind = 'transfer'\nto = { provider = 'other', model = 'c' }\n\
                     tokens_ratio = { low = 1, middle = 2, high = 3 }\noutput_ratio = 1\ncache_hits_lost = 1\n";
    let sections = play(&session, book(), Scenarios::read("s", scenarios).unwrap()).await.unwrap();
    let report = json(&session, &sections).await;
    let (book, mut expected, mut moved, mut base) = (book(), [Usd::ZERO; 3], 0, Usd::ZERO);
    for at in 0..600 {
        let entry = varied(at);
        let Tokens { input: Some(input), output: Some(output), .. } = entry.tokens else { panic!("no counts") };
        if input * 3 > 599_999 || output * 3 > 12_000 {
            continue;
        }
        let mut today = entry.clone();
        // The prices of the 20th, a Friday as 16 to 19 are working days too, at the hour of the call.
        let seconds = entry.started_at.unwrap().micros() % 86_400_000_000;
        let midnight = Instant::parse("2026-11-20T00:00:00Z").unwrap().micros();
        today.started_at = Some(Instant::from_micros(midnight + seconds));
        let there = |ratio: i64| {
            let mut there = today.clone();
            (there.provider, there.response_model) = (Some("other".into()), Some("c".into()));
            there.tokens = Tokens { input: Some(input * ratio), output: Some(output * ratio), ..Tokens::default() };
            price(&book, &there)
        };
        // A batch beyond 200,000 tokens has no price there.
        let [Some(low), Some(middle), Some(high)] = [1, 2, 3].map(there) else { continue };
        moved += 1;
        base = base + price(&book, &today).unwrap();
        expected = [expected[0] + low, expected[1] + middle, expected[2] + high];
    }
    assert!((100..600).contains(&moved), "both kinds are there: {moved}");
    let expected = [moved.to_string(), base.to_string()].into_iter().chain(expected.iter().map(Usd::to_string));
    let found = cells(row(&report, "scenarios", "scenario", "m"), &["calls", "base", "low", "middle", "high"]);
    assert_eq!(found, expected.collect::<Vec<_>>());
    let reasons: Vec<_> = report["left_out"].as_array().unwrap().iter().map(|row| row["reason"].clone()).collect();
    for reason in ["input_limit", "output_limit", "unpriced_there"] {
        assert!(reasons.contains(&reason.into()), "{reasons:?}");
    }
}

#[tokio::test]
async fn while_both_vendors_are_paid_only_what_moves_is_paid_twice() {
    let book = || Book::read_csv(format!("{SHEET}{VARIED}").as_bytes(), "test").unwrap();
    let session = open(&varied_ledger(&book()).await, Registry::builtin().unwrap()).await;
    let to = "to = { provider = 'other', model = 'c' }\ndual_running_months = 2\n";
    let scenarios = format!(
        "[[scenario]]\nname = 'all'\nkind = 'transfer'\n{to}[[scenario]]\nname = 'part'\nkind = 'dual_vendor'\nshare = 0.25\n{to}"
    );
    let sections = play(&session, book(), Scenarios::read("s", &scenarios).unwrap()).await.unwrap();
    let report = json(&session, &sections).await;
    let once = |scenario| usd(report_cell(&report, scenario)).pico();
    assert!(once("all") > 0 && (once("all") - 4 * once("part")).abs() < 100, "{}", report["matrix"]);
}

fn report_cell<'v>(report: &'v Value, scenario: &str) -> &'v str {
    row(report, "matrix", "scenario", scenario)["once_middle"].as_str().unwrap()
}

#[tokio::test]
async fn a_move_of_the_planted_company_names_what_stays_and_what_it_takes() {
    let session = open(&portfolio::ledger().await, portfolio::registry()).await;
    let text = "[[scenario]]\nname = 'm'\nkind = 'transfer'\nproviders = 'openai'\n\
                to = { provider = 'mistral', model = 'mistral-small-2603' }\nday_rate_usd = 1000\n";
    let scenarios = Scenarios::read("s", text).unwrap();
    let sections = play(&session, Book::default_sheet().unwrap(), scenarios).await.unwrap();
    let report = json(&session, &sections).await;
    let left_out: Vec<_> = report["left_out"].as_array().unwrap().iter().filter(|row| row["scenario"] == "m").collect();
    let left_out: Vec<_> = left_out.iter().map(|row| cells(row, &["reason", "detail", "workload", "calls"])).collect();
    assert_eq!(
        left_out,
        [
            ["unpriced_today", "unknown_model", "tuned", "4"],
            ["operation", "embeddings", "index", "5"],
            ["feature", "hosted_state", "threads", "3"],
        ]
    );
    // 18 of chat, 200 of rare, 3 of threads before they kept state: 1,000 tokens in and 100 out at 1.25 and 10 dollars.
    let found = cells(row(&report, "scenarios", "scenario", "m"), &["calls", "base", "middle"]);
    assert_eq!(found, ["221", "0.497250000000", "0.046410000000"]);
    // A picture in one of 200 calls binds nothing, so nothing has to be built.
    let once = row(&report, "matrix", "scenario", "m");
    assert_eq!(once["once_middle"], "0.000000000000");
    let served = cells(row(&report, "features", "feature", "vision_input"), &["calls", "served"]);
    assert_eq!(served, ["1", "assumed"]);
}

#[tokio::test]
async fn days_that_nobody_priced_are_unknown_and_not_free() {
    let session = open(&portfolio::ledger().await, portfolio::registry()).await;
    let to = |project| {
        let model = daybook_queries::registry::ModelRef { provider: "openai".into(), model: "gpt-5".into() };
        Scenarios { scenarios: vec![Scenario::transfer(model, project)], ..Scenarios::none() }
    };
    // Of the calls of `tools`, 5 in 14 lean on tools and 10 on cache marks: 2 days and half a day.
    for (day_rate_usd, once) in [(None, Value::Null), (Some(Range::exactly(usd("700"))), "1750.000000000000".into())] {
        let project = Project { day_rate_usd, ..Project::default() };
        let sections = play(&session, Book::default_sheet().unwrap(), to(project)).await.unwrap();
        let report = json(&session, &sections).await;
        let matrix = row(&report, "matrix", "scenario", "to openai/gpt-5");
        assert_eq!(matrix["once_middle"], once);
        assert_eq!(matrix["first_year_middle"].is_null(), once.is_null());
    }
}

#[tokio::test]
async fn a_window_without_calls_has_no_costs() {
    let session = open(&fixture::empty().await, Registry::builtin().unwrap()).await;
    let scenarios = Scenarios::read("example", EXAMPLE).unwrap();
    let sections = play(&session, Book::default_sheet().unwrap(), scenarios).await.unwrap();
    let report = json(&session, &sections).await;
    assert_eq!(cells(&report["traffic"][0], &["calls", "base", "recorded_cost"]), ["0", "null", "null"]);
    for scenario in report["scenarios"].as_array().unwrap() {
        assert_eq!(cells(scenario, &["base", "low", "middle", "high", "change"]), ["null"; 5], "{scenario}");
    }
    for month in report["matrix"].as_array().unwrap() {
        assert_eq!(cells(month, &["low", "middle", "high", "first_year_middle"]), ["null"; 4], "{month}");
    }
}

#[tokio::test]
async fn names_nobody_knows_are_refused_with_the_nearest() {
    let session = open(&portfolio::ledger().await, portfolio::registry()).await;
    for (text, code, message) in [
        (
            "to = { provider = 'mistral', model = 'mistral-smal-2603' }",
            "QUERIES-041",
            "scenario `m`: there is no price for `mistral/mistral-smal-2603` (unknown_model); did you mean \
             `mistral/mistral-small-2603`?",
        ),
        (
            "to = { provider = 'mistrall', model = 'x' }",
            "QUERIES-041",
            "scenario `m`: there is no price for `mistrall/x` (unknown_provider); did you mean `mistral`?",
        ),
        (
            "workloads = 'chatt'\nto = { provider = 'openai', model = 'gpt-5' }",
            "QUERIES-035",
            "unknown workload `chatt`; did you mean `chat`?",
        ),
    ] {
        let text = format!("[[scenario]]\nname = 'm'\nkind = 'transfer'\n{text}\n");
        let scenarios = Scenarios::read("s", &text).unwrap();
        let error = play(&session, Book::default_sheet().unwrap(), scenarios).await.unwrap_err();
        assert_eq!((error.code(), error.to_string()), (code, message.into()));
    }
}

#[tokio::test]
async fn too_many_kinds_of_calls_are_refused_and_not_held_in_memory() {
    let ledger = fixture::empty().await;
    let ids: Vec<String> = (0..40).map(|at| format!("model-{at}")).collect();
    let entries = ids.iter().map(|id| (call(id, "acme", id, "t", "2026-11-20T09:00:00Z", (1, 1)), None));
    append(&ledger, "b", &entries.collect::<Vec<_>>()).await;
    let small = SessionOptions { memory_bytes_max: 32 << 10, target_partitions: 1, ..fixture::options() };
    let session = Session::open(&ledger, small).await.unwrap();
    let error = play(&session, Book::default_sheet().unwrap(), Scenarios::none()).await.unwrap_err();
    assert_eq!(error.code(), "QUERIES-012", "{error}");
}

#[test]
fn every_table_can_be_asked_for_by_its_name() {
    let docs = std::fs::read_to_string(Path::new(DOCS)).unwrap();
    for section in sections() {
        assert!(docs.contains(&format!("`{}`", section.name)), "{}", section.name);
    }
}
