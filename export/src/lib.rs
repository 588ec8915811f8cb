//! Bundles: everything under one selection, in open formats, verifiable
