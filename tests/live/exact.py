"""What a ledger must hold after faults, by readers that share no code with Daybook, then by Daybook itself.

The truth is the producer's: see produce.py.
"""

import csv
import hashlib
import io
import json
import re
import shutil
import sys
from collections import Counter
from decimal import Decimal, getcontext
from pathlib import Path

import duckdb
import polars
import pyarrow.compute as pc
from deltalake import DeltaTable

from parts import DAYBOOK, Checks, note, storage_options

getcontext().prec = 60
checks = Checks()
TABLES = ("usage", "content", "quarantine")
TOTALS = """count(*) AS calls, count(DISTINCT event_id) AS ids, sum(input_tokens) AS input_tokens,
    sum(output_tokens) AS output_tokens, sum(reported_cost) AS reported_cost"""


def check_all(topic, group, ledger, truth, scratch):
    """Every call once with its numbers, every message accounted for, every file explained."""
    check_positions(topic, group, ledger, truth)
    check_with_deltalake(ledger, truth)
    check_with_polars(ledger, truth)
    check_with_duckdb(ledger, truth, scratch)
    check_files(ledger)
    check_with_daybook(ledger, truth)


def check_positions(topic, group, ledger, truth):
    """Kafka and the Delta log agree on what was read, and every message read is accounted for."""
    ends = topic.end_offsets()
    checks.equal("Kafka holds what was sent", sum(ends.values()), truth["totals"]["messages"])
    checks.equal("Kafka's own lag for the group is 0", topic.lag(group), 0)
    for table in TABLES:
        log = ledger.delta_log(table)
        checks.check(f"{table}: the Delta log has no hole", log.gapless and log.infos, f"{len(log.infos)} commits")
    usage = ledger.delta_log("usage")
    found = {p: usage.positions.get(f"ledger/{topic.cluster_id()}/{topic.name}/{p}", 0) for p in ends}
    checks.equal("usage: positions in the Delta log are Kafka's end offsets", found, ends)
    expected = {"messages": "messages", "entries": "calls", "duplicates": "duplicates", "quarantined": "poison"}
    checks.equal("usage: the commits' counts add up to the messages sent", {name: usage.counted(name) for name in expected},
                 {name: truth["totals"][total] for name, total in expected.items()})


def check_with_deltalake(ledger, truth):
    """Every call by id, then the sums, as Python's deltalake reads them. Returns the table's columns."""
    columns = ["event_id", "input_tokens", "output_tokens", "reported_cost", "kafka_partition", "kafka_offset"]
    found = DeltaTable(f"{ledger.url}/usage", storage_options=storage_options()).to_pyarrow_table(columns=columns)
    totals, calls = truth["totals"], truth["calls"]
    times = Counter(found["event_id"].to_pylist())
    doubled = [call for call, count in times.items() if count > 1]
    checks.check("deltalake: no call is there twice", not doubled, f"{len(doubled)}, such as {doubled[:3]}")
    lost = calls.keys() - times.keys()
    checks.check("deltalake: no call is lost", not lost, f"{len(lost)}, such as {sorted(lost)[:3]}")
    strange = times.keys() - calls.keys()
    checks.check("deltalake: no call is invented", not strange, f"{len(strange)}, such as {sorted(strange, key=str)[:3]}")
    wrong = []
    for call, *numbers in zip(*(found[name].to_pylist() for name in columns[:4])):
        expected = calls.get(call)
        if expected and numbers != [expected[0], expected[1], None if expected[2] is None else Decimal(expected[2])]:
            wrong.append(f"{call}: found {numbers}, expected {expected}")
    checks.check("deltalake: tokens and cost of every call are as sent", not wrong, f"{len(wrong)}, such as {wrong[:2]}")
    checks.equal("deltalake: rows", found.num_rows, totals["calls"])
    for name in ("input_tokens", "output_tokens", "reported_cost"):
        checks.equal(f"deltalake: sum of {name}", pc.sum(found[name]).as_py(), number(totals[name]))
    checks.equal("deltalake: type of reported_cost", str(found["reported_cost"].type), "decimal128(38, 12)")
    places = set(zip(found["kafka_partition"].to_pylist(), found["kafka_offset"].to_pylist()))
    checks.equal("deltalake: every row has a Kafka position of its own", len(places), found.num_rows)


def check_with_polars(ledger, truth):
    usage = polars.scan_delta(f"{ledger.url}/usage", storage_options=storage_options())
    sums = [polars.len().alias("calls")] + [polars.col(name).sum() for name in ("input_tokens", "output_tokens", "reported_cost")]
    (found,) = usage.select(sums).collect().to_dicts()
    checks.equal("polars: totals", {name: number(value) for name, value in found.items()}, expected_totals(truth, ids=False))


def check_with_duckdb(ledger, truth, scratch):
    """The same totals over the files that the Delta log names, by a reader that never heard of Delta."""
    for table, rows in [("usage", "calls"), ("content", "calls"), ("quarantine", "poison")]:
        files = [str(ledger.download(f"{table}/{file.path}", scratch)) for file in ledger.delta_log(table).live]
        source = duckdb.read_parquet(files, hive_partitioning=False) if files else None
        if table == "usage":
            found = dict(zip(*totals_of(source)))
            checks.equal("duckdb: totals of usage", found, expected_totals(truth))
        elif table == "content":
            entries, distinct = source.aggregate("count(*), count(DISTINCT entry_id)").fetchall()[0] if files else (0, 0)
            checks.equal("duckdb: one body per call", (entries, distinct), (truth["totals"][rows],) * 2)
            checks.equal("every call ended, so no body is in part", len(ledger.delta_log("content_partial").live), 0)
        else:
            found = source.aggregate("count(*), count(DISTINCT (topic, kafka_partition, kafka_offset))").fetchall()[0] if files else (0, 0)
            checks.equal("duckdb: every poison message is in quarantine once", found, (truth["totals"][rows],) * 2)


def totals_of(source):
    found = source.aggregate(TOTALS)
    return found.columns, map(number, found.fetchall()[0])


def number(value):
    return Decimal(str(value or 0))


def expected_totals(truth, ids=True):
    totals = truth["totals"]
    names = ("calls", "input_tokens", "output_tokens", "reported_cost")
    return {name: number(totals[name]) for name in names} | ({"ids": number(totals["calls"])} if ids else {})


def check_files(ledger):
    """Every file of the log is in the bucket as the log says, and every other file has an explanation."""
    for table in TABLES:
        log = ledger.delta_log(table)
        stored = {key.removeprefix(f"{table}/"): size for key, size in ledger.objects(f"{table}/").items()}
        stored = {path: size for path, size in stored.items() if not path.startswith("_delta_log/")}
        wrong = [f"{file.path}: {stored.get(file.path)} bytes, not {file.size}" for file in log.live if stored.get(file.path) != file.size]
        checks.check(f"{table}: every file of the log is stored with its size", not wrong, f"{len(wrong)}, such as {wrong[:3]}")
        wrong = [file.path for file in log.live if hashlib.sha256(ledger.read(f"{table}/{file.path}")).hexdigest() != file.sha256]
        checks.check(f"{table}: every file of the log has its SHA-256", not wrong, f"{len(wrong)}, such as {wrong[:3]}")
        wrong = [file.path for file in log.live if named(file.path)[0] != file.batch_id]
        checks.check(f"{table}: every file of the log names its batch", not wrong, f"{len(wrong)}, such as {wrong[:3]}")
        orphans = {path: explain(path, log) for path in stored.keys() - {file.path for file in log.live}}
        unexplained = [path for path, reason in orphans.items() if reason is None]
        checks.check(f"{table}: every file outside the log is explained", not unexplained, f"{len(unexplained)}, such as {unexplained[:3]}")
        note(f"{table}: {len(log.live)} files in {len(log.infos)} commits, outside the log {dict(Counter(orphans.values()))}")


def named(path):
    """Batch id and number in a data file's name, `<batch id>-<number>.parquet`."""
    found = re.fullmatch(r"(.+)-(\d+)\.parquet", path.rsplit("/", 1)[-1])
    return (found[1], int(found[2])) if found else (None, None)


def explain(path, log):
    """Why a stored file is not in the log; None if there is no good reason."""
    batch, number = named(path)
    if batch is None:
        return None
    if batch not in log.batch_ids():
        return "of a batch that never landed"
    landed = [named(file.path)[1] for file in log.added if file.batch_id == batch]
    if number in landed:
        return "compacted"
    return "of an earlier attempt of a batch that landed" if number < min(landed, default=number + 1) else None


def check_with_daybook(ledger, truth):
    out = checks.runs("daybook query exits 0", DAYBOOK, "query", "--ledger", ledger.url, "-c", f"SELECT {TOTALS} FROM usage",
                      "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    found = {name: number(value) for name, value in rows[0].items()} if rows else {}
    checks.equal("daybook query: totals", found, expected_totals(truth))
    checks.runs("daybook verify exits 0", DAYBOOK, "verify", ledger.url)


def check_export(ledger, truth, scratch):
    bag = Path(scratch, "bag")
    tools = Path(sys.executable).parent
    checks.runs("daybook export exits 0", DAYBOOK, "export", "--ledger", ledger.url, "--out", bag)
    checks.runs("daybook verify of the bundle exits 0", DAYBOOK, "verify", bag)
    checks.runs("bagit.py --validate", tools / "bagit.py", "--validate", "--quiet", bag)
    manifests = sorted(path.name for path in bag.glob("*manifest-sha256.txt"))
    checks.runs("sha256sum -c", "sha256sum", "--check", "--quiet", "--strict", *manifests, cwd=bag)
    checks.runs("frictionless validate", tools / "frictionless", "validate", "--limit-rows", "1000", "data/datapackage.json", cwd=bag)
    checks.runs("read.py", sys.executable, "read.py", cwd=bag)
    checks.runs("mlcroissant validate", tools / "mlcroissant", "validate", "--jsonld", "data/croissant.json", cwd=bag)
    check_tampering(bag, tools, Path(scratch, "tampered"))
    package = bag / "data" / "datapackage.json"
    resources = json.loads(package.read_text())["resources"] if package.exists() else []
    counted = Counter()
    for resource in resources:
        paths = resource["path"] if isinstance(resource["path"], list) else [resource["path"]]
        source = open_resource([str(package.parent / path) for path in paths])
        declared = declared_rows(resource)
        if source is None or declared is None:
            continue
        (rows,) = source.aggregate("count(*)").fetchall()[0]
        checks.equal(f"duckdb: rows of {resource['name']} as declared", rows, declared)
        table = re.search("usage|content|$", paths[0])[0]
        counted[table, Path(paths[0]).suffix] += rows
        if table == "usage" and paths[0].endswith(".parquet"):
            checks.equal(f"duckdb: totals of {resource['name']}", dict(zip(*totals_of(source))), expected_totals(truth))
    counted = {place: rows for place, rows in counted.items() if place[0]}
    wanted = {(table, suffix): truth["totals"]["calls"] for table in ("usage", "content") for suffix in (".csv", ".jsonl", ".parquet")}
    checks.equal("the bundle holds every call in three formats", counted, wanted)


def check_tampering(bag, tools, tampered):
    """A bundle that is not as it was written passes no check that is about what was altered."""
    data = "data/usage/usage-00000.parquet"

    def one_byte(path):
        whole = bytearray(path.read_bytes())
        whole[len(whole) // 2] ^= 1
        path.write_bytes(whole)

    def no_data_type(path):
        path.write_text(path.read_text().replace('"sc:Integer"', '"sc:Number"'))

    harms = {
        "with one byte changed": lambda: one_byte(tampered / data),
        "with a file missing": lambda: (tampered / data).unlink(),
        "with a file added": lambda: (tampered / "data/usage/usage-00099.parquet").write_bytes((bag / data).read_bytes()),
    }
    for what, harm in harms.items():
        shutil.copytree(bag, tampered)
        harm()
        checks.refuses(f"read.py refuses a bundle {what}", sys.executable, "read.py", cwd=tampered)
        checks.refuses(f"bagit.py refuses a bundle {what}", tools / "bagit.py", "--validate", "--quiet", tampered)
        shutil.rmtree(tampered)
    shutil.copytree(bag, tampered)
    no_data_type(tampered / "data/croissant.json")
    checks.refuses("mlcroissant refuses a type that is none", tools / "mlcroissant", "validate", "--jsonld", "data/croissant.json",
                   cwd=tampered)
    shutil.rmtree(tampered)


def open_resource(paths):
    if paths[0].endswith(".parquet"):
        return duckdb.read_parquet(paths)
    if paths[0].endswith(".csv"):
        return duckdb.read_csv(paths, header=True, all_varchar=True, parallel=False)
    if paths[0].endswith(".jsonl"):
        return duckdb.sql(f"SELECT * FROM read_json({paths!r}, format = 'newline_delimited', columns = {{entry_id: 'VARCHAR'}})")
    return None


def declared_rows(resource):
    """Rows the descriptor promises; `rows` would be Frictionless's own word, which it refuses on other than tables."""
    return next((resource[name] for name in ("rowCount", "rows") if name in resource), None)
