"""What the live tests share: named checks, the daybook binary, Kafka's view, the bucket's view, the Delta log read by hand."""

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.parse
from dataclasses import dataclass, field
from pathlib import Path

import boto3
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

BROKERS = os.environ["KAFKA_BROKERS"]
BUCKET = os.environ["DAYBOOK_LIVE_BUCKET"]
DAYBOOK = os.environ["DAYBOOK_BIN"]
STATE = Path(__file__).parent / ".state"
LOGS = STATE / "logs"


class Checks:
    """Prints one line per named check; `run` counts them."""

    def __init__(self):
        self.failed = 0

    def check(self, name, held, detail=""):
        self.failed += not held
        print(f"{'ok  ' if held else 'FAIL'}  {name}{f': {detail}' if detail and not held else ''}", flush=True)
        return held

    def equal(self, name, found, expected):
        return self.check(name, found == expected, f"found {found}, expected {expected}")

    def runs(self, name, *command, cwd=None):
        """Checks that `command` exits 0 and returns its stdout."""
        done = subprocess.run([str(part) for part in command], cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        self.check(name, done.returncode == 0, f"exit {done.returncode}: {tail(done.stdout + done.stderr)}")
        return done.stdout

    def refuses(self, name, *command, cwd=None):
        """Checks that `command` ends, and not with exit 0."""
        done = subprocess.run([str(part) for part in command], cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        self.check(name, done.returncode > 0, f"exit {done.returncode}: {tail(done.stdout + done.stderr)}")


def note(text):
    print(f"      {text}", flush=True)


def tail(text, lines=15):
    return "\n".join(text.strip().splitlines()[-lines:])


def consumer(group):
    """One that joins nothing and asks questions."""
    return Consumer({"bootstrap.servers": BROKERS, "group.id": group, "log_level": 0})


class Topic:
    """A topic of our own, and what a consumer group has left to read in it."""

    def __init__(self, name, partitions):
        self.name = name
        self.admin = AdminClient({"bootstrap.servers": BROKERS, "log_level": 0})
        for created in self.admin.create_topics([NewTopic(name, partitions, 1)]).values():
            created.result()
        self.partitions = [TopicPartition(name, partition) for partition in range(partitions)]

    def cluster_id(self):
        return self.admin.list_topics(timeout=10).cluster_id

    # Asked for by a consumer: the admin client ends the process if a broker is away that it knew.
    def end_offsets(self):
        with contextlib.closing(consumer(self.name)) as asking:
            ends = {partition.partition: asking.get_watermark_offsets(partition, timeout=30) for partition in self.partitions}
        return {partition: end for partition, (_, end) in ends.items()}

    def committed_offsets(self, group):
        with contextlib.closing(consumer(group)) as asking:
            return {found.partition: max(found.offset, 0) for found in asking.committed(self.partitions, timeout=30)}

    def lag(self, group):
        committed = self.committed_offsets(group)
        return sum(end - committed[partition] for partition, end in self.end_offsets().items())


@dataclass
class DataFile:
    """A data file as its commit describes it; the path is below the table's root."""

    path: str
    size: int
    sha256: str
    batch_id: str


@dataclass
class DeltaLog:
    """A Delta table as its JSON commits tell it, read without any Delta library."""

    live: list = field(default_factory=list)
    added: list = field(default_factory=list)  # every file that ever was live
    positions: dict = field(default_factory=dict)  # appId -> version
    infos: list = field(default_factory=list)  # commitInfo of every version
    gapless: bool = True

    def batch_ids(self):
        return {info["daybook.batch_id"] for info in self.infos if "daybook.batch_id" in info}

    def counted(self, name):
        return sum(info.get(f"daybook.{name}", 0) for info in self.infos)


class Prefix:
    """One ledger's part of the bucket."""

    def __init__(self, prefix):
        self.prefix = prefix
        self.url = f"s3://{BUCKET}/{prefix}"
        self.s3 = boto3.client("s3")

    def objects(self, below):
        """Every object below `below`: key without the ledger's prefix -> size."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{self.prefix}/{below}")
        return {item["Key"][len(self.prefix) + 1:]: item["Size"] for page in pages for item in page.get("Contents", [])}

    def read(self, key):
        return self.s3.get_object(Bucket=BUCKET, Key=f"{self.prefix}/{key}")["Body"].read()

    def download(self, key, directory):
        """Fetches an object under its own key, so two tables' files cannot meet."""
        path = Path(directory, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        self.s3.download_file(BUCKET, f"{self.prefix}/{key}", str(path))
        return path

    def delta_log(self, table):
        log = DeltaLog()
        names = sorted(key for key in self.objects(f"{table}/_delta_log/") if re.search(r"/\d{20}\.json$", key))
        log.gapless = names == [f"{table}/_delta_log/{version:020}.json" for version in range(len(names))]
        live = {}
        for name in names:
            info, adds = {}, []
            for action in map(json.loads, self.read(name).splitlines()):
                if add := action.get("add"):
                    adds.append(add)
                elif remove := action.get("remove"):
                    live.pop(urllib.parse.unquote(remove["path"]))
                elif txn := action.get("txn"):
                    log.positions[txn["appId"]] = txn["version"]
                info = action.get("commitInfo", info)
            log.infos.append(info)
            for add in adds:
                path, tags = urllib.parse.unquote(add["path"]), add.get("tags") or {}
                live[path] = DataFile(path, add["size"], tags.get("daybook.sha256"), info.get("daybook.batch_id"))
                log.added.append(live[path])
        log.live = list(live.values())
        return log


class Server:
    """Kafka or the S3 server, as `up` started it: it can be stopped, frozen and started again."""

    def __init__(self, name):
        self.name = name
        self.data = (STATE / "data-dir").read_text().strip()
        self.pid_file = STATE / f"{name}.pid"
        self.process = None

    def signal(self, signal):
        os.kill(int(self.pid_file.read_text()), signal)

    def stop(self, signal):
        """Sends `signal` and waits for the end."""
        self.signal(signal)
        command_line = Path(f"/proc/{self.pid_file.read_text().strip()}/cmdline")
        # Whether a child of ours or of nobody, it may stay as a zombie, which has no command line.
        while command_line.exists() and command_line.read_bytes():
            time.sleep(0.05)
        if self.process:
            self.process.wait()

    def start(self):
        with open(LOGS / f"{self.name}.log", "a") as log:
            self.process = subprocess.Popen([f"{self.data}/{self.name}.start"], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            start_new_session=True)
        self.pid_file.write_text(f"{self.process.pid}\n")


def kafka_answers():
    try:
        socket.create_connection(BROKERS.split(":"), timeout=1).close()
    except OSError:
        return False
    return True


def storage_options():
    """The AWS settings of the environment, as Python's deltalake and polars want them."""
    names = ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_ALLOW_HTTP")
    return {name: os.environ[name] for name in names if name in os.environ}


class Worker:
    """One `daybook ingest` process; its stderr goes to a log of its own, over restarts."""

    def __init__(self, name, *arguments):
        self.name = name
        self.command = [DAYBOOK, "ingest", *map(str, arguments)]
        self.log = LOGS / f"{name}.log"
        self.process = None

    def start(self):
        with open(self.log, "a") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def peak_bytes(self):
        """The most memory that this process had so far, as the kernel counts; 0 if it is gone."""
        try:
            found = re.search(r"^VmHWM:\s+(\d+) kB", Path(f"/proc/{self.process.pid}/status").read_text(), re.M)
        except OSError:
            found = None
        return int(found[1]) << 10 if found else 0

    def exited(self):
        return self.process.poll() is not None

    def stop(self, timeout=60):
        """SIGTERM, and the exit code; None when it had to be killed."""
        self.process.terminate()
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            return None


def abort(reason):
    print(f"FAIL  {reason}", flush=True)
    sys.exit(1)
