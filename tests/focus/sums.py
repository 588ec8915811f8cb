#!/usr/bin/env python3
"""Checks FOCUS files of a ledger in DuckDB: sums.py LEDGER DIR

Every cost is unit price times quantity to the last place, and the charges of each provider, model and day add up to what the
ledger recorded. DAYBOOK_BIN names the program.
"""

import os
import subprocess
import sys

import duckdb

LEDGER, DIR = sys.argv[1:]
RECORDED = os.path.join(DIR, "recorded.parquet")
SQL = "SELECT provider, coalesce(response_model, request_model) AS model, event_date AS day, sum(list_cost) AS cost, count(*) AS calls " \
      "FROM usage WHERE list_cost IS NOT NULL AND price_status <> 'gateway_cache' GROUP BY 1, 2, 3"


def none(what, sql):
    rows = duckdb.sql(sql).fetchall()
    if rows:
        sys.exit(f"{what}: {len(rows)} rows, the first {rows[0]}")


with open(RECORDED, "wb") as out:
    subprocess.run([os.environ["DAYBOOK_BIN"], "query", "--ledger", LEDGER, "--format", "parquet", "-c", SQL], stdout=out, check=True)

for version in ("1.2", "1.4"):
    file = f"{DIR}/focus-{version}.parquet"
    none(f"{version}, costs that are no product", f"""
        FROM '{file}' WHERE ListCost <> ListUnitPrice * PricingQuantity OR ContractedCost <> ContractedUnitPrice * PricingQuantity""")
    none(f"{version}, sums that differ from the ledger", f"""
        WITH billed AS (
            SELECT x_ProviderId AS provider, x_ModelId AS model, ChargePeriodStart::DATE AS day, sum(BilledCost) AS cost
            FROM '{file}' WHERE CommitmentDiscountStatus IS DISTINCT FROM 'Unused' AND SkuMeter IS DISTINCT FROM 'Provisioned Capacity' GROUP BY ALL)
        FROM billed FULL JOIN '{RECORDED}' AS recorded USING (provider, model, day)
        WHERE coalesce(billed.cost, 0) <> coalesce(recorded.cost, 0)""")
    none(f"{version}, rows of CSV and Parquet that differ", f"""
        SELECT * FROM (SELECT count(*) AS rows, sum(BilledCost) AS cost FROM '{file}') AS parquet,
        (SELECT count(*) AS rows, sum(BilledCost::DECIMAL(38, 18)) AS cost FROM read_csv('{DIR}/focus-{version}.csv', all_varchar = true)) AS csv
        WHERE parquet.rows <> csv.rows OR parquet.cost <> csv.cost""")
rows, billed, adjusted = duckdb.sql(f"""
    SELECT count(*), sum(BilledCost), coalesce(sum(abs(BilledCost)) FILTER (WHERE ChargeCategory = 'Adjustment'), 0)
    FROM '{DIR}/focus-1.4.parquet'""").fetchall()[0]
print(f"{rows} rows, {billed} dollars, of which {adjusted} for rounding: every product and every sum is exact")
