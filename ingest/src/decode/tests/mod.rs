//! Events whole, from bytes to entries. One file per format; here what they share.

mod anthropic;
mod apisix;
mod bedrock;
mod chatgpt;
mod cloudevents;
mod cloudflare;
mod cohere;
mod copilot;
mod envoy;
mod expected;
mod gemini;
mod helicone;
mod hostile;
mod kong;
mod langfuse;
mod litellm;
mod mistral;
mod mutation;
mod ollama;
mod openai_bare;
mod openai_batch;
mod openai_chat;
mod openai_media;
mod openai_responses;
mod openai_usage;
mod openai_vendors;
mod otel;
mod otel_dialects;
mod otel_proto;
mod portkey;
mod spend_logs;

use std::path::PathBuf;

use daybook_ledger::{Body, Feature, Operation, Status, UsageSource, Usd};

use super::*;

const BODIES: DecodeOptions = DecodeOptions { bodies: true };

/// Decodes `text` by sniffing. The text is leaked so that tests can hold the entries.
fn entries(text: &str) -> Result<Vec<Entry<'static>>, DecodeError> {
    let text: &'static str = text.to_owned().leak();
    let mut entries = Vec::new();
    decode(&Event::of(text.as_bytes()), None, &BODIES, &mut |entry| entries.push(entry))?;
    Ok(entries)
}

/// The one entry of `text`.
fn entry(text: &str) -> Entry<'static> {
    let mut entries = entries(text).unwrap();
    assert_eq!(entries.len(), 1);
    entries.pop().unwrap()
}

/// The path at which `text` is refused.
fn refused_at(text: &str) -> String {
    match entries(text).unwrap_err() {
        DecodeError::BadValue { place, .. } | DecodeError::DuplicateKey { place } => place.path,
        error => panic!("{error}"),
    }
}

fn said(entry: &Entry<'_>) -> (Option<String>, Option<String>) {
    let body = entry.body.as_ref();
    let text = |json: Option<&str>, read: fn(&str) -> Option<String>| json.and_then(read);
    let input = text(body.and_then(|body| body.input_messages.as_deref()), prompt_text);
    (input, text(body.and_then(|body| body.output_messages.as_deref()), output_text))
}

fn features(entry: &Entry<'_>) -> Vec<&'static str> {
    entry.features.iter().map(Feature::as_str).collect()
}

/// Input, of it cache reads, output, of it reasoning.
fn counts(entry: &Entry<'_>) -> [Option<i64>; 4] {
    let tokens = &entry.tokens;
    [tokens.input, tokens.cache_read, tokens.output, tokens.reasoning]
}

fn check(entry: &Entry<'_>) -> Option<&'static str> {
    entry.tokens.buckets().check
}

fn extra<'e>(entry: &'e Entry<'_>) -> &'e str {
    entry.extra.as_deref().unwrap_or_default()
}

fn cost(entry: &Entry<'_>) -> Option<String> {
    assert_eq!(entry.reported_cost.is_some(), entry.reported_currency == Some("USD"));
    entry.reported_cost.map(|cost| cost.to_string().trim_end_matches('0').to_owned())
}

fn meter(entry: &Entry<'_>, name: &str) -> Option<String> {
    let found = entry.meters.iter().find(|(meter, _)| *meter == name);
    found.map(|(_, quantity)| quantity.to_string().trim_end_matches('0').trim_end_matches('.').to_owned())
}

fn output(entry: &Entry<'_>) -> String {
    let Some(Body { output_messages: Some(messages), .. }) = &entry.body else { panic!("no output") };
    assert!(serde_json::from_str::<serde_json::Value>(messages).is_ok(), "{messages}");
    messages.to_string()
}

fn input(entry: &Entry<'_>) -> String {
    let Some(Body { input_messages: Some(messages), .. }) = &entry.body else { panic!("no input") };
    assert!(serde_json::from_str::<serde_json::Value>(messages).is_ok(), "{messages}");
    messages.to_string()
}

/// Every case of the fixtures of `format`, `expected` among them.
fn fixtures(format: Format) -> Vec<(String, String)> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/events")).join(format.as_str());
    let files = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path());
    let mut cases = files
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), std::fs::read_to_string(&path).unwrap()))
        .collect::<Vec<_>>();
    cases.sort();
    cases
}
