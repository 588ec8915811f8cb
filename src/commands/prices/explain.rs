//! `daybook prices explain`: how the cost of one entry comes about.

use std::io::Write;

use clap::Args;
use daybook_ledger::price::{Book, Explanation, PastCall, Recorded};
use daybook_ledger::{EntryId, Kind, Ledger, Usd};
use daybook_queries::{Session, SessionOptions};

use super::plain;
use crate::commands::args::{LedgerArg, parse_entry_id};
use crate::config::Layers;
use crate::failure::Failure;
use crate::output::{self, Form};

/// Flags of `daybook prices explain`.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The entry, as `entry_id` in hexadecimal.
    #[arg(value_name = "ENTRY_ID", value_parser = parse_entry_id)]
    id: EntryId,
    #[command(flatten)]
    ledger: LedgerArg,
    /// How the explanation is written.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Form,
}

pub(super) async fn run(args: ExplainArgs, layers: &mut Layers) -> Result<(), Failure> {
    let ledger = args.ledger.open(layers).await?;
    let book = Book::load(&ledger).await?;
    let day = day_of(&ledger, args.id).await?;
    let mut found = false;
    if let Some(date) = day {
        let mut calls = Recorded::load(&ledger, Some(date), None).await?.day(date).await?;
        while let Some(chunk) = calls.next().await? {
            for past in chunk.iter().filter(|past| past.entry_id == args.id) {
                found = true;
                let call = past.call();
                let explanation = book.explain(&call);
                let mut out = output::data().lock();
                match args.format {
                    Form::Text => text(&past, &explanation, &mut out),
                    Form::Json => json(&past, &explanation, &mut out),
                }
                .map_err(Failure::unprintable)?;
            }
        }
    }
    match found {
        true => Ok(()),
        false => {
            let message = format!("there is no entry {} in {}", args.id, ledger.root().url);
            let hint = "`SELECT encode(entry_id, 'hex') FROM usage` lists ids".into();
            Err(Failure::plain("CLI-013", Kind::Usage, message, Some(hint)))
        }
    }
}

/// The day of an entry: the one thing a filter on ids finds without reading every file.
async fn day_of(ledger: &Ledger, id: EntryId) -> Result<Option<daybook_ledger::Date>, Failure> {
    use arrow::array::AsArray as _;
    let session = Session::open(ledger, SessionOptions::default()).await?;
    let rows = session.run(&format!("SELECT event_date FROM usage WHERE entry_id = X'{id}'")).await?.collect().await?;
    let days = rows.iter().flat_map(|batch| batch.column(0).as_primitive::<arrow::datatypes::Date32Type>().iter());
    Ok(days.flatten().next().map(daybook_ledger::Date::from_days))
}

/// Whether the entry has what these prices give, in words.
fn verdict(past: &PastCall<'_>, explanation: &Explanation<'_>) -> String {
    let rated = &explanation.rated;
    let cost = |cost: Option<Usd>| cost.map_or_else(|| "no cost".to_owned(), |cost| format!("{} dollars", plain(cost)));
    let same_cost = rated.list_cost == past.list_cost;
    match (same_cost, rated.price_id == past.price_id && past.price_status == Some(rated.status.as_str())) {
        (true, true) => format!("recorded: {}, the same", cost(past.list_cost)),
        (same, _) => format!(
            "recorded: {} by {} ({}); {}: the prices in force for the ledger are others than when it was recorded",
            cost(past.list_cost),
            past.price_id.unwrap_or("no prices"),
            past.price_status.unwrap_or("no status"),
            if same { "the same cost" } else { "NOT the same" },
        ),
    }
}

fn text(past: &PastCall<'_>, explanation: &Explanation<'_>, out: &mut impl Write) -> std::io::Result<()> {
    let call = past.call();
    let word = |word: Option<&str>| word.unwrap_or("-").to_owned();
    writeln!(out, "entry     {} at {}", past.entry_id, call.at)?;
    writeln!(out, "call      {} {}", word(call.provider), word(call.response_model.or(call.request_model)))?;
    match explanation.product {
        Some((model, rule)) => writeln!(out, "product   {} {model}, by {}", word(call.provider), rule.as_str())?,
        None => writeln!(out, "product   none")?,
    }
    let tier = explanation.tier.map(|tier| if tier.as_str().is_empty() { "standard" } else { tier.as_str() });
    let asked = call.service_tier.map(|asked| format!(" (reported: {asked})")).unwrap_or_default();
    writeln!(out, "tier      {}{asked}", tier.unwrap_or("unknown"))?;
    writeln!(out, "region    {}{}", word(call.region), if explanation.uplifted { ", which costs more" } else { "" })?;
    if let Some(discount) = explanation.discount {
        let percent = plain(discount.usd_per_million);
        writeln!(out, "discount  {percent} % on {} {}, {}", discount.provider, discount.model, discount.source)?;
    }
    if let (Some(id), Some((from, to))) = (explanation.rated.price_id, explanation.in_force) {
        let to = to.map(|to| format!(" until before {to}")).unwrap_or_default();
        writeln!(out, "prices    {id}, in force from {from}{to}")?;
    }
    for line in &explanation.lines {
        write!(out, "  {} {}", plain(line.quantity), line.counted)?;
        match (line.usd_per_million, line.cost, line.row) {
            (Some(rate), Some(cost), Some(row)) => writeln!(
                out,
                " x {} = {}   [{} {} from {}; {}]",
                plain(rate),
                plain(cost),
                row.unit,
                plain(row.usd_per_million),
                row.effective_from,
                row.source
            )?,
            _ => writeln!(out, ": no rate")?,
        }
    }
    match explanation.rated.list_cost {
        Some(cost) => writeln!(out, "cost      {} dollars; {}", plain(cost), explanation.rated.status.as_str())?,
        None => writeln!(out, "cost      none: {}", explanation.rated.status.as_str())?,
    }
    writeln!(out, "{}", verdict(past, explanation))
}

fn json(past: &PastCall<'_>, explanation: &Explanation<'_>, out: &mut impl Write) -> std::io::Result<()> {
    let call = past.call();
    let rated = &explanation.rated;
    let amount = |cost: Option<Usd>| cost.map(|cost| cost.to_string());
    let lines = explanation.lines.iter().map(|line| {
        let row = line.row.map(|row| {
            serde_json::json!({
                "provider": row.provider, "model": row.model, "unit": row.unit.to_string(),
                "usd_per_million": plain(row.usd_per_million), "effective_from": row.effective_from.to_string(),
                "effective_to": row.effective_to.map(|to| to.to_string()), "source": row.source,
            })
        });
        serde_json::json!({
            "counted": line.counted, "quantity": plain(line.quantity),
            "usd_per_million": line.usd_per_million.map(plain), "cost": amount(line.cost), "row": row,
        })
    });
    let value = serde_json::json!({
        "entry_id": past.entry_id.to_string(), "started_at": call.at.to_string(), "provider": call.provider,
        "response_model": call.response_model, "request_model": call.request_model,
        "product": explanation.product.map(|(model, _)| model),
        "matched_by": explanation.product.map(|(_, rule)| rule.as_str()),
        "tier": explanation.tier.map(|tier| if tier.as_str().is_empty() { "standard" } else { tier.as_str() }),
        "uplifted": explanation.uplifted,
        "discount_percent": explanation.discount.map(|row| plain(row.usd_per_million)),
        "lines": lines.collect::<Vec<_>>(),
        "list_cost": amount(rated.list_cost), "price_id": rated.price_id, "price_status": rated.status.as_str(),
        "recorded_list_cost": amount(past.list_cost), "recorded_price_id": past.price_id,
        "recorded_price_status": past.price_status, "equals_recorded": rated.list_cost == past.list_cost,
    });
    output::json(&value, out)
}
