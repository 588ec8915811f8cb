#!/usr/bin/env python3
"""Daybook and its peers on the same files, interleaved; writes the tables of docs/performance.md.

  python3 -m venv venv && venv/bin/pip install -r benches/compare/requirements.txt
  venv/bin/python benches/compare/run.py                       # everything there is, about 10 minutes on 2 cores
  venv/bin/python benches/compare/run.py --only decode,export --events 5000000 --reps 5
  source tests/live/.state/env && venv/bin/python benches/compare/run.py --only kafka      # needs KAFKA_BROKERS

Builds what it measures with `cargo --profile PROFILE`, unless --daybook, --decode-to-parquet and --query-set name binaries.
Data sets are generated once into --dir and kept there, results beside them; a run of some parts keeps the figures of the
others. Every side is one process per repetition, A B A B; one core is `taskset -c 0`. Before a figure counts, rows and
exact cost sums of both sides must equal the generator's truth.
"""
import argparse, datetime, decimal, json, math, os, platform, re, shutil, statistics, subprocess, sys, tempfile, time, urllib.parse
from pathlib import Path

import duckdb

from peer_duckdb_query import rhash

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
DOC = ROOT / "docs" / "performance.md"
PARTS = ["decode", "query", "export", "kafka"]
CORES = [1, 2]
PY = sys.executable
MB = 1_000_000
FLUSH_BYTES = 128 << 20  # the default of --flush-bytes
DECIMALS = decimal.Context(prec=60)


# ---- running ------------------------------------------------------------------------------------------------------------------

def measure(command, cores=None):
    """Runs a process to its end: its stdout, wall seconds, CPU seconds of it and its children, peak memory."""
    pin = ["taskset", "-c", "0" if cores == 1 else f"0-{cores - 1}"] if cores else []
    os.sync()  # what the other side wrote is not this side's work
    with tempfile.TemporaryFile() as talk:
        started = time.perf_counter()
        process = subprocess.Popen([*pin, *map(str, command)], stdout=subprocess.PIPE, stderr=None if ARGS.verbose else talk)
        out = process.stdout.read().decode()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            talk.seek(0)
            sys.exit(f"{' '.join(map(str, command))}: exit {process.returncode}\n{talk.read().decode(errors='replace')[-3000:]}")
    return {"out": out, "wall": wall, "cpu": usage.ru_utime + usage.ru_stime, "rss": usage.ru_maxrss * 1024}


def interleave(ours, peer, reps=None):
    """A B A B: whatever the machine does meanwhile, it does to both."""
    runs = ([], [])
    for rep in range(reps or ARGS.reps):
        for side, run in zip(runs, (ours, peer)):
            if run:
                side.append(run())
        note(f"  {rep + 1}: " + "  ".join(f"{side[-1]['s']:.2f} s" for side in runs if side))
    return runs


def fresh(name):
    path = ARGS.dir / "out" / name
    shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def note(text):
    print(text, file=sys.stderr, flush=True)


def expect(what, found, wanted):
    if found != wanted:
        sys.exit(f"{what}: found {found}, expected {wanted}; no figure is written")


# ---- data ---------------------------------------------------------------------------------------------------------------------

class Data:
    """A generated file of events and the truth about it."""

    def __init__(self, name, events, *arguments):
        self.path, truth = ARGS.dir / f"{name}-{events}.jsonl", ARGS.dir / f"{name}-{events}.truth.json"
        self.arguments = ["--events", events, "--dup-rate", ".02", "--late-rate", ".05", "--seed", "1", *arguments, "--truth", truth]
        self.truth_path = truth

    def make(self):
        if not (self.path.exists() and self.truth_path.exists()):
            note(f"generating {self.path.name}")
            self.path.parent.mkdir(parents=True, exist_ok=True)
            measure([PY, HERE / "gen_events.py", *self.arguments, "--out", self.path])
        self.read_truth()
        with open(self.path, "rb", buffering=0) as file:  # into the page cache
            while file.read(8 << 20):
                pass
        return self

    def read_truth(self):
        truth = json.loads(self.truth_path.read_text())
        self.calls, self.lines, self.bytes = truth["events_unique"], truth["lines"], truth["bytes"]
        self.cost = decimal.Decimal(truth["cost_nanousd"]).scaleb(-9)


def usage_data():
    return Data("usage", ARGS.events).make()


def content_data():
    return Data("content", ARGS.content_events, "--content-bytes", "8000").make()


def sql_row(sql):
    return duckdb.connect().execute(sql).fetchone()


def live_files(ledger, table):
    """Path and length of the files that the Delta log names: a batch that lost a race leaves others, which no reader sees."""
    log = sorted((ledger / table / "_delta_log").glob("*.json"))
    adds = [action["add"] for file in log for action in map(json.loads, file.read_text().splitlines()) if "add" in action]
    return {str(ledger / table / urllib.parse.unquote(add["path"])): add["size"] for add in adds}


def check_ledger(ledger, data):
    """Every call once, costs to the last decimal."""
    rows, ids, cost = sql_row(f"SELECT count(*), count(DISTINCT event_id), sum(reported_cost) FROM read_parquet({list(live_files(ledger, 'usage'))})")
    expect("entries in the ledger", (rows, ids, cost.normalize(DECIMALS)), (data.calls, data.calls, data.cost.normalize(DECIMALS)))


def check_peer(glob, data, deduped=False):
    rows, calls, cost = sql_row(f"SELECT sum(n)::BIGINT, count(*), sum(c) FROM (SELECT count(*) AS n, any_value(cost_usd) AS c FROM '{glob}' GROUP BY id)")
    expect("rows of the peer", (rows, calls, cost.normalize(DECIMALS)), (data.calls if deduped else data.lines, data.calls, data.cost.normalize(DECIMALS)))


# ---- decode to Parquet --------------------------------------------------------------------------------------------------------

def decode_ours(data, cores, bodies, keep=None):
    out = fresh(keep or "ledger")
    run = measure([BINARIES["decode_to_parquet"], data.path, out, "--threads", cores, *(["--bodies"] if bodies else [])], cores)
    figures = json.loads(run["out"])
    expect("events read", (figures["events"], figures["entries"], figures["duplicates"], figures["quarantined"]),
           (data.lines, data.calls, data.lines - data.calls, 0))
    check_ledger(out, data)
    return {"s": figures["seconds"], "cpu": run["cpu"], "rss": run["rss"]}


def decode_peer(data, cores, bodies, dedup=False):
    out = fresh("peer.parquet")
    flags = [*(["--content"] if bodies else []), *(["--dedup"] if dedup else [])]
    run = measure([PY, HERE / "peer_duckdb_ingest.py", data.path, "--out", out, "--threads", cores, "--reps", 1, *flags], cores)
    figures = json.loads(next(line for line in run["out"].splitlines() if line.startswith("{")))
    check_peer(out, data, dedup)
    return {"s": figures["s"], "cpu": figures["cpu_s"], "rss": figures["rss_mb"] * 2**20, "version": figures["ver"]}


def decode():
    rows = []
    usage, content = usage_data(), content_data()
    for data, what, bodies, unit, scale, targets in [
        (usage, "2 KB usage events", False, "events/s", usage.lines, {"target": 240_000, "floor_ratio": 0.85}),
        (content, "11 KB events with bodies", True, "MB/s", content.bytes / MB, {"target": 200, "floor_ratio": 0.9}),
    ]:
        for cores in CORES:
            note(f"decode to Parquet, {what}, {cores} core(s)")
            ours, peer = interleave(lambda: decode_ours(data, cores, bodies), lambda: decode_peer(data, cores, bodies))
            row = {"what": what, "cores": cores, "unit": unit, "scale": scale, "ours": ours, "peer": peer, "peer_name": "DuckDB `read_json` to Parquet"}
            rows.append(row | (targets if cores == 1 else {"floor_ratio": targets["floor_ratio"]}))
    note("decode to Parquet, the peer drops duplicates too")
    ours, peer = interleave(lambda: decode_ours(usage, 1, False), lambda: decode_peer(usage, 1, False, dedup=True))
    rows.append({"what": "2 KB usage events, the peer drops duplicates too", "cores": 1, "unit": "events/s", "scale": usage.lines,
                 "ours": ours, "peer": peer, "peer_name": "DuckDB, `QUALIFY row_number()`"})
    decode_ours(usage, 1, False, keep="ledger-usage")
    decode_ours(content, 1, True, keep="ledger-content")
    return {"rows": rows, "stored": stored(usage, content)}


def stored(usage, content):
    """Bytes of the data files that the Delta log names, and of DuckDB's file of the same events."""
    def live(ledger, table):
        return sum(live_files(ARGS.dir / "out" / ledger, table).values())

    def peer(data, *flags):
        out = fresh("peer.parquet")
        measure([PY, HERE / "peer_duckdb_ingest.py", data.path, "--out", out, "--reps", 1, *flags])
        return out.stat().st_size

    return {"usage_row": live("ledger-usage", "usage") / usage.calls, "peer_usage_row": peer(usage) / usage.lines,
            "content_ratio": live("ledger-content", "content") / (content.bytes * content.calls / content.lines),
            "peer_content_ratio": peer(content, "--content") / content.bytes}


# ---- queries ------------------------------------------------------------------------------------------------------------------

def query_ledger():
    """A ledger of --query-events calls over five days, made through a pipe: the events are never a file."""
    data = Data("query", ARGS.query_events, "--rate", f"{ARGS.query_events / (5 * 86_400):.6f}")
    ledger = ARGS.dir / "out" / f"ledger-query-{ARGS.query_events}"
    if not (ledger.exists() and data.truth_path.exists()):
        note(f"making {ledger.name}")
        building = fresh("ledger-query.part")
        generate = subprocess.Popen([str(part) for part in [PY, HERE / "gen_events.py", *data.arguments]], stdout=subprocess.PIPE,
                                    stderr=subprocess.DEVNULL)
        subprocess.run([BINARIES["decode_to_parquet"], "/dev/stdin", building], stdin=generate.stdout, stdout=subprocess.DEVNULL, check=True)
        if generate.wait():
            sys.exit("the generator failed")
        building.rename(ledger)
    data.read_truth()
    check_ledger(ledger, data)
    return data, ledger


def plain(value):
    """A value of our JSON as the peer's result has it."""
    is_instant = isinstance(value, str) and re.match(r"^\d{4}-\d\d-\d\dT.*Z$", value)
    return datetime.datetime.fromisoformat(value) if is_instant else value


def query_ours(ledger, cores):
    run = measure([BINARIES["query_set"], ledger, HERE / "queries.sql", "--reps", ARGS.query_reps], cores)
    queries = {}
    for line in run["out"].splitlines():
        query = json.loads(line)
        rows = [[plain(value) for value in json.loads(row, parse_float=decimal.Decimal).values()] for row in query["rows"].splitlines()]
        queries[query["query"]] = {"hot": min(query["seconds"][1:] or query["seconds"]), "cold": query["seconds"][0], "hash": rhash(rows)}
    return {"s": sum(query["hot"] for query in queries.values()), "queries": queries, "cpu": run["cpu"], "rss": run["rss"]}


def query_peer(ledger, cores):
    run = measure([PY, HERE / "peer_duckdb_query.py", f"{ledger}/usage/*/*.parquet", "--sql-file", HERE / "queries.sql",
                   "--threads", cores, "--reps", ARGS.query_reps], cores)
    figures = json.loads(run["out"].splitlines()[-1])
    failed = [query for query in figures["res"] if query["err"]]
    if failed:
        sys.exit(f"the peer failed: {failed}")
    queries = {query["q"]: {"hot": query["hot_s"], "cold": query["cold_s"], "hash": query["hash"]} for query in figures["res"]}
    return {"s": sum(query["hot"] for query in queries.values()), "queries": queries, "cpu": run["cpu"], "rss": run["rss"]}


def query_process(ledger):
    """Seconds of a whole `daybook query`, from start to exit, median over the queries."""
    text = (HERE / "queries.sql").read_text().replace("FROM t ", "FROM usage ")
    seconds = {}
    for name, sql in re.findall(r"^-- (\S+)\n(.*?;)", text, re.MULTILINE | re.DOTALL):
        runs = [measure([BINARIES["daybook"], "query", "--ledger", ledger, "--format", "ndjson", "-c", sql])["wall"] for _ in range(3)]
        seconds[name] = min(runs)
    return seconds


def query():
    data, ledger = query_ledger()
    result = {"rows_in_ledger": data.calls, "files": sum(1 for _ in ledger.glob("usage/*/*.parquet")), "cores": {}}
    for cores in CORES:
        note(f"queries over {data.calls} rows, {cores} core(s)")
        ours, peer = interleave(lambda: query_ours(ledger, cores), lambda: query_peer(ledger, cores))
        for name in ours[0]["queries"]:
            hashes = {run["queries"][name]["hash"] for run in ours + peer}
            if len(hashes) > 1:
                sys.exit(f"query {name}: results differ: {hashes}")
        result["cores"][str(cores)] = {"ours": ours, "peer": peer}
    result["process"] = query_process(ledger)
    return result


# ---- export -------------------------------------------------------------------------------------------------------------------

def export_ours(ledger, fmt, cores, data):
    out = fresh("bundle")
    run = measure([BINARIES["daybook"], "--quiet", "export", "--ledger", ledger, "--out", out, "--formats", fmt], cores)
    usage = json.loads((out / "data" / "summary.json").read_text())["usage"]
    expect("rows in the bundle", usage["rows"], data.calls)
    size = sum(file.stat().st_size for file in out.glob(f"data/*/*.{fmt}"))
    return {"s": run["wall"], "cpu": run["cpu"], "rss": run["rss"], "bytes": size}


def export_peer(ledger, fmt, cores, data, tables):
    figures = []
    for table in tables:
        out = fresh(f"peer-{table}")
        started = time.perf_counter()
        run = measure([PY, HERE / "peer_duckdb_export.py", f"{ledger}/{table}/*/*.parquet", "--out-dir", out, "--formats", fmt, "--threads", cores,
                       "--reps", 1], cores)
        found = re.search(rf"export {fmt}\s+threads=\d+ ([\d.]+)s ([\d,]+) rows/s .* cpu ([\d.]+)s peak RSS (\d+) MB", run["out"])
        if not found:
            sys.exit(f"the peer's export said: {run['out']} after {time.perf_counter() - started:.1f} s")
        file = out / f"export.{fmt}"
        figures.append((float(found[1]), float(found[3]), int(found[4]), file.stat().st_size))
        if fmt == "parquet":
            expect("rows the peer exported", sql_row(f"SELECT count(*) FROM '{file}'")[0], data.calls)
    seconds, cpu, rss, size = zip(*figures)
    return {"s": sum(seconds), "cpu": sum(cpu), "rss": max(rss) * 2**20, "bytes": sum(size)}


def export():
    """Over ledgers of one worker: they hold no file of a lost race, so the peer's glob reads what we read."""
    rows = []
    usage, content = usage_data(), content_data()
    ledgers = ARGS.dir / "out" / "ledger-usage", ARGS.dir / "out" / "ledger-content"
    if not (ledgers[0].exists() and ledgers[1].exists()):
        decode_ours(usage, 1, False, keep="ledger-usage")
        decode_ours(content, 1, True, keep="ledger-content")
    for cores in CORES:
        for fmt, target in [("jsonl", "400 MB/s"), ("csv", "300 MB/s"), ("parquet", "500,000 rows/s")]:
            note(f"export {fmt}, {cores} core(s)")
            ours, peer = interleave(lambda: export_ours(ledgers[0], fmt, cores, usage), lambda: export_peer(ledgers[0], fmt, cores, usage, ["usage"]))
            rows.append({"what": f"usage as {fmt.upper() if fmt != 'parquet' else 'Parquet'}", "cores": cores, "unit": "rows/s", "scale": usage.calls,
                         "ours": ours, "peer": peer, "peer_name": "DuckDB `COPY`", "floor_ratio": 0.9, "bytes": True,
                         "target_text": target if cores == 1 else ""})
        note(f"export with bodies, {cores} core(s)")
        ours, peer = interleave(lambda: export_ours(ledgers[1], "jsonl", cores, content),
                                lambda: export_peer(ledgers[1], "jsonl", cores, content, ["usage", "content"]))
        rows.append({"what": "usage and bodies as JSONL", "cores": cores, "unit": "rows/s", "scale": content.calls, "ours": ours, "peer": peer,
                     "peer_name": "DuckDB `COPY`", "floor_ratio": 0.9, "bytes": True})
    return {"rows": rows}


# ---- Kafka --------------------------------------------------------------------------------------------------------------------

class Preloaded:
    """A topic of 8 partitions that holds a file, one message per line."""

    def __init__(self, data, partitions=8):
        from confluent_kafka import Producer
        from confluent_kafka.admin import AdminClient, NewTopic

        self.name = f"daybook-bench-{os.getpid()}-{data.path.stem}"
        self.admin = AdminClient({"bootstrap.servers": ARGS.brokers})
        for created in self.admin.create_topics([NewTopic(self.name, partitions, 1, config={"retention.ms": "-1"})]).values():
            created.result()
        producer = Producer({"bootstrap.servers": ARGS.brokers, "linger.ms": 50, "compression.type": "lz4", "enable.idempotence": True,
                             "queue.buffering.max.kbytes": 131072})
        failed = []
        note(f"loading {data.path.name} into {self.name}")
        with open(data.path, "rb") as lines:
            for line in lines:
                while True:
                    try:
                        producer.produce(self.name, value=line[:-1], key=line[7:48], on_delivery=lambda error, _: error and failed.append(error))
                        break
                    except BufferError:
                        producer.poll(0.05)
                producer.poll(0)
        if producer.flush(120) or failed:
            sys.exit(f"not every message was delivered: {failed[:3]}")

    def remove(self):
        for removed in self.admin.delete_topics([self.name]).values():
            removed.result()


def kafka_ours(topic, data, cores, bodies):
    out, group = fresh("ledger-kafka"), f"bench-{time.monotonic_ns()}"
    run = measure([BINARIES["daybook"], "--quiet", "ingest", "--brokers", ARGS.brokers, "--topic", topic.name, "--group", group, "--ledger", out,
                   "--capture", "full" if bodies else "off", "--until-end"], cores)
    check_ledger(out, data)
    return {"s": run["wall"], "cpu": run["cpu"], "rss": run["rss"]}


def kafka_peer(topic, data, cores, bodies):
    out = fresh("peer-kafka")
    run = measure([PY, HERE / "peer_kafka_duckdb.py", "--brokers", ARGS.brokers, "--topic", topic.name, "--out", out, "--threads", cores,
                   *(["--content"] if bodies else [])], cores)
    check_peer(f"{out}/*.parquet", data)
    return {"s": json.loads(run["out"])["s"], "cpu": run["cpu"], "rss": run["rss"]}


def kafka():
    rows = []
    for data, what, bodies, unit in [(usage_data(), "2 KB usage events", False, "events/s"), (content_data(), "11 KB events with bodies", True, "MB/s")]:
        topic = Preloaded(data)
        try:
            for cores in CORES:
                note(f"Kafka to ledger, {what}, {cores} core(s)")
                ours, peer = interleave(lambda: kafka_ours(topic, data, cores, bodies), lambda: kafka_peer(topic, data, cores, bodies))
                targets = {"target": 100_000, "floor": 60_000} if not bodies and cores == 1 else {}
                rows.append({"what": what, "cores": cores, "unit": unit, "scale": data.bytes / MB if bodies else data.lines, "ours": ours, "peer": peer,
                             "peer_name": "consumer + DuckDB, at least once", **targets})
        finally:
            topic.remove()
    return {"rows": rows}


# ---- tables -------------------------------------------------------------------------------------------------------------------

def rates(row, side):
    return [row["scale"] / run["s"] for run in row[side]]


def ratios(row):
    return [peer["s"] / ours["s"] for ours, peer in zip(row["ours"], row["peer"])]


def number(value, unit):
    return f"{value:,.0f} {unit}"


def spread(values, digits=2):
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def median(row, side, key):
    return statistics.median(run[key] for run in row[side])


def verdict(row):
    """Against DESIGN's floor, by the medians."""
    if "floor_ratio" in row and statistics.median(ratios(row)) < row["floor_ratio"]:
        return "**below the floor**"
    if "floor" in row and statistics.median(rates(row, "ours")) < row["floor"]:
        return "**below the floor**"
    if "target" in row and statistics.median(rates(row, "ours")) >= row["target"]:
        return "target met"
    return "floor met" if "floor" in row or "floor_ratio" in row else ""


def rate_table(rows):
    lines = ["| what | cores | Daybook | peer | ratio (least to most) | CPU seconds, ours / peer | target | floor | |", "|---|---|---|---|---|---|---|---|---|"]
    for row in rows:
        unit = row["unit"]
        def side(name):
            text = number(statistics.median(rates(row, name)), unit)
            return text + (f", {median(row, name, 'bytes') / MB / median(row, name, 's'):,.0f} MB/s" if row.get("bytes") else "")
        floor = f"{row['floor_ratio']} x peer" if "floor_ratio" in row else number(row["floor"], unit) if "floor" in row else ""
        target = row.get("target_text", number(row["target"], unit) if "target" in row else "")
        lines.append(f"| {row['what']} | {row['cores']} | {side('ours')} | {side('peer')} | {spread(ratios(row))} | "
                     f"{median(row, 'ours', 'cpu'):.1f} / {median(row, 'peer', 'cpu'):.1f} | {target} | {floor} | {verdict(row)} |")
    peers = sorted({row["peer_name"] for row in rows})
    return [*lines, "", f"Peer: {'; '.join(peers)}. Ratio: our rate by the peer's, repetition by repetition; above 1 we are faster."]


def efficiency(rows):
    """What the second core brings."""
    out = []
    by = {(row["what"], row["cores"]): row for row in rows}
    for what in dict.fromkeys(row["what"] for row in rows):
        if (what, 1) in by and (what, 2) in by:
            gain = [statistics.median(rates(by[what, 2], side)) / statistics.median(rates(by[what, 1], side)) for side in ("ours", "peer")]
            out.append(f"{what}: {gain[0] / 2:.0%} of twice one core's rate (peer {gain[1] / 2:.0%})")
    return [f"Two cores, {'; '.join(out)}." + " Target: 90 %."] if out else []


def decode_table(result):
    return [*rate_table(result["rows"]), "", *efficiency(result["rows"])]


def memory_table(results):
    budget = (512 << 20) + 2 * FLUSH_BYTES
    lines = ["| run | cores | Daybook, most of all repetitions | peer | budget | |", "|---|---|---|---|---|---|"]
    for part, title in [("kafka", "Kafka to ledger"), ("decode", "decode to Parquet")]:
        for row in results.get(part, {}).get("rows", []):
            if "peer drops" in row["what"]:
                continue
            ours, peer = (max(run["rss"] for run in row[side]) for side in ("ours", "peer"))
            workers = row["cores"] if part == "decode" else 1
            state = "within" if ours <= workers * budget else "**above**"
            lines.append(f"| {title}, {row['what']} | {row['cores']} | {ours / MB:,.0f} MB | {peer / MB:,.0f} MB | {workers * budget / MB:,.0f} MB | {state} |")
    return [*lines, "", "Budget of a worker: 512 MiB and twice the flush bytes (128 MiB); `decode to Parquet` on two cores is two workers in one process."]


def stored_table(results):
    found = results["decode"]["stored"]
    def state(value, target):
        return "target met" if value <= target else "floor met" if value <= 1.1 * target else "**below the floor**"
    return ["| what | Daybook | DuckDB's Parquet, zstd 3 | target | floor | |", "|---|---|---|---|---|---|",
            f"| usage row | {found['usage_row']:.1f} B | {found['peer_usage_row']:.1f} B | 75 B | 82.5 B | {state(found['usage_row'], 75)} |",
            f"| content, by its JSON | {found['content_ratio']:.1%} | {found['peer_content_ratio']:.1%} | 22 % | 24.2 % | {state(found['content_ratio'], 0.22)} |"]


def geomean(values):
    return math.exp(statistics.fmean(map(math.log, values)))


def query_table(result):
    names = [name for name in result["cores"]["1"]["ours"][0]["queries"]]
    sixteen, fifteen = names[15:], names[:15]

    def by_query(cores, name):
        pair = result["cores"][cores]
        hot = [[run["queries"][name]["hot"] for run in pair[side]] for side in ("ours", "peer")]
        return hot, [ours / peer for ours, peer in zip(*hot)]

    lines = [f"{result['rows_in_ledger']:,} rows in {result['files']} files; times are of the fastest repetition inside a warm process, medians over "
             "processes.", "",
             "| query | 1 core: Daybook | DuckDB | time ratio (least to most) | 2 cores: Daybook | DuckDB | time ratio (least to most) | `daybook query`, process |",
             "|---|---|---|---|---|---|---|---|"]
    for name in names:
        cells = [name]
        for cores in ("1", "2"):
            (ours, peer), ratio = by_query(cores, name)
            cells += [f"{1e3 * statistics.median(ours):.1f} ms", f"{1e3 * statistics.median(peer):.1f} ms", spread(ratio)]
        lines.append(f"| {' | '.join(cells)} | {1e3 * result['process'][name]:.0f} ms |")
    lines += ["", "| what | cores | time ratio (least to most) | target | floor | |", "|---|---|---|---|---|---|"]
    for cores in ("1", "2"):
        pair = result["cores"][cores]
        means = [geomean([ours["queries"][name]["hot"] / peer["queries"][name]["hot"] for name in fifteen]) for ours, peer in zip(pair["ours"], pair["peer"])]
        state = "target met" if statistics.median(means) <= 1 else "floor met" if statistics.median(means) <= 1.6 else "**below the floor**"
        lines.append(f"| 15 queries, geometric mean | {cores} | {spread(means)} | 1.0 | 1.6 | {state} |")
        for name in sixteen:
            ratio = by_query(cores, name)[1]
            state = "target met" if statistics.median(ratio) < 1 else "**not faster**"
            lines.append(f"| one day | {cores} | {spread(ratio)} | below 1 | | {state} |")
    memory = [max(run["rss"] for cores in result["cores"].values() for run in cores[side]) / MB for side in ("ours", "peer")]
    return [*lines, "", f"All 16 results are equal, row for row. Time ratio: our time by DuckDB's; below 1 we are faster. Peak memory of the process: "
            f"ours {memory[0]:,.0f} MB, DuckDB {memory[1]:,.0f} MB. Process time is start to exit with every core, opening the ledger included."]


def machine_table(results):
    lines = ["| part | when | load before | events | repetitions | build |", "|---|---|---|---|---|---|"]
    for part in PARTS:
        if part in results:
            about = results[part]["about"]
            lines.append(f"| {part} | {about['day']} | {about['load']:.2f} | {about['events']} | {about['reps']} | {about['build']} |")
    about = next(results[part]["about"] for part in PARTS if part in results)
    return [f"{about['cpu']}, {about['cores']} cores, {about['memory_gb']} GB; Linux {about['kernel']}. {about['daybook']}, {about['rustc']}; DuckDB {duckdb.__version__}, "
            f"Python {platform.python_version()}.", "", *lines]


def about(part):
    cpu = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = int(re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())[1])
    events = {"query": f"{ARGS.query_events:,}"}.get(part, f"{ARGS.events:,} and {ARGS.content_events:,} with bodies")
    text = lambda *command: subprocess.run(command, capture_output=True, text=True).stdout.strip()
    return {"cpu": cpu[1].strip() if cpu else platform.machine(), "cores": len(os.sched_getaffinity(0)), "memory_gb": round(memory / 1e6),
            "kernel": platform.release().split("-")[0], "rustc": text("rustc", "--version").split(" (")[0], "daybook": text(str(BINARIES["daybook"]), "--version"),
            "day": time.strftime("%Y-%m-%d", time.gmtime()), "load": os.getloadavg()[0], "events": events,
            "reps": f"{ARGS.reps} x {ARGS.query_reps}" if part == "query" else str(ARGS.reps), "build": ARGS.build_name}


def write_doc(results):
    """Fills what stands between the markers of docs/performance.md; the reading of it is written by hand."""
    tables = {"machine": machine_table(results)}
    if "decode" in results:
        tables |= {"decode": decode_table(results["decode"]), "stored": stored_table(results)}
    if "kafka" in results:
        tables["kafka"] = decode_table(results["kafka"])
    if "query" in results:
        tables["query"] = query_table(results["query"])
    if "export" in results:
        tables["export"] = rate_table(results["export"]["rows"])
    if "decode" in results or "kafka" in results:
        tables["memory"] = memory_table(results)
    text = DOC.read_text()
    for name, lines in tables.items():
        filled = f"<!-- figures: {name} -->\n" + "\n".join(lines).rstrip() + "\n<!-- end -->"
        text, count = re.subn(rf"<!-- figures: {name} -->.*?<!-- end -->", lambda _: filled, text, flags=re.DOTALL)
        expect(f"markers of `{name}` in {DOC.name}", count, 1)
    DOC.write_text(text)


# ---- command line -------------------------------------------------------------------------------------------------------------

def build(arguments):
    """The binaries under test: those named, the others by cargo."""
    named = {"daybook": arguments.daybook, "decode_to_parquet": arguments.decode_to_parquet, "query_set": arguments.query_set}
    if not all(named.values()):
        command = ["cargo", "build", "--locked", "--profile", arguments.profile, "--bin", "daybook", "--bench", "decode_to_parquet",
                   "--bench", "query_set", "--message-format", "json"]
        out = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
        for message in map(json.loads, out.splitlines()):
            if message.get("executable") and message["target"]["name"] in named:
                named[message["target"]["name"]] = named[message["target"]["name"]] or Path(message["executable"])
    return {name: Path(path).resolve() for name, path in named.items()}


def main():
    global ARGS, BINARIES
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--only", default=",".join(PARTS), help="parts to run, of " + ", ".join(PARTS))
    add("--events", type=int, default=400_000, help="usage events of 2 KB")
    add("--content-events", type=int, default=40_000, help="events of 11 KB with bodies")
    add("--query-events", type=int, default=1_000_000, help="calls in the ledger that is queried")
    add("--reps", type=int, default=5, help="processes per side")
    add("--query-reps", type=int, default=5, help="runs of a query inside one process")
    add("--dir", type=Path, default=ROOT / "target" / "compare", help="data sets, results, outputs")
    add("--brokers", default=os.environ.get("KAFKA_BROKERS"), help="default: KAFKA_BROKERS; without them `kafka` is left out")
    add("--profile", default="dist", help="cargo profile; `dist` is that of shipped binaries")
    add("--daybook", help="a binary already built; likewise the next two")
    add("--decode-to-parquet")
    add("--query-set")
    add("--build-name", help="what to call the build in the table of machines; default: the profile")
    add("--render-only", action="store_true", help="write the tables from the results kept in --dir")
    add("--verbose", action="store_true", help="show what the measured programs say")
    ARGS = parser.parse_args()
    ARGS.dir = ARGS.dir.resolve()
    ARGS.build_name = ARGS.build_name or f"`{ARGS.profile}`"
    kept = ARGS.dir / "results.json"
    results = json.loads(kept.read_text()) if kept.exists() else {}
    if not ARGS.render_only:
        parts = ARGS.only.split(",")
        if unknown := set(parts) - set(PARTS):
            parser.error(f"unknown parts: {', '.join(unknown)}")
        BINARIES = build(ARGS)
        for part in parts:
            if part == "kafka" and not ARGS.brokers:
                note("KAFKA_BROKERS is not set: Kafka is left out")
                continue
            described = about(part)
            if described["load"] > 0.3:
                note(f"warning: the load is {described['load']:.2f}, the machine is not quiet")
            results[part] = globals()[part]() | {"about": described}
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(json.dumps(results, indent=1))
    write_doc(results)


if __name__ == "__main__":
    main()
