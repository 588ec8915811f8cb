//! Arguments that several commands take, and how their values are read.

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use daybook_ingest::decode::Format as EventFormat;
use daybook_ledger::{Date, EntryId, Instant, Ledger, Usd};
use daybook_queries::Format;
use daybook_queries::registry::ModelRef;

use crate::config::Layers;
use crate::failure::Failure;

/// Which ledger.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct LedgerArg {
    /// The ledger, a folder or `s3://bucket/prefix` [default: ./ledger] [env: DAYBOOK_LEDGER].
    #[arg(short, long, value_name = "URL")]
    ledger: Option<String>,
}

impl LedgerArg {
    /// The address given with the flag.
    pub(crate) fn named(&self) -> Option<&str> {
        self.ledger.as_deref()
    }

    /// The address, by the strongest layer that has one.
    pub(crate) fn address(&self, layers: &mut Layers) -> String {
        layers.ledger(self.ledger.clone())
    }

    /// Opens the ledger.
    ///
    /// # Errors
    /// As [`Ledger::open`].
    pub(crate) async fn open(&self, layers: &mut Layers) -> Result<Ledger, Failure> {
        Ok(Ledger::open(&self.address(layers)).await?)
    }

    /// Opens the ledger, or makes it.
    ///
    /// # Errors
    /// As [`Ledger::open_or_create`].
    pub(crate) async fn open_or_create(&self, layers: &mut Layers) -> Result<Ledger, Failure> {
        Ok(Ledger::open_or_create(&self.address(layers)).await?)
    }
}

/// A UTC day.
pub(crate) fn parse_day(text: &str) -> Result<Date, String> {
    Date::parse(text).ok_or_else(|| format!("`{text}` is not a day like 2026-11-20"))
}

/// What `entry_id` is in hexadecimal.
pub(crate) fn parse_entry_id(text: &str) -> Result<EntryId, String> {
    EntryId::parse(text).ok_or_else(|| format!("`{text}` is not an entry id of 32 hexadecimal digits"))
}

/// RFC 3339, or a UTC day, which is its first instant.
pub(crate) fn parse_instant(text: &str) -> Result<Instant, String> {
    let instant = Instant::parse(text).or_else(|| Date::parse(text).map(Date::start));
    instant.ok_or_else(|| "neither a UTC day (2026-11-20) nor an instant with its zone (2026-11-20T09:00:00Z)".into())
}

/// Dollars, zero or more.
pub(crate) fn parse_usd(text: &str) -> Result<Usd, String> {
    let amount = Usd::parse(text).map_err(|error| error.to_string())?;
    if amount.is_negative() { Err(format!("`{text}` is less than nothing")) } else { Ok(amount) }
}

/// `PROVIDER/MODEL`.
pub(crate) fn parse_model(text: &str) -> Result<ModelRef, String> {
    let (provider, model) = text.split_once('/').ok_or_else(|| format!("`{text}` is not PROVIDER/MODEL"))?;
    Ok(ModelRef { provider: provider.into(), model: model.into() })
}

/// The format of events.
pub(crate) fn parse_event_format(text: &str) -> Result<EventFormat, String> {
    text.parse::<EventFormat>().map_err(|error| format!("{error}; {}", error.hint()))
}

/// How rows are written.
pub(crate) fn formats() -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(Format::ALL.map(Format::as_str)).try_map(|text| text.parse::<Format>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_an_instant_or_a_day() {
        let day = parse_instant("2026-11-20").unwrap();
        assert_eq!(Ok(day), parse_instant("2026-11-20T01:00:00+01:00"));
        for text in ["2026-11-20T09:00:00", "2026-11", "yesterday", ""] {
            assert!(parse_instant(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_id_is_32_hexadecimal_digits() {
        let id = "0123456789abcdef0123456789ABCDEF";
        assert_eq!(parse_entry_id(id).unwrap().to_string(), id.to_lowercase());
        for text in ["", "0123", "g123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdef00"] {
            assert!(parse_entry_id(text).is_err(), "{text}");
        }
    }

    #[test]
    fn dollars_are_not_less_than_nothing() {
        assert_eq!(parse_usd("0"), Ok(Usd::ZERO));
        assert!(parse_usd("-0.01").is_err());
    }
}
