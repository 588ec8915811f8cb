//! From Kafka to the ledger, exactly once
