//! The list rates that the ledger's prices give each bucket of a model.

use std::collections::BTreeMap;

use daybook_ledger::price::{Book, Call};
use daybook_ledger::{Buckets, Date, Entry, Feature, Instant, Operation, Tokens, Usd};

use super::vector::{Bucket, Vector};

/// Everything about a group of calls that decides its rates.
#[derive(Clone, Copy, Debug)]
pub(super) struct Priced<'a> {
    pub(super) provider: &'a str,
    pub(super) model: &'a str,
    pub(super) at: Instant,
    pub(super) tier: Option<&'a str>,
    pub(super) batch: bool,
    pub(super) region: Option<&'a str>,
    /// The most input of any of the calls, which lie in one context band.
    pub(super) input_max: i64,
}

/// What of a call is priced at a rate of its own, by its word in a price sheet, and the bucket it falls into here.
pub(super) const FINE: [(&str, Bucket); 14] = [
    ("input", Bucket::Input),
    ("cache_read", Bucket::CacheRead),
    ("cache_write_5m", Bucket::Write5m),
    ("cache_write_30m", Bucket::Write),
    ("cache_write_1h", Bucket::Write1h),
    ("cache_write_12h", Bucket::Write),
    ("cache_write", Bucket::Write),
    ("input_audio", Bucket::Input),
    ("input_image", Bucket::Input),
    ("output", Bucket::Output),
    ("output_reasoning", Bucket::Output),
    ("output_audio", Bucket::Output),
    ("output_image", Bucket::Output),
    ("web_search_requests", Bucket::Search),
];

/// Rates by word of [`FINE`], in 10⁻¹² dollars per million, which times a count is 10⁻¹⁸ dollars.
#[derive(Clone, Debug, Default)]
pub(super) struct Rates {
    by_word: BTreeMap<String, i128>,
    /// First day of the rate card in force, and first day after.
    pub(super) in_force: Option<(Date, Option<Date>)>,
}

impl Rates {
    /// The rates of `book` for such calls; empty if it has none.
    pub(super) fn of(book: &Book, priced: &Priced<'_>) -> Self {
        let some = Some(1);
        let mut entry = Entry::new("reconcile", Operation::Chat, &[]);
        entry.provider = Some(priced.provider.into());
        // Who bills under a deployment's name is told apart by the caller: here the name is what served.
        entry.response_model = Some(priced.model.into());
        entry.service_tier = priced.tier.map(Into::into);
        entry.region = priced.region.map(Into::into);
        entry.features.insert_if(priced.batch, Feature::Batch);
        entry.tokens = Tokens {
            // Decides the context band; never smaller than the one token of each part.
            input: Some(priced.input_max.max(1)),
            cache_read: some,
            cache_write: some,
            cache_write_5m: some,
            cache_write_30m: some,
            cache_write_1h: some,
            cache_write_12h: some,
            input_audio: some,
            input_image: some,
            output: some,
            reasoning: some,
            output_audio: some,
            output_image: some,
            total: None,
        };
        entry.meters = vec![("web_search_requests", Usd::from_pico(1_000_000_000_000))];
        // One of everything: no call, but each rate is asked for once.
        let buckets =
            Buckets { uncached_input: some, cache_write_unstated: some, output_text: some, ..Buckets::default() };
        let explanation = book.explain(&Call::of(&entry, &buckets, priced.at));
        let in_force = explanation.in_force;
        let rates =
            explanation.lines.iter().filter_map(|line| Some((line.counted.to_string(), line.usd_per_million?.pico())));
        Self { by_word: rates.collect(), in_force }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_word.is_empty()
    }

    /// The rate of a word of [`FINE`].
    pub(super) fn fine(&self, word: &str) -> Option<i128> {
        self.by_word.get(word).copied()
    }

    /// The rate of each bucket, that of its plain text where it holds more than one kind; 0 where there is none.
    pub(super) fn plain(&self) -> Vector {
        let mut vector = Vector::default();
        for bucket in Bucket::ALL {
            let word = if bucket == Bucket::Search { "web_search_requests" } else { bucket.as_str() };
            vector.put(bucket, self.fine(word).unwrap_or(0));
        }
        vector
    }
}
