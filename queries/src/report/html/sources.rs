//! What a page was made from: the state of the ledger, and the views its queries stand on.

use std::collections::BTreeSet;

use super::super::document::{Report, origin, warnings};
use super::prose;
use crate::render::html::{Grid, Text};
use crate::views::{self, View};
use crate::{Error, Session};

/// What the ledger holds, as far as a reader needs to know it first.
const EXTENT: &str = "SELECT count(*) AS calls, count(*) - count(list_cost) AS unpriced_calls, \
                      min(event_date) AS first_day, max(event_date) AS last_day FROM usage";

/// Title, lead, and the state every number comes from.
pub(super) async fn header(session: &Session, report: &Report) -> Result<String, Error> {
    let extent = Grid::load(session, EXTENT).await?;
    let read = |name: &str| extent.column(name).map(|column| (column.display(0), column.number(0))).unwrap_or_default();
    let (calls, unpriced) = (read("calls"), read("unpriced_calls"));
    let mut state = vec![format!("Made from {}.", prose(&origin(session)))];
    state.extend(report.on.map(|on| format!("Days are counted from <time>{on}</time>.")));
    if calls.1.is_some_and(|calls| calls > 0) {
        state.push(format!(
            "The ledger holds {} {} from <time>{}</time> to <time>{}</time>, {} of them without a price.",
            calls.0,
            if calls.1 == Some(1) { "call" } else { "calls" },
            read("first_day").0,
            read("last_day").0,
            if unpriced.1 == Some(0) { "none".into() } else { unpriced.0 },
        ));
    }
    state.extend(warnings(session).await?.into_iter().map(|warning| format!("<strong>{warning}</strong>")));
    let lead =
        if report.lead.is_empty() { String::new() } else { format!("<p class=\"lead\">{}</p>\n", prose(&report.lead)) };
    Ok(format!(
        "<a class=\"skip\" href=\"#content\">To the content</a>\n<header>\n<p class=\"brand\">Daybook</p>\n\
         <h1>{}</h1>\n{lead}<p class=\"state\">{}</p>\n</header>\n",
        Text(&report.title),
        state.join(" ")
    ))
}

/// The version of every table, how to make the page again, and the views behind the queries.
pub(super) fn footer(session: &Session, report: &Report) -> String {
    let version = |(table, version): &(&str, daybook_ledger::TableVersion)| {
        format!("<tr><th scope=\"row\">{table}</th><td class=\"n\">{version}</td></tr>\n")
    };
    let versions: String = session.versions().iter().map(version).collect();
    let view = |view: &View| {
        format!(
            "<details class=\"query\"><summary>View <code>{}</code></summary><pre tabindex=\"0\"><code>{}</code></pre></details>\n",
            view.name,
            Text(view.text)
        )
    };
    let views: String = used_views(report).into_iter().map(view).collect();
    format!(
        "<footer>\n<h2>How this was made</h2>\n<p>Every table and every figure links to the query that made it. \
         <code>daybook query</code> runs it against the ledger; {again} read the same state, which gives the same numbers.</p>\n\
         <p>US dollars are exact decimals; what is rounded for reading carries its exact value, which a browser shows as a \
         tooltip. A dash stands for what is not known or not there, and is no zero: a cost is not known where no call has a \
         price, and sums leave such calls out.</p>\n\
         <div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-labelledby=\"caption-versions\">\n<table class=\"narrow\">\n\
         <caption id=\"caption-versions\">Versions of the ledger's tables that were read</caption>\n<thead><tr>\
         <th scope=\"col\">Table</th><th scope=\"col\" class=\"n\">Version</th></tr></thead>\n<tbody>\n{versions}</tbody>\n\
         </table>\n</div>\n{views}</footer>\n",
        again = again(session, report),
    )
}

/// The flags that pin what was read.
fn again(session: &Session, report: &Report) -> String {
    let usage = session.versions().iter().find(|(table, _)| *table == "usage");
    let flags = [
        usage.map(|(_, version)| format!("<code>--as-of {version}</code>")),
        session.registry_version().map(|version| format!("<code>--registry-version {version}</code>")),
        report.on.map(|on| format!("<code>--on {on}</code>")),
    ];
    flags.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// The views that `report` reads, and those which these read, in the order of the documentation.
fn used_views(report: &Report) -> Vec<&'static View> {
    let mut names: BTreeSet<_> =
        report.sections().flat_map(|section| views::named_in(&section.sql)).map(|view| view.name).collect();
    // A view stands behind those it reads, so one walk from the last to the first finds all.
    let mut used = Vec::new();
    for view in views::ALL.iter().rev() {
        if names.contains(view.name) {
            names.extend(views::named_in(&view.sql()).map(|view| view.name));
            used.push(view);
        }
    }
    used.reverse();
    used
}
