#!/usr/bin/env python3
"""Reads this bundle with Python and pyarrow (pip install pyarrow), and with pandas if one wants frames.

    python3 read.py     prints what the bundle holds, and checks every file by its SHA-256, and counts and sums by
                        summary.json; exit code 1 if anything differs

In a program, from this folder: read.table("usage") is a pyarrow.Table, read.frame("usage") a pandas.DataFrame; both take
columns=["provider", "list_cost"]. Decimals are exact, instants are in UTC, ids are bytes. read.batches("content") goes through
a table of any size in little memory.
"""

import hashlib
import json
import sys
from collections import Counter
from datetime import datetime, timedelta, timezone
from decimal import Decimal, getcontext
from pathlib import Path

import pyarrow
import pyarrow.compute as pc
import pyarrow.parquet

BAG = Path(__file__).resolve().parent
DATA = BAG / "data"
SUMMARY = json.loads((DATA / "summary.json").read_text(encoding="utf-8"))
BATCH_BYTES = 16 << 20
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
getcontext().prec = 76


def tables():
    """The names of the tables."""
    return [name for name, found in SUMMARY.items() if isinstance(found, dict) and "rows" in found]


def files(name):
    """The Parquet files of a table, in order."""
    return sorted((DATA / name).glob("*.parquet"))


def batches(name, columns=None):
    """The rows of a table as record batches, in order."""
    for path in files(name):
        with pyarrow.parquet.ParquetFile(path, buffer_size=1 << 20) as file:
            for group in range(file.num_row_groups):
                # A row may be one number or a body of megabytes: as many make a batch as have some megabytes.
                about = file.metadata.row_group(group)
                rows = max(1, min(1 << 16, about.num_rows * BATCH_BYTES // max(1, about.total_byte_size)))
                yield from file.iter_batches(rows, row_groups=[group], columns=columns)


def table(name, columns=None):
    """A table as a whole, every column in its own type."""
    parts = [pyarrow.parquet.read_table(path, columns=columns) for path in files(name)]
    return pyarrow.concat_tables(parts)


def frame(name, columns=None):
    """A table as a DataFrame that keeps the types: null is not zero and not a float."""
    import pandas

    return table(name, columns).to_pandas(types_mapper=pandas.ArrowDtype)


def digest(path):
    """SHA-256 of a file."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            found.update(block)
    return found.hexdigest()


def check_files():
    """Every file has the digest the manifest says, and there are no others."""
    listed = {}
    for manifest in ("manifest-sha256.txt", "tagmanifest-sha256.txt"):
        for line in (BAG / manifest).read_text(encoding="utf-8").splitlines():
            expected, _, path = line.partition("  ")
            listed[path] = expected
    for path, expected in listed.items():
        if not (BAG / path).is_file():
            yield f"{path}: it is missing"
        elif digest(BAG / path) != expected:
            yield f"{path}: it is not what the manifest says"
    for path in sorted(DATA.glob("**/*")):
        name = path.relative_to(BAG).as_posix()
        if not path.is_dir() and name not in listed:
            yield f"{name}: the manifest does not list it"


class Sums:
    """Counts and sums of calls, taken batch by batch."""

    def __init__(self, declared):
        self.tokens = {name: [0, 0] for name in declared["tokens"]}
        self.list_cost = [Decimal(0), 0]
        self.reported = {}
        self.first = self.last = None
        self.offsets = {}

    def columns(self):
        others = ["list_cost", "reported_cost", "reported_currency", "started_at", "topic", "kafka_partition", "kafka_offset"]
        return [*self.tokens, *others]

    def add(self, batch):
        for name, total in self.tokens.items():
            add(total, batch.column(name), 0)
        add(self.list_cost, batch.column("list_cost"), Decimal(0))
        currencies = batch.column("reported_currency")
        for currency in pc.unique(currencies).to_pylist():
            is_it = pc.is_null(currencies) if currency is None else pc.fill_null(pc.equal(currencies, currency), False)
            add(self.reported.setdefault(currency, [Decimal(0), 0]), batch.column("reported_cost").filter(is_it), Decimal(0))
        bounds = pc.min_max(batch.column("started_at").cast("int64")).as_py()
        if bounds["min"] is not None:
            self.first = bounds["min"] if self.first is None else min(self.first, bounds["min"])
            self.last = bounds["max"] if self.last is None else max(self.last, bounds["max"])
        positions = pyarrow.Table.from_batches([batch.select(["topic", "kafka_partition", "kafka_offset"])])
        positions = positions.filter(pc.is_valid(positions["kafka_offset"]))
        grouped = positions.group_by(["topic", "kafka_partition"])
        grouped = grouped.aggregate([("kafka_offset", "count"), ("kafka_offset", "min"), ("kafka_offset", "max")])
        for row in grouped.to_pylist():
            rows, low, high = (row[f"kafka_offset_{what}"] for what in ("count", "min", "max"))
            known = self.offsets.setdefault((row["topic"], row["kafka_partition"]), [0, low, high])
            known[:] = [known[0] + rows, min(known[1], low), max(known[2], high)]

    def compare(self, name, declared):
        sums = [(f"tokens.{column}", total, declared["tokens"][column]) for column, total in self.tokens.items()]
        sums.append(("list_cost", self.list_cost, declared["list_cost"]))
        for entry in declared["reported_cost"]:
            sums.append((f"reported_cost in {entry['currency']}", self.reported.pop(entry["currency"], [0, 0]), entry))
        for what, (total, nulls), said in sums:
            if total != Decimal(said["sum"]) or nulls != said["nulls"]:
                yield f"{name}: {what} is {total} and {nulls} nulls, summary.json says {said['sum']} and {said['nulls']}"
        if self.reported:
            yield f"{name}: reported_cost is also in {list(self.reported)}"
        for what, found in (("min", self.first), ("max", self.last)):
            if found != micros(declared["started_at"][what]):
                yield f"{name}: started_at has another {what} than {declared['started_at'][what]}"
        said = {
            (entry["topic"], entry["kafka_partition"]): [entry["rows"], entry["first_offset"], entry["last_offset"]]
            for entry in declared["offsets"]
        }
        if said != self.offsets:
            yield f"{name}: the offsets are {self.offsets}, summary.json says {said}"


def add(total, values, zero):
    """Adds values to [sum, nulls], exactly."""
    total[0] += pc.sum(values).as_py() or zero
    total[1] += values.null_count


def micros(text):
    """Microseconds since 1970 of an instant in RFC 3339."""
    return text and (datetime.fromisoformat(text.replace("Z", "+00:00")) - EPOCH) // timedelta(microseconds=1)


def check_table(name):
    """Prints what a table holds, and yields what differs from summary.json."""
    declared, rows = SUMMARY[name], 0
    sums = Sums(declared) if "tokens" in declared else None
    codes = Counter()
    columns = sums.columns() if sums else ["error_code"] if "error_codes" in declared else []
    if not files(name):
        yield f"{name}: it has no Parquet file"
    for path in files(name):
        rows += pyarrow.parquet.read_metadata(path).num_rows
    for batch in batches(name, columns) if columns else ():
        if sums:
            sums.add(batch)
        else:
            codes.update(batch.column("error_code").to_pylist())
    print(f"{name:12} {rows:>14} rows" + (f"  list cost {sums.list_cost[0]} dollars" if sums and rows else ""))
    if rows != declared["rows"]:
        yield f"{name}: it has {rows} rows, summary.json says {declared['rows']}"
    if sums:
        yield from sums.compare(name, declared)
    said = {entry["error_code"]: entry["rows"] for entry in declared.get("error_codes", [])}
    if codes != said:
        yield f"{name}: the error codes are {dict(codes)}, summary.json says {said}"


def main():
    differences = [*check_files()]
    for name in tables():
        try:
            differences.extend(check_table(name))
        except (pyarrow.ArrowException, KeyError, OSError) as error:
            differences.append(f"{name}: it cannot be read: {error}")
    for difference in differences:
        print(difference, file=sys.stderr)
    print("nothing differs" if not differences else f"{len(differences)} differences")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
