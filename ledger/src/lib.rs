//! Daybook's tables: schema, prices, Parquet files, Delta commits
