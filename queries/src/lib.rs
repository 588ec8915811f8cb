//! SQL over the ledger
