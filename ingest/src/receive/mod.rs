//! Events over HTTP, for senders without a Kafka client: each becomes a Kafka message, and the answer waits for Kafka.
//!
//! Nothing is kept here. A request is read within limits ([`Limits`]), cut into messages without being understood, handed
//! to an idempotent producer, and answered with success only when every broker in sync has every message. Until then the
//! sender has the events, so it can send them again; what arrives twice is one entry in the ledger.
//!
//! | module | does |
//! |---|---|
//! | `server` | accepts connections, stops without dropping a request |
//! | `handlers` | one request from header to answer |
//! | `token`, `body`, `budget` | who may send, what may be read, how much may be held |
//! | `events`, `cloud_events`, `otlp` | from a body to messages |
//! | `producer` | from messages to acknowledgements |
//! | `reply`, `refusal` | answers in the words of each protocol |

mod body;
mod budget;
mod cloud_events;
mod error;
mod events;
mod handlers;
mod message;
mod metrics;
mod otlp;
mod producer;
mod refusal;
mod reply;
mod server;
mod settings;
#[cfg(test)]
mod tests;
mod token;

pub use error::Error;
pub use refusal::Refusal;
pub use server::{Receiver, Totals};
pub use settings::{BusyStatus, Limits, Path, Settings, Topics};
pub use token::Tokens;
