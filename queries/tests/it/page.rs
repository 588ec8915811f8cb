//! Reports as pages, on the planted company: whole, honest, and equal to the tables they show.

use std::collections::BTreeSet;
use std::sync::Arc;

use daybook_ledger::price::{Book, PricesOf};
use daybook_ledger::testing::{append, call};
use daybook_ledger::{Date, Ledger, Report as _, Usd};
use daybook_queries::registry::Registry;
use daybook_queries::report::{
    BriefOptions, Chart, Grain, Report, SpendOptions, audit, brief, contracts, lockin, render_report, savings, spend,
};
use daybook_queries::simulate::{Priced, Scenarios, SimulateOptions, Window, simulate};
use daybook_queries::{Format, RegistryChoice, Session, SessionOptions};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use serde_json::Value;

use crate::{fixture, portfolio};

const CONTRACT: &str = "openai-2026";

fn on() -> Date {
    Date::parse("2026-11-25").unwrap()
}

async fn open(ledger: &Ledger, registry: Registry) -> Session {
    let registry = RegistryChoice::Given(Arc::new(registry));
    // A brief's queries sort many small things at once, and each sort sets memory aside.
    let options = SessionOptions { registry, memory_bytes_max: 512 << 20, ..fixture::options() };
    Session::open(ledger, options).await.unwrap()
}

async fn company() -> Session {
    open(&portfolio::ledger().await, portfolio::registry()).await
}

async fn text(session: &Session, report: &Report, format: Format) -> String {
    let mut out = Vec::new();
    render_report(session, report, format, usize::MAX, &mut out).await.unwrap();
    String::from_utf8(out).unwrap()
}

/// A page as its elements in order, each with its path, its attributes and its own text.
#[derive(Debug, Default)]
struct Page {
    elements: Vec<Element>,
}

#[derive(Debug)]
struct Element {
    path: Vec<String>,
    /// Numbers of the elements around it, itself last.
    around: Vec<usize>,
    attributes: Vec<(String, String)>,
    text: String,
}

impl Element {
    fn name(&self) -> &str {
        self.path.last().unwrap()
    }

    fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl Page {
    /// Fails unless every element closes where it should and every reference is one.
    fn parse(html: &str) -> Self {
        let mut page = Self::default();
        let mut open: Vec<usize> = Vec::new();
        let mut reader = Reader::from_str(html);
        loop {
            match reader.read_event().unwrap() {
                Event::Start(tag) => {
                    let at = page.push(&tag, &open);
                    open.push(at);
                }
                Event::Empty(tag) => {
                    page.push(&tag, &open);
                }
                Event::End(_) => {
                    open.pop().unwrap();
                }
                Event::Text(text) => page.append(&open, &text.decode().unwrap()),
                Event::GeneralRef(name) => {
                    let name = name.decode().unwrap();
                    let known = quick_xml::escape::unescape(&format!("&{name};")).unwrap().into_owned();
                    page.append(&open, &known);
                }
                Event::DocType(_) => {}
                Event::Eof => break,
                other => unreachable!("a page holds no {other:?}"),
            }
        }
        assert!(open.is_empty(), "{open:?} stay open");
        page
    }

    fn push(&mut self, tag: &BytesStart<'_>, open: &[usize]) -> usize {
        let name = String::from_utf8(tag.name().as_ref().to_vec()).unwrap();
        let (at, parent) = (self.elements.len(), open.last().map(|at| &self.elements[*at]));
        let (mut path, mut around) =
            parent.map(|parent| (parent.path.clone(), parent.around.clone())).unwrap_or_default();
        path.push(name);
        around.push(at);
        let attribute = |attribute: quick_xml::events::attributes::Attribute<'_>| {
            let name = String::from_utf8(attribute.key.as_ref().to_vec()).unwrap();
            (name, quick_xml::escape::unescape(std::str::from_utf8(&attribute.value).unwrap()).unwrap().into_owned())
        };
        let attributes = tag.attributes().map(|found| attribute(found.unwrap())).collect();
        self.elements.push(Element { path, around, attributes, text: String::new() });
        at
    }

    fn append(&mut self, open: &[usize], text: &str) {
        for at in open {
            self.elements[*at].text += text;
        }
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &Element> {
        self.elements.iter().filter(move |element| element.name() == name)
    }

    fn with_id(&self, id: &str) -> &Element {
        self.elements
            .iter()
            .find(|element| element.attribute("id") == Some(id))
            .unwrap_or_else(|| unreachable!("there is nothing called {id}"))
    }

    /// Elements called `name` inside of `outer`.
    fn inside<'a>(&'a self, outer: &'a Element, name: &'a str) -> impl Iterator<Item = &'a Element> {
        let outer = outer.around.last().copied();
        self.all(name).filter(move |element| element.around.iter().any(|at| Some(*at) == outer))
    }

    /// The exact values of a column of a section's table, `None` where the page says that one is not known.
    fn column(&self, section: &str, column: &str) -> Vec<Option<String>> {
        let section = self.with_id(section);
        if self.inside(section, "table").next().is_none() {
            return Vec::new();
        }
        let at = self.inside(section, "th").position(|th| th.attribute("title") == Some(column)).unwrap();
        let rows = self.inside(section, "tr").skip(1);
        let cell = |row| {
            let cell = self.elements.iter().filter(|element| ["th", "td"].contains(&element.name()));
            let mut cells = cell.filter(move |cell: &&Element| {
                let row: &Element = row;
                cell.around.iter().any(|at| Some(at) == row.around.last())
            });
            let cell = cells.nth(at).unwrap();
            let exact = self.inside(cell, "data").next().and_then(|data| data.attribute("value"));
            exact.map(String::from).or_else(|| {
                let none = cell.attribute("class").is_some_and(|class| class.ends_with("none"));
                (!none).then(|| cell.text.clone())
            })
        };
        rows.map(cell).collect()
    }
}

/// Whole, linked, and no drawing without its table.
fn check(page: &Page, report: &Report) {
    assert_eq!(page.all("h1").map(|h1| &h1.text).collect::<Vec<_>>(), [&report.title]);
    assert_eq!(page.all("script").count(), 0);
    let ids: Vec<_> = page.elements.iter().filter_map(|element| element.attribute("id")).collect();
    let unique: BTreeSet<_> = ids.iter().copied().collect();
    assert_eq!(ids.len(), unique.len(), "{ids:?}");
    for link in page.all("a") {
        let target = link.attribute("href").unwrap().strip_prefix('#').unwrap();
        assert!(unique.contains(target), "nothing is called {target}");
    }
    for table in page.all("table") {
        assert_eq!(page.inside(table, "caption").filter(|caption| !caption.text.is_empty()).count(), 1);
        assert!(page.inside(table, "th").all(|th| ["row", "col"].contains(&th.attribute("scope").unwrap())));
    }
    for picture in page.all("svg").filter(|svg| svg.attribute("role") == Some("img")) {
        let section = picture.path.iter().rposition(|name| name == "section").unwrap();
        let section = &page.elements[picture.around[section]];
        assert!(page.inside(section, "td").count() > 0, "{:?} stands alone", section.attribute("id"));
        assert!(page.inside(picture, "title").chain(page.inside(picture, "desc")).all(|text| !text.text.is_empty()));
    }
    for section in report.sections() {
        assert_eq!(page.with_id(&format!("sql-{}", section.name)).text, section.sql);
        let shown = page.with_id(section.name);
        let tables = page.inside(shown, "table").count();
        let is_empty = page.inside(shown, "p").any(|p| p.attribute("class") == Some("none"));
        assert_eq!(tables, usize::from(section.chart != Some(Chart::Figures) && !is_empty), "{}", section.name);
    }
}

/// The sections of `report` that are drawn on `page`.
fn drawn<'r>(page: &Page, report: &'r Report) -> Vec<&'r str> {
    let is_drawn = |name: &str| page.inside(page.with_id(name), "figure").count() > 0;
    report.sections().map(|section| section.name).filter(|name| is_drawn(name)).collect()
}

/// The exact values of the figures of a section, by name.
fn figure(page: &Page, section: &str, name: &str) -> Option<String> {
    let section = page.with_id(section);
    let at = page.inside(section, "dt").position(|dt| dt.text == name).unwrap();
    let value = page.inside(section, "dd").nth(at).unwrap();
    page.inside(value, "data").next().and_then(|data| data.attribute("value")).map(String::from)
}

#[tokio::test]
async fn the_audit_is_a_whole_page_with_every_planted_fact() {
    let session = company().await;
    let report = audit(session.registry(), on());
    let page = Page::parse(&text(&session, &report, Format::Html).await);
    check(&page, &report);
    assert_eq!(
        drawn(&page, &report),
        ["months", "workloads", "portability", "gateways", "concentration", "forms", "growth", "savings"]
    );
    let known = |values: &[&str]| values.iter().map(|value| Some((*value).to_owned())).collect::<Vec<_>>();
    assert_eq!(figure(&page, "year", "Calls").as_deref(), Some("253"));
    assert_eq!(figure(&page, "year", "List cost the year before"), None, "the ledger does not go back so far");
    assert_eq!(page.column("drift", "workload"), known(&["tools", "threads"]));
    assert_eq!(page.column("drift", "since"), known(&["2026-11-18", "2026-10-05"]));
    assert_eq!(page.column("drift", "list_cost"), known(&["1.000000000000", "4.500000000000"]));
    assert_eq!(page.column("portability", "month"), known(&["2026-07-01", "2026-10-01", "2026-11-01"]));
    assert_eq!(page.column("portability", "firmer"), known(&["0", "0", "0"]));
    assert_eq!(
        page.column("forms", "calls"),
        known(&["11", "1", "5", "3", "0"]),
        "proprietary, tuned, embedded, hosted, capacity"
    );
    assert_eq!(page.column("forms", "list_cost")[4].as_deref(), Some("0.000000000000"), "no such call is no spend");
    assert_eq!(page.column("ties", "form"), known(&["embeddings", "fine tuned model", "hosted state"]));
    assert_eq!(page.column("ties", "input_tokens")[0].as_deref(), Some("5000"));
    assert_eq!(
        page.column("shadow", "finding").iter().flatten().filter(|finding| *finding == "unknown key").count(),
        1
    );
    assert!(page.column("fallbacks", "standing").iter().flatten().all(|standing| standing == "none named"));
}

#[tokio::test]
async fn the_brief_argues_with_what_can_move_and_with_nothing_else() {
    let session = company().await;
    let report = about(&session, &book()).await;
    let page = Page::parse(&text(&session, &report, Format::Html).await);
    check(&page, &report);
    assert_eq!(drawn(&page, &report), ["movable", "moves", "locked_in", "burn_down"]);

    // chat 18 x 0.1 and rare 200 x 0.01 can move; threads 6 x 1.5, tuned 3 x 0.4 and index 5 x 0.000001 cannot.
    assert_eq!(figure(&page, "position", "Spend").as_deref(), Some("14.000005000000"));
    assert_eq!(figure(&page, "position", "Can move").as_deref(), Some("3.800000000000"));
    assert_eq!(figure(&page, "position", "Cannot move").as_deref(), Some("10.200005000000"));
    assert_eq!(figure(&page, "position", "Proven").as_deref(), Some("0.000000000000"), "no option is fresh");
    assert_eq!(figure(&page, "position", "Of no workload").as_deref(), Some("0.000000000000"), "there is no such call");
    assert_eq!(figure(&page, "position", "Of no workload share").as_deref(), Some("0.000000"));
    let mut said = page.inside(page.with_id("position"), "dd").map(|figure| figure.text.as_str());
    assert!(said.any(|figure| figure == "the day to decide"), "it has passed");
    let workloads = |section: &str| -> Vec<_> { page.column(section, "workload").into_iter().flatten().collect() };
    assert_eq!(workloads("movable"), ["rare", "chat"]);
    let locked = workloads("locked_in");
    assert_eq!(locked, ["threads", "tuned", "index"]);
    for section in ["movable", "elsewhere", "alternatives", "effort", "left_out"] {
        assert!(workloads(section).iter().all(|name| !locked.contains(name)), "{section}: {:?}", workloads(section));
    }
    let says_so = "Workloads that are locked in are kept out of this part";
    assert!(page.all("p").any(|p| p.text.contains(says_so)));

    // Nine dollars in October, all else up to the last day of the ledger; 92 days in all.
    let autumn = |column: &str| page.column("burn_down", column).into_iter().flatten().take(3).collect::<Vec<_>>();
    assert_eq!(autumn("day"), ["2026-10-01", "2026-10-31", "2026-11-20"]);
    assert_eq!(autumn("remaining"), ["10.000000000000", "1.000000000000", "-4.000005000000"]);
    assert_eq!(autumn("even_pace"), ["10.000000000000", "6.630434782609", "4.456521739130"]);
    assert_eq!(page.column("deadlines", "days_left")[1].as_deref(), Some("6"), "2026-12-01");
}

/// `chat` names mistral-small-2603: 18 calls of 1,000 tokens in and 100 out within the last twelve weeks.
#[tokio::test]
async fn the_brief_plays_each_alternative_and_says_how_to_play_it_again() {
    let session = company().await;
    let report = about(&session, &book()).await;
    let json: Value = serde_json::from_str(&text(&session, &report, Format::Json).await).unwrap();
    let moves = json["moves"].as_array().unwrap();
    assert_eq!(moves.len(), 1, "{moves:?}");
    assert_eq!(moves[0]["scenario"], "to mistral/mistral-small-2603");
    // Today 18 x (1,000 x 2 + 100 x 10) millionths; there half of it, times 0.9 and 0.81, 1 and 1, 1.2 and 1.44.
    let row = ["calls", "today", "low", "middle", "high"].map(|column| moves[0][column].to_string());
    assert_eq!(row, ["18", "\"0.054000000000\"", "\"0.023490000000\"", "\"0.027000000000\"", "\"0.034560000000\""]);
    assert_eq!(json["months"][0]["once_middle"], "0.000000000000", "{}", json["months"]);
    assert_eq!(json["alternatives"][0]["played"], true);

    let section = report.sections().find(|section| section.name == "moves").unwrap();
    let comment: Vec<_> = section.sql.lines().map_while(|line| line.strip_prefix("-- ")).collect();
    assert_eq!(
        comment[1],
        "daybook simulate --scenario FILE --contract openai-2026 --from 2026-08-29 --until 2026-11-21 --on 2026-11-25"
    );
    let again = Scenarios::read("again", &comment[2..].join("\n")).unwrap();
    let window = Window {
        from: Date::parse("2026-08-29"),
        until: Date::parse("2026-11-21"),
        workload: None,
        contract: Some(CONTRACT.into()),
    };
    let options = SimulateOptions { window, prices_of: PricesOf::Day(on()), growth: again.growth };
    let priced = again.scenarios.into_iter().map(|scenario| Priced { scenario, book: book() });
    let session = company().await;
    let sections = simulate(&session, &book(), &priced.collect::<Vec<_>>(), &options).await.unwrap();
    let again = Report::of("Again", None, sections).only("scenarios").unwrap();
    let again: Value = serde_json::from_str(&text(&session, &again, Format::Json).await).unwrap();
    assert_eq!(again["scenarios"][1]["middle"], moves[0]["middle"]);
}

async fn about(session: &Session, book: &Arc<Book>) -> Report {
    let options = BriefOptions { contract: CONTRACT.into(), on: on(), day_rate_usd: Some(Usd::parse("800").unwrap()) };
    Box::pin(brief(session, book, &options)).await.unwrap()
}

fn book() -> Arc<Book> {
    let sheet = "provider,model,effective_from,effective_to,unit,usd_per_million,source\n\
                 openai,gpt-5,2026-01-01,,input,2,x\nopenai,gpt-5,2026-01-01,,output,10,x\n\
                 mistral,mistral-small-2603,2026-01-01,,input,1,x\nmistral,mistral-small-2603,2026-01-01,,output,5,x\n";
    Arc::new(Book::read_csv(sheet.as_bytes(), "sheet").unwrap())
}

#[tokio::test]
async fn a_page_shows_the_dollars_of_the_view_to_the_last_decimal() {
    let session = company().await;
    let by_month = SpendOptions { grain: Some(Grain::Month), ..SpendOptions::default() };
    let workloads = Report::of("Lock-in", None, lockin()).only("workloads").unwrap();
    for report in [workloads, Report::of("Spend", None, vec![spend(&by_month)])] {
        let page = Page::parse(&text(&session, &report, Format::Html).await);
        let json: Value = serde_json::from_str(&text(&session, &report, Format::Json).await).unwrap();
        let section = report.sections().next().unwrap().name;
        let rows = json[section].as_array().unwrap();
        for column in rows[0].as_object().unwrap().keys().filter(|column| column.ends_with("cost")) {
            let expected: Vec<_> = rows.iter().map(|row| row[column].as_str().map(String::from)).collect();
            assert_eq!(page.column(section, column), expected, "{section}: {column}");
        }
    }
}

#[tokio::test]
async fn an_unknown_contract_is_named_with_the_nearest() {
    let options = BriefOptions { contract: "openai-2027".into(), on: on(), day_rate_usd: None };
    let error = Box::pin(brief(&company().await, &book(), &options)).await.unwrap_err();
    assert_eq!(error.to_string(), "unknown contract `openai-2027`; did you mean `openai-2026`?");
    assert_eq!(error.code(), "QUERIES-037");
}

#[tokio::test]
async fn names_from_events_stay_text() {
    let hostile = "<script>alert('x')</script>\" onload=\"x";
    let ledger = fixture::empty().await;
    let mut entry = call("a", hostile, hostile, hostile, "2026-02-20T09:00:00Z", (10, 1));
    entry.api_key_alias = Some(hostile.into());
    append(&ledger, "b", &[(entry, fixture::usd("0.1"))]).await;
    let session = open(&ledger, portfolio::registry()).await;
    let report = audit(session.registry(), on()).only("unassigned").unwrap();
    let html = text(&session, &report, Format::Html).await;
    assert!(!html.contains("<script"), "{html}");
    let page = Page::parse(&html);
    let mut attributes = page.elements.iter().flat_map(|element| &element.attributes);
    assert!(attributes.all(|(name, _)| !name.starts_with("on")));
    assert_eq!(page.column("unassigned", "model"), [Some(hostile.into())]);
}

#[tokio::test]
async fn the_same_state_and_day_give_the_same_bytes() {
    let ledger = portfolio::ledger().await;
    let report = Report::of("Contracts", Some(on()), contracts(on()));
    let first = text(&open(&ledger, portfolio::registry()).await, &report, Format::Html).await;
    assert_eq!(first, text(&open(&ledger, portfolio::registry()).await, &report, Format::Html).await);
}

#[tokio::test]
async fn a_page_about_nothing_says_so_and_holds_no_zero_that_looks_like_a_fact() {
    let session = fixture::open(&fixture::empty().await).await;
    for report in reports(&session).await {
        let html = text(&session, &report, Format::Html).await;
        assert!(html.contains("The ledger holds no call") && html.contains("There is no registry"), "{html}");
        assert_eq!(dollars(&Page::parse(&html)), Vec::<String>::new(), "{}", report.title);
    }

    let ledger = fixture::empty().await;
    append(&ledger, "b", &[(call("a", "p", "m", "t", "2026-02-20T09:00:00Z", (10, 1)), None)]).await;
    let session = open(&ledger, portfolio::registry()).await;
    let mut all = reports(&session).await;
    all.push(about(&session, &book()).await);
    for report in all {
        let html = text(&session, &report, Format::Html).await;
        assert!(html.contains("No call is priced"), "{html}");
        let shown = dollars(&Page::parse(&html));
        // What was promised is known: 10 and 20 dollars, all of it left at the start.
        assert!(
            shown.iter().all(|dollars| ["$10.00", "$20.00"].contains(&dollars.as_str())),
            "{}: {shown:?}",
            report.title
        );
    }
}

/// Every amount of dollars on a page.
fn dollars(page: &Page) -> Vec<String> {
    page.all("data").filter(|data| data.text.contains('$')).map(|data| data.text.clone()).collect()
}

async fn reports(session: &Session) -> Vec<Report> {
    let plain = |title: &str, sections| Report::of(title, Some(on()), sections);
    vec![
        audit(session.registry(), on()),
        plain("Lock-in", lockin()),
        plain("Contracts", contracts(on())),
        plain("Savings", savings()),
    ]
}
