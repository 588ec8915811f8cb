//! From an entry to a row: the one place that fills the columns of `usage`, `content` and `content_partial`.

use std::sync::Arc;

use arrow::array::{ArrayRef, DictionaryArray, RecordBatch};
use arrow::datatypes::Int32Type;
use sha2::{Digest, Sha256};

use crate::schema::{CONTENT_PARTIAL, ContentBuilder, UsageBuilder};
use crate::{Buckets, Entry, EntryId, Error, Instant, Operation, Status, Usd};

/// Where a row's event was read.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// Kafka topic.
    pub topic: &'a str,
    /// Partition of the topic.
    pub partition: i32,
    /// Offset in the partition.
    pub offset: i64,
    /// The batch that brings it.
    pub batch_id: &'a str,
    /// Order of arrival in the batch.
    pub batch_index: i64,
    /// When the row is made.
    pub ingested_at: Instant,
}

/// What a call costs by our prices.
#[derive(Clone, Copy, Debug)]
pub struct Cost<'a> {
    /// The amount, if it can be known.
    pub list_cost: Option<Usd>,
    /// The price rows used.
    pub price_id: Option<&'a str>,
    /// `priced`, or why not.
    pub price_status: &'a str,
}

/// An entry with everything the ledger adds to it.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// What the event said.
    pub entry: &'a Entry<'a>,
    /// The call's identity.
    pub id: EntryId,
    /// When it started: the entry's own time, else the message's.
    pub started_at: Instant,
    /// Its disjoint token buckets.
    pub buckets: &'a Buckets,
    /// Its cost.
    pub cost: Cost<'a>,
    /// SHA-256 of the event, if it has a body.
    pub content_sha256: Option<[u8; 32]>,
    /// Where it was read.
    pub origin: Origin<'a>,
}

impl Entry<'_> {
    /// SHA-256 of the event's bytes if the event has a body.
    pub fn content_sha256(&self) -> Option<[u8; 32]> {
        self.body.is_some().then(|| Sha256::digest(self.raw).into())
    }
}

impl UsageBuilder {
    /// Adds one row.
    pub fn push(&mut self, row: &Row<'_>) {
        let Row { entry, buckets, cost, origin, .. } = row;
        self.entry_id.append_value(row.id.0);
        self.event_date.append_value(row.started_at.date().days());
        self.source.append_value(&entry.source);
        self.event_id.append_option(entry.event_id.as_deref());
        self.topic.append_value(origin.topic);
        self.kafka_partition.append_value(origin.partition);
        self.kafka_offset.append_value(origin.offset);
        self.batch_id.append_value(origin.batch_id);
        self.batch_index.append_value(origin.batch_index);
        self.ingested_at.append_value(origin.ingested_at.micros());
        self.started_at.append_value(row.started_at.micros());
        self.completed_at.append_option(entry.completed_at.map(Instant::micros));
        self.push_call(entry);
        self.push_owner(entry);
        self.push_tokens(entry, buckets);
        for (name, quantity) in &entry.meters {
            self.meters.keys().append_value(name);
            self.meters.values().append_value(quantity.pico());
        }
        close(self.meters.append(true));
        self.list_cost.append_option(cost.list_cost.map(Usd::pico));
        self.price_id.append_option(cost.price_id);
        self.price_status.append_value(cost.price_status);
        self.reported_cost.append_option(entry.reported_cost.map(Usd::pico));
        self.reported_currency.append_option(entry.reported_currency);
        entry.features.iter().for_each(|feature| self.features.values().append_value(feature.as_str()));
        self.features.append(true);
        self.push_outcome(entry);
        self.content_sha256.append_option(row.content_sha256);
        self.content_bytes
            .append_option(row.content_sha256.map(|_| i64::try_from(entry.raw.len()).unwrap_or(i64::MAX)));
        self.extra.append_option(entry.extra.as_deref());
    }

    fn push_call(&mut self, entry: &Entry<'_>) {
        self.gateway.append_option(entry.gateway.as_deref());
        self.provider.append_option(entry.provider.as_deref());
        self.request_model.append_option(entry.request_model.as_deref());
        self.response_model.append_option(entry.response_model.as_deref());
        self.operation.append_option(entry.operation.map(Operation::as_str));
        self.service_tier.append_option(entry.service_tier.as_deref());
        self.region.append_option(entry.region.as_deref());
        self.streamed.append_option(entry.streamed);
        self.complete.append_value(entry.is_complete());
    }

    fn push_owner(&mut self, entry: &Entry<'_>) {
        self.team.append_option(entry.team.as_deref());
        self.project.append_option(entry.project.as_deref());
        self.workload_hint.append_option(entry.workload_hint.as_deref());
        self.environment.append_option(entry.environment.as_deref());
        self.api_key_alias.append_option(entry.api_key_alias.as_deref());
        self.end_user.append_option(entry.end_user.as_deref());
        for (key, value) in &entry.tags {
            self.tags.keys().append_value(key);
            self.tags.values().append_value(value);
        }
        close(self.tags.append(true));
        self.trace_id.append_option(entry.trace_id.as_deref());
        self.session_id.append_option(entry.session_id.as_deref());
    }

    fn push_tokens(&mut self, entry: &Entry<'_>, buckets: &Buckets) {
        let tokens = &entry.tokens;
        self.input_tokens.append_option(tokens.input);
        self.uncached_input_tokens.append_option(buckets.uncached_input);
        self.cache_read_input_tokens.append_option(tokens.cache_read);
        self.cache_write_input_tokens.append_option(tokens.cache_write);
        self.cache_write_5m_input_tokens.append_option(tokens.cache_write_5m);
        self.cache_write_30m_input_tokens.append_option(tokens.cache_write_30m);
        self.cache_write_1h_input_tokens.append_option(tokens.cache_write_1h);
        self.cache_write_12h_input_tokens.append_option(tokens.cache_write_12h);
        self.cache_write_unstated_input_tokens.append_option(buckets.cache_write_unstated);
        self.input_audio_tokens.append_option(tokens.input_audio);
        self.input_image_tokens.append_option(tokens.input_image);
        self.output_tokens.append_option(tokens.output);
        self.output_text_tokens.append_option(buckets.output_text);
        self.reasoning_tokens.append_option(tokens.reasoning);
        self.output_audio_tokens.append_option(tokens.output_audio);
        self.output_image_tokens.append_option(tokens.output_image);
        self.usage_source.append_value(entry.usage_source.as_str());
        self.usage_check.append_option(buckets.check);
    }

    fn push_outcome(&mut self, entry: &Entry<'_>) {
        self.status.append_value(entry.status.as_str());
        self.error_type.append_option(entry.error_type.as_deref());
        self.http_status.append_option(entry.http_status.map(i32::from));
        self.latency_ms.append_option(entry.latency_ms);
        self.ttft_ms.append_option(entry.ttft_ms);
        self.finish_reason.append_option(entry.finish_reason.as_deref());
        self.gateway_cache_hit.append_option(entry.gateway_cache_hit);
    }
}

impl ContentBuilder {
    /// Adds the body of `row`, if it has one.
    pub fn push(&mut self, row: &Row<'_>) {
        let (Some(body), Some(sha256)) = (&row.entry.body, row.content_sha256) else { return };
        self.entry_id.append_value(row.id.0);
        self.event_date.append_value(row.started_at.date().days());
        self.batch_id.append_value(row.origin.batch_id);
        self.content_sha256.append_value(sha256);
        self.input_messages.append_option(body.input_messages.as_deref());
        self.output_messages.append_option(body.output_messages.as_deref());
        self.tool_definitions.append_option(body.tool_definitions.as_deref());
        self.request_parameters.append_option(body.request_parameters.as_deref());
        self.raw.append_value(row.entry.raw);
    }
}

/// The rows of `content` as rows of `content_partial`, each with the status of its event.
///
/// # Errors
/// [`Error::Internal`] if they differ in number.
pub fn content_partial(content: &RecordBatch, statuses: &[Status]) -> Result<RecordBatch, Error> {
    let statuses: DictionaryArray<Int32Type> = statuses.iter().map(|status| status.as_str()).collect();
    let columns = content.columns().iter().cloned().chain([Arc::new(statuses) as ArrayRef]).collect();
    RecordBatch::try_new(CONTENT_PARTIAL.building_schema(), columns).map_err(Error::arrow)
}

/// A map's keys and values are appended in pairs above, which is all its builder checks; a batch with unequal columns
/// would be refused by `finish`.
pub(crate) fn close(appended: Result<(), arrow::error::ArrowError>) {
    debug_assert!(appended.is_ok(), "{appended:?}");
}
