#!/usr/bin/env python3
"""Asks DuckDB every published view over the same Parquet files, and compares the answers, decimals to the last place.

  agree.py LEDGER REGISTRY                      every row of every view
  agree.py LEDGER REGISTRY --only trends        of one view; may be repeated
  agree.py LEDGER REGISTRY --time 5 --docs      and how long both take, into docs/performance.md

REGISTRY is the folder the ledger's registry was imported from. The SQL is that of queries/src/views, with what the dialects spell
differently translated (`translate`). The registry's functions are written anew here, from its TOML files; its tables are exported.
DAYBOOK_BIN and, for times, QUERY_SET name the programs.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import tomllib
import urllib.parse
from pathlib import Path

import duckdb
import sqlglot
from sqlglot import exp

ROOT = Path(__file__).resolve().parent.parent.parent
VIEWS = ROOT / "queries" / "src" / "views"
DOC = ROOT / "docs" / "performance.md"
TABLES = ["usage", "content", "content_partial", "corrections", "quarantine", "resolutions", "billing", "evidence"]
# What queries see merged: with which table, by which file.
MERGED = {"usage": ("corrections", "corrected.sql"), "content": ("content_partial", "content.sql")}
# A view of one row a call is compared by everything a report could group it by.
CALLS = "event_date, workload, owner, declared_segment, contract, is_approved, provider, model, model_family, operation, team, " \
        "project, api_key_alias, environment, status, price_status"
QUERIES = {"calls": f"SELECT {CALLS}, count(*) AS calls, sum(list_cost) AS list_cost, sum(reported_cost) AS reported_cost, "
                    f"sum(latency_ms) AS latency_ms, min(entry_id) AS entry FROM calls GROUP BY {CALLS}",
           # Percentiles lie between two calls, as a float: both round a tie as they please.
           "latency": "SELECT provider, model, operation, calls, latency_max_ms, ttft_calls FROM latency"}


def names():
    """Views in the order of their use."""
    text = (VIEWS / "mod.rs").read_text()
    return [line.split('"')[1] for line in text.splitlines() if line.strip().startswith('view!("')]


def sql_of(view):
    lines = (VIEWS / f"{view}.sql").read_text().splitlines()
    return "\n".join(line for line in lines if not line.startswith("--"))


def query_of(view):
    return QUERIES.get(view, f"SELECT * FROM {view}")


# ---- from DataFusion's dialect to DuckDB's ------------------------------------------------------------------------------------

def call(name, *arguments):
    return exp.Anonymous(this=name, expressions=list(arguments))


def is_number_of_days(found):
    """A day plus a number, or a day made a number already."""
    return isinstance(found, exp.Add) and not found.find(exp.Interval) or found.name in ("day_number", "last_day")


def respelt(found):
    """The node as DuckDB has it: division of decimals, medians and averages, which it makes floats; days and instants as numbers;
    some names."""
    if isinstance(found, exp.Div):
        counts = isinstance(found.expression, exp.Literal) and found.expression.is_int
        return exp.IntDiv(this=found.this, expression=found.expression) if counts else call("divide_exactly", found.this, found.expression)
    if isinstance(found, exp.Cast) and not isinstance(found.this, exp.Null) and found.to.this in (exp.DataType.Type.INT, exp.DataType.Type.BIGINT):
        return call("day_number" if found.to.this == exp.DataType.Type.INT else "epoch_us", found.this)
    if isinstance(found, exp.Cast) and found.to.this == exp.DataType.Type.DATE and is_number_of_days(found.this.unnest()):
        return call("day_of_number", found.this)
    if isinstance(found, exp.Median) and not isinstance(found.parent, exp.Filter):
        return call("middle_of", call("list", found.this))
    if isinstance(found, exp.Filter) and isinstance(found.this, exp.Median):
        return call("middle_of", exp.Filter(this=call("list", found.this.this), expression=found.expression))
    if isinstance(found, exp.Avg):
        return call("divide_exactly", call("sum", found.this), call("count", found.this.copy()))
    if isinstance(found, exp.FirstValue) and not found.find_ancestor(exp.Window):
        return call("first", found.this)
    if isinstance(found, exp.Anonymous):
        renamed = {"cardinality": "len", "make_array": "list_value"}.get(found.name.lower())
        return call(renamed, *found.expressions) if renamed else found
    if isinstance(found, exp.Encode):
        return call("hex_lower", found.this)
    return found


def translate(sql):
    tree = sqlglot.parse_one(sql, read="duckdb")
    for found in reversed(list(tree.walk())):  # from the leaves up: what is inside a division may be one too
        changed = respelt(found)
        if changed is not found:
            found.replace(changed)
    return tree.sql("duckdb")


# What DuckDB has only as floats, in whole numbers of 128 bits.
EXACTLY = [
    "MACRO units(number) AS replace(number::DECIMAL(38, 16)::VARCHAR, '.', '')::HUGEINT",
    # Twenty places, cut off: more than any cast in a view keeps, so that a later rounding sees what was there. A lambda, since a
    # macro that names its arguments often makes nested divisions explode.
    """MACRO divide_exactly(dividend, divisor) AS list_transform([{'one': units(dividend), 'other': units(divisor)}], lambda n:
        (n.one // n.other)::DECIMAL(38, 20)
        + (n.one % n.other * 10000000000 // n.other)::DECIMAL(11, 0) * 0.0000000001
        + (n.one % n.other * 10000000000 % n.other * 10000000000 // n.other)::DECIMAL(11, 0) * 0.00000000000000000001)[1]""",
    # Of the two in the middle half the sum, cut off at twelve places.
    "MACRO half(sum) AS (units(sum) // 20000)::DECIMAL(38, 0) * 0.000000000001",
    """MACRO middle_of(numbers) AS list_transform([{'sorted': list_sort(numbers, 'ASC', 'NULLS LAST'), 'number': list_count(numbers)}],
        lambda n: CASE WHEN n.number > 0 THEN half(n.sorted[(n.number + 1) // 2] + n.sorted[n.number // 2 + 1]) END)[1]""",
    # Of a day, or of a number already: macros do not know types.
    """MACRO day_number(day) AS coalesce(try_cast(day::VARCHAR AS INTEGER),
        datediff('day', DATE '1970-01-01', try_cast(day::VARCHAR AS DATE)))""",
    "MACRO day_of_number(number) AS DATE '1970-01-01' + (number)::INTEGER",
    "MACRO hex_lower(bytes) AS lower(hex(bytes))",
]


# ---- the registry, from its files ---------------------------------------------------------------------------------------------

def quoted(text):
    return "'" + str(text).replace("'", "''") + "'"


def many(value):
    return value if isinstance(value, list) else [] if value is None else [value]


def fits(patterns, what):
    """Any of the patterns, in which `*` stands for any run of characters."""
    def one(pattern):
        if pattern == "*":
            return f"{what} IS NOT NULL"
        if "*" not in pattern:
            return f"{what} = {quoted(pattern)}"
        like = pattern.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_").replace("*", "%")
        return f"{what} LIKE {quoted(like)} ESCAPE '\\'"
    return "(" + " OR ".join(one(pattern.strip()) for pattern in patterns) + ")"


def first(cases):
    return "CASE " + " ".join(f"WHEN {' AND '.join(when) or 'true'} THEN {then}" for when, then in cases) + " END" if cases else "NULL"


def toml(folder, name):
    file = Path(folder) / name
    return tomllib.loads(file.read_text()) if file.exists() else {}


def functions(folder):
    workloads = toml(folder, "workloads.toml").get("workload", [])
    contracts = toml(folder, "contracts.toml").get("contract", [])
    shipped = tomllib.loads((ROOT / "queries/src/registry/default_models.toml").read_text())
    models = toml(folder, "models.toml").get("model", []) + shipped["model"]

    columns = ["team", "project", "api_key_alias", "workload_hint", "environment", "operation", "provider", "model"]
    rule = lambda rule: [fits(many(rule[column]), column) for column in columns if column in rule] + [
        fits(many(value), f"map_extract_value(tags, {quoted(tag)})") for tag, value in rule.get("tags", {}).items()]
    rules = [(rule(one), quoted(workload["name"])) for workload in workloads for one in workload.get("rule", [])]
    yield f"MACRO workload({', '.join(columns)}, tags) AS {first(rules)}"

    covers = lambda contract: [fits(many(contract["providers"]), "provider")] + (
        [fits(many(contract["models"]), "model")] if "models" in contract else []) + [f"day >= DATE '{contract['starts_on']}'"] + (
        [f"day <= DATE '{contract['ends_on']}'"] if "ends_on" in contract else [])
    yield f"MACRO contract(provider, model, day) AS {first([(covers(one), quoted(one['name'])) for one in contracts])}"

    of = lambda field: first([([f"name = {quoted(one['name'])}"], quoted(one[field])) for one in workloads if field in one])
    yield f"MACRO workload_owner(name) AS {of('owner')}"
    yield f"MACRO declared_segment(name) AS {of('declared_segment')}"
    approves = lambda one: " AND ".join(
        [f"coalesce({fits(many(one[field]), what)}, false)" for field, what in (("approved_providers", "provider"), ("approved_models", "model")) if field in one])
    listed = [([f"name = {quoted(one['name'])}"], f"({approves(one)})") for one in workloads if "approved_providers" in one or "approved_models" in one]
    yield f"MACRO is_approved(name, provider, model) AS ({first(listed)})::BOOLEAN"

    speaks = lambda one: [fits(many(one["match"]), "model")] + ([fits(many(one["providers"]), "provider")] if "providers" in one else [])
    facts = {"family": quoted, "open_weights": str, "ends_on": lambda day: f"DATE '{day}'"}
    known = lambda field: first([(speaks(one), facts[field](one[field]) if field in one else "NULL") for one in models])
    # One row a model: a join, as one would write it, in place of a case over every rule for every call.
    yield f"""TABLE known_models AS SELECT DISTINCT provider, model, {known('family')} AS family,
        ({known('open_weights')})::BOOLEAN AS open_weights, ({known('ends_on')})::DATE AS ends_on
        FROM (SELECT DISTINCT provider, coalesce(response_model, request_model) AS model FROM usage)"""
    look_up = lambda field: f"(SELECT any_value(k.{field}) FROM known_models k WHERE k.provider IS NOT DISTINCT FROM p AND k.model IS NOT DISTINCT FROM m)"
    for function, field in (("model_family", "family"), ("has_open_weights", "open_weights"), ("model_ends_on", "ends_on")):
        yield f"MACRO {function}(p, m) AS {look_up(field)}"


# ---- prices -------------------------------------------------------------------------------------------------------------------

# Rates are data, as the registry is: those the views can ask for are read from the ledger's price book. (tests/prices/run has a book
# worked out anew.) What calls cost at them is worked out here.
UNITS = ["input", "output", "cache_read", "cache_write", "cache_write_5m", "cache_write_30m", "cache_write_1h", "cache_write_12h"]
# What is written to a cache, in the order `price` takes it, by the unit of its rate.
WRITES = {"w5m": "cache_write_5m", "w30m": "cache_write_30m", "w1h": "cache_write_1h", "w12h": "cache_write_12h", "unstated": "cache_write"}
REACHES = [272, 200, 100]  # thousands of tokens, beyond which a sheet may name other rates


def reach(tokens):
    return f"CASE {' '.join(f'WHEN {tokens} > {thousand}000 THEN {thousand}001' for thousand in REACHES)} ELSE 0 END"


RATES = f"""
    WITH served AS (SELECT DISTINCT provider, model, event_date AS day, service_tier, region, {reach('input_tokens')} AS tokens
            FROM calls WHERE price_status = 'priced'),
        tiers AS (SELECT DISTINCT service_tier AS tier FROM served UNION SELECT 'batch'),
        asked AS (SELECT provider, model, day, unnest(make_array(service_tier, 'batch', NULL)) AS tier, region, tokens FROM served
            UNION ALL SELECT models.provider, models.model, last_day, tier, regions.region, reaches.tokens
            FROM (SELECT DISTINCT provider, model FROM calls) AS models CROSS JOIN tiers
            CROSS JOIN (SELECT region FROM served UNION SELECT NULL) AS regions
            CROSS JOIN (SELECT max(event_date) AS last_day FROM usage)
            CROSS JOIN (VALUES {', '.join(f'({thousand}001)' for thousand in REACHES)}, (0)) AS reaches(tokens))
    SELECT DISTINCT provider, model, day, tier, region, tokens, unit, usd_per_million(provider, model, unit, day, tier, region, tokens) AS usd
    FROM asked CROSS JOIN (VALUES {', '.join(f"('{unit}')" for unit in UNITS)}) AS units(unit)"""
IS_RATE = " AND ".join(f"k.{column} IS NOT DISTINCT FROM {value}" for column, value in {
    "provider": "p", "model": "m", "day": "moment::DATE", "tier": "t", "region": "r", "tokens": f"({reach('n')})", "unit": "u"}.items())
PRICES = [
    f"MACRO usd_per_million(p, m, u, moment, t, r, n) AS (SELECT any_value(k.usd) FROM rates k WHERE {IS_RATE})",
    # In 10^-18 dollars, of which the last six places are rounded half to even.
    "MACRO in_atto(tokens, usd) AS CASE WHEN coalesce(tokens, 0) = 0 THEN 0 ELSE tokens::HUGEINT * replace(usd::VARCHAR, '.', '')::HUGEINT END",
    """MACRO rounded(atto) AS list_transform([atto], lambda n: (n // 1000000 + CASE WHEN n % 1000000 > 500000
        OR (n % 1000000 = 500000 AND n // 1000000 % 2 = 1) THEN 1 ELSE 0 END)::DECIMAL(38, 0) * 0.000000000001)[1]""",
    f"""MACRO price(p, m, moment, fresh, reads, {', '.join(WRITES)}, outputs, t, r) AS rounded({' + '.join(
        f"in_atto({tokens}, usd_per_million(p, m, '{unit}', moment, t, r, fresh + {' + '.join(f'coalesce({part}, 0)' for part in ['reads', *WRITES])}))"
        for tokens, unit in (('fresh', 'input'), ('reads', 'cache_read'), *WRITES.items(), ('outputs', 'output')))})""",
]


# ---- both sides ---------------------------------------------------------------------------------------------------------------

def live_files(ledger, table):
    """The data files the Delta log names."""
    log = sorted((Path(ledger) / table / "_delta_log").glob("*.json"))
    adds = [action["add"]["path"] for file in log for action in map(json.loads, file.read_text().splitlines()) if "add" in action]
    return [str(Path(ledger) / table / urllib.parse.unquote(path)) for path in adds]


def daybook(ledger, sql, file):
    with open(file, "wb") as out:
        subprocess.run([os.environ["DAYBOOK_BIN"], "query", "--ledger", ledger, "--format", "parquet", "-c", sql], stdout=out, check=True)
    return str(file)


def cores():
    return len(os.sched_getaffinity(0))


def open_duckdb(ledger, registry, folder):
    db = duckdb.connect(config={"threads": cores()})
    db.execute("SET TimeZone = 'UTC'")
    for macro in EXACTLY:
        db.execute(f"CREATE {macro}")
    for table in TABLES:
        files = live_files(ledger, table)
        name = f"{table}_recorded" if table in MERGED else table
        if files:
            source = f"read_parquet({files}, hive_partitioning = true, hive_types = {{'event_date': DATE}})"
        else:
            source = quoted(daybook(ledger, f"SELECT * FROM {table} LIMIT 0", folder / f"{table}.parquet"))
        db.execute(f"CREATE VIEW {name} AS SELECT * FROM {source}")
    for table, (other, file) in MERGED.items():
        merged = translate((ROOT / "queries" / "src" / file).read_text())
        has_other = db.execute(f"SELECT count(*) > 0 FROM {other}").fetchone()[0]
        db.execute(f"CREATE VIEW {table} AS {merged if has_other else f'SELECT * FROM {table}_recorded'}")
    for function in functions(registry):
        db.execute(f"CREATE {function}")
    for table in ("workloads", "contracts", "commitments", "clauses", "features", "models"):
        name = f"registry_{table}"
        file = daybook(ledger, f"SELECT * FROM {name}", folder / f"{name}.parquet")
        # Only its plain integers add to a day.
        numbers = [column for column, kind, *_ in db.execute(f"DESCRIBE FROM '{file}'").fetchall() if kind == "BIGINT"]
        replaced = ", ".join(f'"{column}"::INTEGER AS "{column}"' for column in numbers)
        db.execute(f"CREATE TABLE {name} AS SELECT *{f' REPLACE ({replaced})' if numbers else ''} FROM '{file}'")
    rates = daybook(ledger, RATES, folder / "rates.parquet")
    db.execute(f"CREATE TABLE rates AS FROM '{rates}'")
    for macro in PRICES:
        db.execute(f"CREATE {macro}")
    for view in names():
        db.execute(f"CREATE VIEW {view} AS {translate(sql_of(view))}")
    return db


def differences(db, ledger, view, folder):
    """Rows of one side that the other has not, as the types of ours."""
    ours = daybook(ledger, query_of(view), folder / f"{view}.parquet")
    columns = db.execute(f"DESCRIBE FROM '{ours}'").fetchall()
    cast = ", ".join(f'"{name}"::{kind} AS "{name}"' for name, kind, *_ in columns)
    db.execute(f"CREATE OR REPLACE TEMP TABLE theirs AS SELECT {cast} FROM ({translate(query_of(view))})")
    db.execute(f"CREATE OR REPLACE TEMP TABLE ours AS FROM '{ours}'")
    only = lambda one, other: db.execute(f"FROM {one} EXCEPT ALL FROM {other} LIMIT 3").fetchall()
    rows = db.execute("SELECT count(*) FROM ours").fetchone()[0]
    return rows, only("ours", "theirs"), only("theirs", "ours")


RUNS = 2
# Less than this is planning, and within what opening a ledger varies by.
SHORT = 0.1
# Opens the ledger and reads the footers of its files, which every later query of a process finds read.
OPENED = "-- opened\nSELECT count(list_cost) FROM usage\n"


def processor_seconds(ledger, queries, text):
    """Of a process of ours that runs the queries of `text`."""
    queries.write_text(text)
    process = subprocess.Popen([os.environ["QUERY_SET"], ledger, queries, "--reps", str(RUNS)], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{process.args[0]} failed")
    return used.ru_utime + used.ru_stime


def times(db, ledger, views, rounds, folder):
    """Processor seconds of a run on both sides, by view, the least of all rounds: other work on the machine adds nothing to what a
    run needs, and only ever takes caches from it."""
    ours_of = lambda text: processor_seconds(ledger, folder / "queries.sql", text)
    opened = min(ours_of(OPENED) for _ in range(3))
    taken = {}
    for view in views:
        ours, theirs, sql = [], [], translate(query_of(view))
        for _ in range(rounds):
            ours.append((ours_of(f"{OPENED}-- {view}\n{query_of(view)}\n") - opened) / RUNS)
            started = time.process_time()
            for _ in range(RUNS):
                db.execute(sql).fetchall()
            theirs.append((time.process_time() - started) / RUNS)
        taken[view] = (max(min(ours), 0), min(theirs))
        print(f"{view}: {taken[view][0]:.3f} s, DuckDB {taken[view][1]:.3f} s, {taken[view][0] / taken[view][1]:.2f}", flush=True)
    return taken


def write_docs(calls, taken, rounds, load):
    told = {view: both for view, both in taken.items() if max(both) >= SHORT}
    within = sum(ours <= 1.5 * theirs for ours, theirs in told.values())
    judged = lambda view, ours, theirs: "too short" if view not in told else "" if ours <= 1.5 * theirs else "**above the aim**"
    lines = [f"{calls:,} calls; {time.strftime('%Y-%m-%d')}, load before {load:.2f}; processor seconds of a run, the least of {rounds} rounds; "
             f"DuckDB {duckdb.__version__}; both with {cores()} {'thread' if cores() == 1 else 'threads'}, the page cache warm.", "",
             "| view | Daybook, s | DuckDB, s | Daybook / DuckDB | |", "|---|---|---|---|---|"]
    lines += [f"| `{view}` | {ours:.3f} | {theirs:.3f} | {ours / theirs:.2f} | {judged(view, ours, theirs)} |"
              for view, (ours, theirs) in taken.items()]
    lines += ["", f"Aim: none above 1.5; {within} of the {len(told)} that take {SHORT} s are not, "
              f"{sum(ours < theirs for ours, theirs in told.values())} are faster than DuckDB."]
    text, begin, end = DOC.read_text(), "<!-- figures: views -->\n", "<!-- end -->"
    head, tail = text.split(begin)
    DOC.write_text(head + begin + "\n".join(lines) + "\n" + tail[tail.index(end):])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ledger")
    parser.add_argument("registry")
    parser.add_argument("--only", action="append", choices=names(), metavar="VIEW")
    parser.add_argument("--time", type=int, default=0, metavar="ROUNDS")
    parser.add_argument("--docs", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        db = open_duckdb(args.ledger, args.registry, folder)
        wrong, views = 0, args.only or names()
        for view in views:
            rows, ours, theirs = differences(db, args.ledger, view, folder)
            wrong += bool(ours or theirs)
            print(f"{view}: {rows} rows, {'DIFFERENT' if ours or theirs else 'equal'}", flush=True)
            for side, found in (("Daybook", ours), ("DuckDB", theirs)):
                for row in found:
                    print(f"  only {side}: {row}")
        if wrong:
            sys.exit(f"{wrong} views differ")
        if args.time:
            load = os.getloadavg()[0]
            taken = times(db, args.ledger, views, args.time, folder)
            if args.docs:
                write_docs(db.execute("SELECT count(*) FROM usage").fetchone()[0], taken, args.time, load)


main()
