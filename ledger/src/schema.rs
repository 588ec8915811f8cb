//! Each column of each table, once: name, type, unit, meaning, where the term comes from.
//!
//! `docs/schema.md` is generated from here.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};

use crate::columns::{Kind, table};

/// The column every table is partitioned by.
pub const PARTITION: &str = "event_date";

/// A column of a table.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Name in every reader.
    pub name: &'static str,
    /// How it is stored.
    pub kind: Kind,
    /// Whether data files carry its minimum and maximum, so that readers skip files.
    pub prune: bool,
    /// Whether it holds what was said, or words about it: an erasure empties it, and no seal depends on it.
    pub said: bool,
    /// Unit, empty for text and flags.
    pub unit: &'static str,
    /// Meaning.
    pub meaning: &'static str,
    /// Where the term comes from.
    pub origin: &'static str,
}

/// A table of the ledger: a Delta table in the folder of its name, partitioned by [`PARTITION`].
#[derive(Debug)]
pub struct Table {
    /// Name and folder.
    pub name: &'static str,
    /// Order of rows in a data file.
    pub sorted_by: &'static [&'static str],
    /// The columns in order.
    pub columns: &'static [Column],
}

impl Table {
    /// Every table.
    pub const ALL: &'static [&'static Self] = &[
        &USAGE,
        &CORRECTIONS,
        &CONTENT,
        &CONTENT_PARTIAL,
        &QUARANTINE,
        &RESOLUTIONS,
        &PRICES,
        &VALUATIONS,
        &BILLING,
        &REGISTRY,
        &EVIDENCE,
    ];

    /// The table called `name`.
    pub fn named(name: &str) -> Option<&'static Self> {
        Self::ALL.iter().copied().find(|table| table.name == name)
    }

    /// Whether every ledger has the table from its first day. The others came with later versions of Daybook: an older
    /// ledger gets one when something is first written to it, and until then reads it as empty.
    pub fn is_founding(&self) -> bool {
        ["usage", "content", "quarantine", "prices"].contains(&self.name)
    }

    /// Whether a row of it is what was said in one call, by `entry_id`.
    pub fn is_of_bodies(&self) -> bool {
        [CONTENT.name, CONTENT_PARTIAL.name].contains(&self.name)
    }

    /// The Arrow schema readers see.
    pub fn schema(&self) -> SchemaRef {
        self.schema_by(Kind::data_type)
    }

    /// The Arrow schema of a batch while it is built.
    pub fn building_schema(&self) -> SchemaRef {
        self.schema_by(Kind::building_type)
    }

    /// The schema of a data file: without the partition column, which Delta keeps in the log.
    pub fn file_schema(&self) -> SchemaRef {
        let columns = self.columns.iter().filter(|column| column.name != PARTITION);
        Arc::new(Schema::new(columns.map(|c| Field::new(c.name, c.kind.data_type(), true)).collect::<Vec<_>>()))
    }

    fn schema_by(&self, data_type: impl Fn(Kind) -> arrow::datatypes::DataType) -> SchemaRef {
        let fields: Vec<_> = self.columns.iter().map(|c| Field::new(c.name, data_type(c.kind), true)).collect();
        Arc::new(Schema::new(fields))
    }

    /// The Delta schema string (Delta protocol, "Schema Serialization Format"), with meanings as comments.
    pub fn delta_schema(&self) -> serde_json::Value {
        let fields: Vec<_> = self
            .columns
            .iter()
            .map(|column| {
                serde_json::json!({
                    "name": column.name, "type": column.kind.delta_type(), "nullable": true,
                    "metadata": {"comment": column.meaning},
                })
            })
            .collect();
        serde_json::json!({"type": "struct", "fields": fields})
    }

    /// Names of the columns that hold what was said.
    pub fn said(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.columns.iter().filter(|column| column.said).map(|column| column.name)
    }

    /// Names of the columns whose minimum and maximum are kept.
    pub fn pruning_columns(&self) -> impl Iterator<Item = &'static str> {
        self.columns.iter().filter(|column| column.prune).map(|column| column.name)
    }
}

table! {
    /// One narrow row per call.
    USAGE = "usage", sorted by &["team", "started_at"], builder UsageBuilder {
        entry_id: Bytes, false, "", "Identity of the call, 16 bytes derived from `source` and `event_id` (of a CloudEvent, from its own `id`)", "Daybook";
        event_date: Day, true, "UTC day", "Day of `started_at`", "Daybook";
        source: Word, false, "", "Kind of source the event came from; with `event_id` it makes `entry_id`", "CloudEvents source";
        event_id: Text, false, "", "The call's own id in its source: the provider's response id, the gateway's row id", "CloudEvents id";
        topic: Word, false, "", "Kafka topic the event was read from", "Kafka";
        kafka_partition: Short, false, "", "Partition of the topic", "Kafka";
        kafka_offset: Int, false, "", "Offset in the partition", "Kafka";
        batch_id: Word, false, "", "The commit that brought the row", "Daybook";
        batch_index: Int, false, "", "Order of arrival within the batch", "Daybook";
        ingested_at: Instant, false, "UTC, us", "When the row was made", "Daybook";
        started_at: Instant, true, "UTC, us", "When the call started; the message's own time if the event does not say", "OpenTelemetry span start";
        completed_at: Instant, false, "UTC, us", "When the last byte of the answer came", "OpenTelemetry span end";
        gateway: Word, false, "", "The gateway whose log this is", "Daybook";
        provider: Word, true, "", "Who serves and bills", "OpenTelemetry gen_ai.provider.name";
        request_model: Word, true, "", "The model asked for, without gateway prefix", "OpenTelemetry gen_ai.request.model";
        response_model: Word, true, "", "The model that served", "OpenTelemetry gen_ai.response.model";
        operation: Word, false, "", "chat, responses, embeddings, rerank, transcription, speech, image, realtime, ocr; null for a line of a batch that never ran", "OpenTelemetry gen_ai.operation.name";
        service_tier: Word, false, "", "The service tier that served, as reported", "OpenTelemetry openai.response.service_tier";
        region: Word, false, "", "The provider's region", "OpenTelemetry cloud.region";
        streamed: Bool, false, "", "Whether the answer was streamed", "OpenTelemetry gen_ai.request.stream";
        complete: Bool, false, "", "False when the call was cut short or its end is not known yet", "Daybook";
        team: Word, true, "", "The team that pays", "LiteLLM user_api_key_team_alias";
        project: Word, false, "", "The project it belongs to", "LiteLLM user_api_key_project_alias";
        workload_hint: Word, false, "", "What the sender calls the workload", "OpenTelemetry service.name";
        environment: Word, false, "", "Deployment environment", "OpenTelemetry deployment.environment.name";
        api_key_alias: Word, false, "", "The key's alias, never the key", "LiteLLM user_api_key_alias";
        end_user: Word, false, "", "The person or customer the call was made for", "OpenTelemetry enduser.id";
        tags: TextMap, false, "", "Free tags of the sender", "FOCUS Tags";
        trace_id: Text, false, "", "Trace the call is part of", "OpenTelemetry trace id";
        session_id: Text, false, "", "Conversation or session", "OpenTelemetry gen_ai.conversation.id";
        input_tokens: Int, true, "tokens", "All input tokens: fresh, read from and written to a cache, every modality", "OpenTelemetry gen_ai.usage.input_tokens";
        uncached_input_tokens: Int, false, "tokens", "Input tokens in none of the other input buckets: fresh text", "OpenAI input_uncached_tokens";
        cache_read_input_tokens: Int, false, "tokens", "Input tokens read from a prompt cache", "OpenTelemetry gen_ai.usage.cache_read.input_tokens";
        cache_write_input_tokens: Int, false, "tokens", "Input tokens written to a prompt cache; the sum of the five lifetimes below", "OpenTelemetry gen_ai.usage.cache_write.input_tokens";
        cache_write_5m_input_tokens: Int, false, "tokens", "Written to live 5 minutes", "Anthropic ephemeral_5m_input_tokens";
        cache_write_30m_input_tokens: Int, false, "tokens", "Written to live 30 minutes", "OpenAI prompt_cache_options.ttl";
        cache_write_1h_input_tokens: Int, false, "tokens", "Written to live 1 hour", "Anthropic ephemeral_1h_input_tokens";
        cache_write_12h_input_tokens: Int, false, "tokens", "Written to live 12 hours", "OpenAI prompt_cache_options.ttl";
        cache_write_unstated_input_tokens: Int, false, "tokens", "Written, lifetime not stated", "Daybook";
        input_audio_tokens: Int, false, "tokens", "Sound in the input", "OpenTelemetry gen_ai.usage.audio.input_tokens";
        input_image_tokens: Int, false, "tokens", "Pictures in the input", "OpenTelemetry gen_ai.usage.image.input_tokens";
        output_tokens: Int, true, "tokens", "All output tokens: text, reasoning, tool calls, every modality", "OpenTelemetry gen_ai.usage.output_tokens";
        output_text_tokens: Int, false, "tokens", "Output tokens in none of the other output buckets", "OpenTelemetry gen_ai.usage.text.output_tokens";
        reasoning_tokens: Int, false, "tokens", "Spent on reasoning", "OpenTelemetry gen_ai.usage.reasoning.output_tokens";
        output_audio_tokens: Int, false, "tokens", "Sound in the output", "OpenTelemetry gen_ai.usage.audio.output_tokens";
        output_image_tokens: Int, false, "tokens", "Pictures in the output", "OpenTelemetry gen_ai.usage.image.output_tokens";
        usage_source: Word, false, "", "Who counted: provider, gateway, estimated, absent", "Daybook";
        usage_check: Word, false, "", "What is wrong with the counts; null when they re-sum", "Daybook";
        meters: DecimalMap, false, "by key", "Meters that are not tokens: web_search_requests, input_seconds, ...", "FOCUS ConsumedQuantity";
        list_cost: Decimal, false, "US dollars", "Our price at the time of the call; null when it cannot be known, never 0 for that", "FOCUS ListCost";
        price_id: Word, false, "", "Product, day in force and hash of the price rows used", "FOCUS SkuPriceId";
        price_status: Word, false, "", "priced, or why `list_cost` is null", "Daybook";
        reported_cost: Decimal, false, "`reported_currency`", "What the gateway or provider says it cost", "LiteLLM response_cost";
        reported_currency: Word, false, "", "Currency of `reported_cost`", "FOCUS BillingCurrency";
        features: Words, false, "", "What the call leaned on that another vendor may not have", "Daybook";
        status: Word, false, "", "success, error, filtered, incomplete, pending", "Daybook";
        error_type: Word, false, "", "Error code if there is one, else the type, else the number", "OpenTelemetry error.type";
        http_status: Short, false, "", "HTTP status of the answer", "OpenTelemetry http.response.status_code";
        latency_ms: Int, false, "ms", "From start to end", "OpenTelemetry gen_ai.client.operation.duration";
        ttft_ms: Int, false, "ms", "To the first token", "OpenTelemetry gen_ai.response.time_to_first_chunk";
        finish_reason: Word, false, "", "Why the first choice ended, untranslated", "OpenTelemetry gen_ai.response.finish_reasons";
        gateway_cache_hit: Bool, false, "", "Whether the gateway answered from its own cache", "LiteLLM cache_hit";
        content_sha256: Bytes, false, "", "SHA-256 of the event's bytes, when the call has a body", "Daybook";
        content_bytes: Int, false, "bytes", "Length of the event, when the call has a body", "Daybook";
        extra: Text, false, "", "Fields no column has (JSON object)", "Daybook";
    }
}

table! {
    /// What was said in calls that ended, apart from the numbers.
    CONTENT = "content", sorted by &[], builder ContentBuilder {
        entry_id: Bytes, false, "", "The call, as in `usage`", "Daybook";
        event_date: Day, true, "UTC day", "Day of the call, as in `usage`", "Daybook";
        batch_id: Word, false, "", "The commit that brought the row", "Daybook";
        content_sha256: Bytes, false, "", "SHA-256 of `raw`", "Daybook";
        input_messages: Text said, false, "", "Input messages, system text first (JSON array)", "OpenTelemetry gen_ai.input.messages";
        output_messages: Text said, false, "", "Output messages, one per choice (JSON array)", "OpenTelemetry gen_ai.output.messages";
        tool_definitions: Text said, false, "", "Tools offered, as the source wrote them (JSON)", "OpenTelemetry gen_ai.tool.definitions";
        request_parameters: Text said, false, "", "The other request parameters (JSON object)", "OpenTelemetry gen_ai.request.*";
        raw: Bytes said, false, "", "The event as received, whole", "Daybook";
    }
}

table! {
    /// Messages that could not become entries, with everything needed to try again.
    QUARANTINE = "quarantine", sorted by &[], builder QuarantineBuilder {
        event_date: Day, true, "UTC day", "Day of the message's own time", "Daybook";
        batch_id: Word, false, "", "The commit that brought the row", "Daybook";
        quarantined_at: Instant, true, "UTC, us", "When it was set aside", "Daybook";
        topic: Word, true, "", "Kafka topic", "Kafka";
        kafka_partition: Short, true, "", "Partition of the topic", "Kafka";
        kafka_offset: Int, true, "", "Offset in the partition", "Kafka";
        kafka_timestamp: Instant, false, "UTC, us", "The message's own time", "Kafka";
        key: Bytes said, false, "", "The message's key", "Kafka";
        value: Bytes said, false, "", "The message's value, whole", "Kafka";
        headers: BytesMap said, false, "", "The message's headers", "Kafka";
        format: Word, false, "", "The format it was read as, if one was chosen", "Daybook";
        error_code: Word, true, "", "Why, stable (docs/errors.md)", "Daybook";
        error_message: Text said, false, "", "Why, in words", "Daybook";
    }
}

table! {
    /// Which messages of `quarantine` were read after all: one row per message, written by `daybook quarantine replay`. The
    /// row in `quarantine` stays.
    RESOLUTIONS = "resolutions", sorted by &[], builder ResolutionsBuilder {
        event_date: Day, true, "UTC day", "Day of the message, as in `quarantine`", "Daybook";
        batch_id: Word, false, "", "The replay that read it", "Daybook";
        resolved_at: Instant, false, "UTC, us", "When it was read", "Daybook";
        quarantine_batch_id: Word, false, "", "The commit that set it aside: `batch_id` in `quarantine`", "Daybook";
        topic: Word, true, "", "Kafka topic", "Kafka";
        kafka_partition: Short, false, "", "Partition of the topic", "Kafka";
        kafka_offset: Int, false, "", "Offset in the partition", "Kafka";
        format: Word, false, "", "The format it was read as; null if its shape told", "Daybook";
        entries: Int, false, "entries", "Calls it holds, those the ledger had by another event included; 0 for a message without one", "Daybook";
    }
}

table! {
    /// The price rows imported into this ledger; the default sheet ships in the binary.
    PRICES = "prices", sorted by &[], builder PricesBuilder {
        event_date: Day, true, "UTC day", "Day of the import", "Daybook";
        batch_id: Word, false, "", "The commit that brought the row", "Daybook";
        imported_at: Instant, false, "UTC, us", "When the sheet was imported", "Daybook";
        sheet: Word, false, "", "Name of the sheet", "Daybook";
        sheet_sha256: Word, false, "", "SHA-256 of the sheet, hexadecimal", "Daybook";
        provider: Word, false, "", "Who bills", "OpenTelemetry gen_ai.provider.name";
        model: Word, false, "", "The id the provider serves under", "FOCUS SkuId";
        unit: Word, false, "", "What is counted, with tier prefix and context-band suffix (docs/prices.md)", "FOCUS SkuMeter";
        usd_per_million: Decimal, false, "US dollars per million of `unit`", "The price, exact", "FOCUS ListUnitPrice";
        effective_from: Day, false, "UTC day", "First day in force", "Daybook";
        effective_to: Day, false, "UTC day", "First day no longer in force; null while it is", "Daybook";
        origin: Text, false, "", "Where the price was read", "Daybook";
    }
}

table! {
    /// What entries cost at other prices: results of `daybook reprice`. `usage` keeps its own cost.
    VALUATIONS = "valuations", sorted by &["entry_id"], builder ValuationsBuilder {
        entry_id: Bytes, false, "", "The call, as in `usage`", "Daybook";
        event_date: Day, true, "UTC day", "Day of the call, as in `usage`", "Daybook";
        batch_id: Word, false, "", "The commit that brought the row", "Daybook";
        valuation: Word, true, "", "Name of the valuation", "Daybook";
        list_cost: Decimal, false, "US dollars", "Cost at the prices of the valuation; null when it cannot be known", "FOCUS ListCost";
        price_id: Word, false, "", "Product, day in force and hash of the price rows used", "FOCUS SkuPriceId";
        price_status: Word, false, "", "priced, or why `list_cost` is null", "Daybook";
        sheet_sha256: Word, true, "", "SHA-256 of all prices used, hexadecimal", "Daybook";
        created_at: Instant, false, "UTC, us", "When the valuation was made", "Daybook";
    }
}

table! {
    /// What providers bill and report: one row per line of a bill or per result of a usage report. No spend view reads it.
    BILLING = "billing", sorted by &["provider", "period_start"], builder BillingBuilder {
        entry_id: Bytes, false, "", "This row, 16 bytes derived from `line_id` and the row's numbers; if they come back, from the row they replace too", "Daybook";
        line_id: Bytes, false, "", "The line it states: source, report, period and every dimension; a line stated again with other numbers is a new row", "Daybook";
        supersedes: Bytes, false, "", "`entry_id` of the row whose numbers this one replaces", "Daybook";
        event_date: Day, true, "UTC day", "Day of `period_start`", "Daybook";
        source: Word, false, "", "openai-admin, anthropic-admin, aws-cur, focus", "CloudEvents source";
        report: Word, false, "", "usage_report (counts) or cost_report (money)", "Daybook";
        shape: Word, false, "", "How a report was asked for: its bucket width and what it is grouped by; null for bills, which have one shape", "Daybook";
        file: Word, false, "", "Name of the file the line was read from", "Daybook";
        file_sha256: Word, false, "", "SHA-256 of that file as stored, hexadecimal", "Daybook";
        file_line: Int, false, "", "Number of the line, or of the result, in the file, from 1", "Daybook";
        batch_id: Word, false, "", "The commit that brought the row", "Daybook";
        imported_at: Instant, false, "UTC, us", "When the row was made", "Daybook";
        provider: Word, true, "", "Who serves and bills, as in `usage`", "OpenTelemetry gen_ai.provider.name";
        period_start: Instant, true, "UTC, us", "First instant the line is about", "FOCUS ChargePeriodStart";
        period_end: Instant, false, "UTC, us", "First instant it is no longer about", "FOCUS ChargePeriodEnd";
        model: Word, true, "", "The model in the spelling of `usage`: as stated, or read from the line by the published table of names; null if unknown", "OpenTelemetry gen_ai.response.model";
        reported_model: Word, false, "", "The model as the line states it", "Daybook";
        line_item: Word, false, "", "What is billed, in the biller's words", "FOCUS SkuMeter";
        meter: Word, false, "", "What `quantity` counts, in words of a price sheet: input, cache_read, cache_write, output, ...; null if unknown", "FOCUS SkuMeter";
        service: Word, false, "", "The biller's service or kind of usage", "FOCUS ServiceName";
        region: Word, false, "", "The provider's region", "FOCUS RegionId";
        service_tier: Word, false, "", "The service tier, as stated", "OpenTelemetry openai.response.service_tier";
        batch: Bool, false, "", "Whether it is batch processing", "OpenAI batch";
        billing_account: Word, false, "", "The account the line is about", "FOCUS BillingAccountId";
        project: Word, false, "", "Project, workspace or sub-account", "FOCUS SubAccountId";
        api_key: Word, false, "", "Id of the API key, never the key", "OpenAI api_key_id";
        requests: Int, false, "", "Requests to the model", "OpenAI num_model_requests";
        input_tokens: Int, false, "tokens", "All input tokens, as in `usage`", "OpenTelemetry gen_ai.usage.input_tokens";
        uncached_input_tokens: Int, false, "tokens", "Input tokens in none of the other input buckets", "OpenAI input_uncached_tokens";
        cache_read_input_tokens: Int, false, "tokens", "Input tokens read from a prompt cache", "OpenTelemetry gen_ai.usage.cache_read.input_tokens";
        cache_write_input_tokens: Int, false, "tokens", "Input tokens written to a prompt cache, any lifetime", "OpenTelemetry gen_ai.usage.cache_write.input_tokens";
        cache_write_5m_input_tokens: Int, false, "tokens", "Written to live 5 minutes", "Anthropic ephemeral_5m_input_tokens";
        cache_write_1h_input_tokens: Int, false, "tokens", "Written to live 1 hour", "Anthropic ephemeral_1h_input_tokens";
        cache_write_unstated_input_tokens: Int, false, "tokens", "Written, lifetime not stated", "Daybook";
        input_audio_tokens: Int, false, "tokens", "Sound in the input, not read from a cache", "OpenTelemetry gen_ai.usage.audio.input_tokens";
        input_image_tokens: Int, false, "tokens", "Pictures in the input, not read from a cache", "OpenTelemetry gen_ai.usage.image.input_tokens";
        output_tokens: Int, false, "tokens", "All output tokens", "OpenTelemetry gen_ai.usage.output_tokens";
        output_text_tokens: Int, false, "tokens", "Output tokens in none of the other output buckets, reasoning included", "OpenTelemetry gen_ai.usage.text.output_tokens";
        output_audio_tokens: Int, false, "tokens", "Sound in the output", "OpenTelemetry gen_ai.usage.audio.output_tokens";
        output_image_tokens: Int, false, "tokens", "Pictures in the output", "OpenTelemetry gen_ai.usage.image.output_tokens";
        usage_check: Word, false, "", "What is wrong with the counts; null when they re-sum", "Daybook";
        meters: DecimalMap, false, "by key", "Meters that are not tokens: web_search_requests, ...", "FOCUS ConsumedQuantity";
        quantity: Decimal, false, "`quantity_unit`", "What was used or billed, exact", "FOCUS ConsumedQuantity";
        quantity_unit: Word, false, "", "Unit of `quantity`", "FOCUS ConsumedUnit";
        metered_tokens: Int, false, "tokens", "`quantity` in tokens, of the kind `meter` says; null if it counts something else", "Daybook";
        billed_cost: Decimal, false, "`currency`", "What the line costs on the bill; negative for credits", "FOCUS BilledCost";
        effective_cost: Decimal, false, "`currency`", "Cost after every discount, commitments spread over what they cover", "FOCUS EffectiveCost";
        contracted_cost: Decimal, false, "`currency`", "Cost at the contract's prices", "FOCUS ContractedCost";
        list_cost: Decimal, false, "`currency`", "Cost at the provider's list prices, by its own account", "FOCUS ListCost";
        currency: Word, false, "", "Currency of the costs; other currencies than USD are never converted", "FOCUS BillingCurrency";
        charge_category: Word, false, "", "usage, purchase, tax, credit, adjustment", "FOCUS ChargeCategory";
        correction: Bool, false, "", "Whether the line corrects an earlier billing period", "FOCUS ChargeClass";
        description: Text, false, "", "The line in the biller's words", "FOCUS ChargeDescription";
        dimensions: TextMap, false, "", "What else tells the line from others, by the report's own names", "Daybook";
        tags: TextMap, false, "", "Tags on the resource", "FOCUS Tags";
        extra: Text, false, "", "Fields no column has (JSON object)", "Daybook";
    }
}

/// What later events of a call tell beyond its row in `usage`, which nothing edits: whole rows, in the same columns. The
/// fullest correction of an entry holds; queries see it in place of the row.
pub static CORRECTIONS: Table = Table { name: "corrections", sorted_by: USAGE.sorted_by, columns: USAGE.columns };

/// What was said as far as events tell that came before the end of a call: the columns of `content` and one more. It holds
/// while `content` has no row of the entry; queries see it there.
pub static CONTENT_PARTIAL: Table =
    Table { name: "content_partial", sorted_by: CONTENT.sorted_by, columns: &PARTIAL_BODY };

static PARTIAL_BODY: [Column; 10] = {
    let mut columns = [Column {
        name: "status",
        kind: Kind::Word,
        prune: false,
        said: false,
        unit: "",
        meaning: "Of the event: pending, or incomplete, which holds before pending",
        origin: "Daybook",
    }; 10];
    let (own, _) = columns.split_at_mut(CONTENT.columns.len());
    own.copy_from_slice(CONTENT.columns);
    columns
};

table! {
    /// Every version of the registry, as its files were imported: what calls are, who owns them, what was agreed.
    REGISTRY = "registry", sorted by &["file"], builder RegistryBuilder {
        event_date: Day, true, "UTC day", "Day of the import", "Daybook";
        batch_id: Word, false, "", "The commit that brought the row", "Daybook";
        registry_version: Int, true, "", "Number of the import, from 1", "Daybook";
        imported_at: Instant, false, "UTC, us", "When it was imported", "Daybook";
        file: Word, true, "", "Name of the file", "Daybook";
        file_sha256: Word, false, "", "SHA-256 of the file, hexadecimal", "Daybook";
        text: Text, false, "", "The file, whole (TOML)", "Daybook";
    }
}

table! {
    /// What was done beside the calls and is to be shown later: tests of an alternative, exports, audits, erasures.
    EVIDENCE = "evidence", sorted by &[], builder EvidenceBuilder {
        entry_id: Bytes, false, "", "This row, 16 bytes derived from `kind` and the id its recorder gave it, else from every fact below", "Daybook";
        event_date: Day, true, "UTC day", "Day it was done", "Daybook";
        batch_id: Word, false, "", "The commit that brought the row", "Daybook";
        recorded_at: Instant, false, "UTC, us", "When the row was made", "Daybook";
        kind: Word, true, "", "portability_test, export, rehearsal (an export that was checked and read back), audit, erasure, artifact (a file made with a vendor is registered)", "Daybook";
        workload: Word, false, "", "The workload it is about, by its name in the registry", "Daybook";
        contract: Word, false, "", "The contract it is about, by its name in the registry", "Daybook";
        provider: Word, false, "", "Where it ran, or whose calls it is about", "OpenTelemetry gen_ai.provider.name";
        model: Word, false, "", "The model that ran", "OpenTelemetry gen_ai.request.model";
        dataset: Word, false, "", "What a test was run on", "Daybook";
        harness: Word, false, "", "What ran it, with its version", "Daybook";
        runs: Int, false, "", "Cases run", "Daybook";
        passed: Int, false, "", "Cases passed", "Daybook";
        scores: DecimalMap, false, "by name", "Scores, exact, as the harness states them", "OpenTelemetry gen_ai.evaluation.score.value";
        score_scales: DecimalMap, false, "by name", "The best value a score can have, where it is stated", "Daybook";
        artifact: Text, false, "", "Name of what is kept: a file of results, a bundle, an artifact", "Daybook";
        artifact_sha256: Text, false, "", "Its SHA-256, hexadecimal", "Daybook";
        note: Text, false, "", "In words", "Daybook";
        recorded_by: Word, false, "", "Who says so", "Daybook";
        details: Text, false, "", "What no column has (JSON)", "Daybook";
    }
}

/// `docs/schema.md`.
pub fn markdown() -> String {
    let mut text = String::from(
        "# Schema\n\nGenerated from `ledger/src/schema.rs`; do not edit. Every table is a plain Delta table (reader 1, writer 2),\n\
         partitioned by `event_date`. Every column may be null: null means the event does not say.\n",
    );
    for table in Table::ALL {
        if table.name == CORRECTIONS.name {
            text += "\n## `corrections`\n\nThe columns of `usage`. A call may send several events: pending, then final; a batch polled twice. The first \
                     becomes\nits row in `usage`. A later one that tells more becomes a row here, whole, under the same `entry_id`; the \
                     fullest\nholds: final before incomplete before pending, then with counts before without, then the newest. In `daybook query` the table `usage` is the ledger with its \
                     corrections applied, and\n`usage_recorded` the rows as first recorded. Readers of the plain tables do the \
                     same with\nthe rows of `usage` whose `event_date` and `entry_id` `corrections` does not have, and the fullest row \
                     of each there.\n";
            continue;
        }
        if table.name == CONTENT_PARTIAL.name {
            text += "\n## `content_partial`\n\nThe columns of `content`, and `status`, that of the event: pending, or incomplete. What was said in a call as an event before\nits \
                     end told it; `content` has what one after its end told. In `daybook query` the table `content` has, of an\nentry \
                     without a row there, its row here, incomplete before pending, and `content_recorded` is `content`\nalone. \
                     Readers of the plain tables take a row from here where `content` has none of its `event_date` and `entry_id`. Versions\nof Daybook that did not have \
                     this table put the first body of a call into `content`, whatever its event was.\n";
            continue;
        }
        text += &format!(
            "\n## `{}`\n\n| column | type | unit | meaning | term from |\n| --- | --- | --- | --- | --- |\n",
            table.name
        );
        for column in table.columns {
            let Column { name, kind, unit, meaning, origin, .. } = column;
            let kind = match kind.delta_type() {
                serde_json::Value::String(name) => name,
                serde_json::Value::Object(nested) => match nested.get("type").and_then(|t| t.as_str()) {
                    Some("array") => "array<string>".into(),
                    _ => format!("map<string, {}>", nested.get("valueType").and_then(|t| t.as_str()).unwrap_or("?")),
                },
                _ => String::new(),
            };
            text += &format!("| `{name}` | {kind} | {unit} | {meaning} | {origin} |\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::ColumnBuilder as _;

    #[test]
    fn builders_and_schemas_agree() {
        assert_eq!(UsageBuilder::default().finish().unwrap().schema(), USAGE.building_schema());
        assert_eq!(ContentBuilder::default().finish().unwrap().schema(), CONTENT.building_schema());
        assert_eq!(QuarantineBuilder::default().finish().unwrap().schema(), QUARANTINE.building_schema());
        assert_eq!(ResolutionsBuilder::default().finish().unwrap().schema(), RESOLUTIONS.building_schema());
        assert_eq!(PricesBuilder::default().finish().unwrap().schema(), PRICES.building_schema());
        assert_eq!(ValuationsBuilder::default().finish().unwrap().schema(), VALUATIONS.building_schema());
        assert_eq!(BillingBuilder::default().finish().unwrap().schema(), BILLING.building_schema());
        assert_eq!(RegistryBuilder::default().finish().unwrap().schema(), REGISTRY.building_schema());
        assert_eq!(EvidenceBuilder::default().finish().unwrap().schema(), EVIDENCE.building_schema());
    }

    #[test]
    fn a_builder_tells_of_the_text_it_holds_words_once() {
        let mut builder = EvidenceBuilder::default();
        let empty = builder.bytes();
        let added = |builder: &EvidenceBuilder| builder.bytes() - empty;
        ["a".repeat(1_000), "b".repeat(500), "a".repeat(1_000)].iter().for_each(|word| builder.kind.append_value(word));
        builder.kind.append_option(None::<&str>);
        assert_eq!(added(&builder), 1_500 + 4 * 4);
        builder.kind.take();
        builder.kind.append_option(Some("a"));
        assert_eq!(added(&builder), 1 + 4);
    }

    #[test]
    fn column_names_are_unique_and_sort_columns_exist() {
        for table in Table::ALL {
            let mut names: Vec<_> = table.columns.iter().map(|column| column.name).collect();
            assert!(names.contains(&PARTITION));
            assert!(table.sorted_by.iter().all(|name| names.contains(name)));
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), table.columns.len(), "{}", table.name);
        }
    }

    #[test]
    fn the_published_schema_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/schema.md");
        if std::env::var_os("DAYBOOK_WRITE_DOCS").is_some() {
            std::fs::write(path, markdown()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap_or_default(), markdown(), "run with DAYBOOK_WRITE_DOCS=1");
    }
}
