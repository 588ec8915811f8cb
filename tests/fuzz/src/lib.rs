//! What must hold for bytes of any kind: [`event`] for what `ingest` decodes, [`bundle`] for what `verify` and `import` read.

pub mod bundle;
pub mod event;
