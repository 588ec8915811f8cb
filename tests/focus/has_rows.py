#!/usr/bin/env python3
"""Whether a Parquet file has rows: exit 0 or 1."""

import sys

import duckdb

sys.exit(not duckdb.sql(f"SELECT count(*) FROM '{sys.argv[1]}'").fetchone()[0])
