//! The metadata object of the specification: what the columns are, and what the rows leave out.

use daybook_ledger::file::hex;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::column::{self, Column};
use super::{Dataset, Focus, FocusOptions, charge, commitment};
use crate::Session;

/// When the columns were last changed: a date of the schema, not of the rows, so that equal rows come with equal words.
const SCHEMA_CREATED_AT: &str = "2026-11-25T00:00:00Z";

pub(super) fn metadata(session: &Session, options: &FocusOptions, focus: &Focus) -> Value {
    let columns = match options.dataset {
        Dataset::CostAndUsage => definitions(charge::COLUMNS, options),
        Dataset::ContractCommitment => definitions(commitment::COLUMNS, options),
    };
    let digest = hex(&Sha256::digest(Value::from(columns.clone()).to_string()));
    let version = options.version.as_str();
    let usage_version = session.versions().iter().find(|(table, _)| *table == "usage").map(|(_, version)| version.0);
    let without_price = |sign: i64| -> Vec<Value> {
        let calls = focus.unpriced.iter().map(|(which, calls)| (which, calls * sign)).filter(|(_, calls)| *calls > 0);
        calls
            .map(|((provider, model, status), calls)| {
                json!({"Provider": provider, "Model": model, "PriceStatus": status, "Calls": calls})
            })
            .collect()
    };
    json!({
        "DataGenerator": "Daybook",
        "Schema": {
            "SchemaId": format!("daybook-{version}-{}", digest.get(..16).unwrap_or_default()),
            "FocusVersion": version,
            "CreationDate": SCHEMA_CREATED_AT,
            "DataGeneratorVersion": env!("CARGO_PKG_VERSION"),
            "ColumnDefinition": columns,
        },
        "x_Daybook": {
            "Dataset": options.dataset.as_str(),
            "UsageVersion": usage_version,
            "RegistryVersion": session.registry_version().map(|version| version.0),
            "From": options.from.map(|day| day.to_string()),
            "To": options.to.map(|day| day.to_string()),
            "Rows": focus.rows,
            "Calls": focus.calls,
            "CallsWithoutPrice": without_price(1),
            "CallsWithoutPriceCorrected": without_price(-1),
            "CallsAnsweredByGatewayCache": focus.gateway_cache,
            "CallsAtUnknownPrices": focus.unexplained,
        },
    })
}

fn definitions<R>(columns: &[Column<R>], options: &FocusOptions) -> Vec<Value> {
    let definition = |column: &Column<R>| {
        let (data_type, places) = column.fill.spec_type();
        let mut definition = json!({"ColumnName": column.name, "DataType": data_type});
        if let (Some(places), Some(object)) = (places, definition.as_object_mut()) {
            object.insert("NumericPrecision".into(), 38.into());
            object.insert("NumberScale".into(), places.into());
        }
        definition
    };
    column::of(columns, options.version).map(definition).collect()
}
