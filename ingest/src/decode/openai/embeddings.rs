//! Vectors for texts, and documents put in order, in OpenAI's shape.

use daybook_ledger::{Entry, Operation};

use crate::decode::DecodeError;
use crate::decode::captured::{Answer, Captured};

/// Decodes one captured call. The vectors themselves stay in the event's bytes.
pub(crate) fn decode<'a>(captured: Captured<'_, 'a>) -> Result<Entry<'a>, DecodeError> {
    decode_as(Operation::Embeddings, captured)
}

/// Decodes a call that put documents in order.
pub(crate) fn decode_rerank<'a>(captured: Captured<'_, 'a>) -> Result<Entry<'a>, DecodeError> {
    decode_as(Operation::Rerank, captured)
}

/// Decodes a call of kind `operation`, of which the answer holds nothing that was said.
pub(crate) fn decode_as<'a>(
    operation: impl Into<Option<Operation>>,
    captured: Captured<'_, 'a>,
) -> Result<Entry<'a>, DecodeError> {
    let asked = captured.asked()?;
    let answer = match captured.envelope.response {
        Some(response) => captured.plain(response, |_| true)?.0,
        None => Answer::default(),
    };
    captured.conclude(operation, asked, answer)
}
