//! AWS Bedrock: captured calls of Converse and the models' own APIs, and the log of invocations that Bedrock itself writes.

pub(super) mod converse;
pub(super) mod log;
pub(super) mod native;
pub(super) mod parts;
pub(super) mod reply;
pub(super) mod stream;
pub(super) mod usage;
