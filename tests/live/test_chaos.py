"""Four workers under every fault at once, then the ledger compared with the truth: each call is there once.

While a producer sends seeded events with duplicates and poison, the workers of one group join, leave and are killed with SIGKILL
every few seconds; the broker is restarted twice, once in order and once killed; the S3 server is away twice, once killed and once
frozen, so that it takes requests and answers none; and maintenance runs throughout, as one worker's own and as a command that is
killed now and then. To it every data file looks older than it keeps files that no commit names, those on their way included: it
compacts, and collects under the hands of the writers. `seed=` is printed; the same seed makes the same plan.
"""

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from confluent_kafka import KafkaException

from exact import TABLES, check_all, checks
from parts import BROKERS, BUCKET, DAYBOOK, LOGS, Prefix, Server, Topic, Worker, abort, kafka_answers, note, tail

here = Path(__file__).parent
PARTITIONS = 8
WORKERS = 4
MEMORY_MAX = 1 << 30
STOP_TIMEOUT_S = 120
# Exit codes with which a command says that something it needs is not there: it can be started again.
UNAVAILABLE = 4
# One that is told to leave before it has begun ends as any process does.
MAY_END = {0, UNAVAILABLE, -signal.SIGTERM}
AGED_S = 40 * 86_400


class Member:
    """A worker that is started again whatever ends it, as a supervisor does."""

    def __init__(self, number, *arguments):
        self.worker = Worker(f"chaos-{number}", *arguments)
        self.start_at = time.monotonic() + 3 * number
        self.leaving_since = None
        self.exits = Counter()
        self.peak_bytes = 0

    def runs(self):
        return self.worker.process is not None and not self.worker.exited()

    def look(self):
        """Takes its memory, notes how it ended, starts it when its time has come."""
        if self.runs():
            self.peak_bytes = max(self.peak_bytes, self.worker.peak_bytes())
            if self.leaving_since and time.monotonic() - self.leaving_since > STOP_TIMEOUT_S:
                self.end("still there", pause=0)
        elif self.start_at is None:
            how, code = "left" if self.leaving_since else "stopped by itself", self.worker.process.returncode
            if code not in MAY_END:
                note(f"{self.worker.name} {how}, exit {code:d}:\n{tail(self.worker.log.read_text(), 10)}")
            self.end(f"{how}, exit {code:d}", pause=1)
        elif time.monotonic() >= self.start_at:
            self.worker.start()
            self.start_at = None

    def leave(self):
        self.worker.process.terminate()
        self.leaving_since = time.monotonic()

    def end(self, how, pause):
        self.worker.kill()
        self.exits[how] += 1
        self.leaving_since = None
        self.start_at = time.monotonic() + pause


class Maintenance(threading.Thread):
    """`daybook maintain` again and again, with one run in four killed, on data files that look old."""

    def __init__(self, ledger, rng):
        super().__init__(daemon=True)
        self.ledger, self.rng = ledger, rng
        self.done = threading.Event()
        self.exits = Counter()

    def run(self):
        while not self.done.wait(self.rng.uniform(1, 3)):
            # On a busy machine the first worker takes its time to make the ledger.
            if not age(self.ledger):
                continue
            with open(LOGS / "maintain.log", "a") as log:
                process = subprocess.Popen(maintain(self.ledger), stdout=log, stderr=log)
            try:
                self.exits[process.wait(self.rng.uniform(0.2, 3) if self.rng.random() < 0.25 else STOP_TIMEOUT_S)] += 1
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                self.exits["killed"] += 1


def maintain(ledger):
    return [DAYBOOK, "--quiet", "maintain", "--ledger", ledger.url]


def age(ledger, names="event_date=*/*.parquet"):
    """Makes data files old in the eyes of the S3 server, which keeps objects as files and takes their times for its own; says
    how many."""
    then, aged = time.time() - AGED_S, 0
    for path in Path(Server("s3").data, "s3", BUCKET, ledger.prefix).glob(f"*/{names}"):
        with contextlib.suppress(FileNotFoundError):
            os.utime(path, (then, then))
            aged += 1
    return aged


def plan_outages(rng, args):
    """What happens to the servers, and when: seconds from the start, what to do."""
    kafka, s3, plan = Server("kafka"), Server("s3"), []
    outages = [(s3, 0.15, "killed", lambda: s3.stop(signal.SIGKILL), s3.start), (s3, 0.6, "frozen", lambda: s3.signal(signal.SIGSTOP),
                                                                              lambda: s3.signal(signal.SIGCONT))]
    for server, share, how, begin, end in outages:
        at = (share + rng.uniform(0, 0.1)) * args.seconds
        plan += [(at, f"{server.name} {how} for {args.outage} s", begin), (at + args.outage, f"{server.name} back", end)]
    for share, how, number in [(0.4, "stopped", signal.SIGTERM), (0.8, "killed", signal.SIGKILL)]:
        at = (share + rng.uniform(0, 0.1)) * args.seconds
        plan.append((at, f"kafka {how} and started again", lambda number=number: (kafka.stop(number), kafka.start())))
    return sorted(plan, key=lambda step: step[0])


def wreak(members, rng, args):
    """Kills, stops and starts for as long as was asked; returns the number of kills."""
    began = time.monotonic()
    elapsed = lambda: time.monotonic() - began
    plan, kills, next_kill, next_leave = plan_outages(rng, args), 0, 4 * WORKERS, 4 * WORKERS
    while elapsed() < args.seconds or plan:
        for member in members:
            member.look()
        # On a busy machine a broker takes its time to start: what comes next waits for it.
        if plan and elapsed() >= plan[0][0] and kafka_answers():
            at, what, act = plan.pop(0)
            note(f"{elapsed():5.1f} s: {what}")
            late = elapsed() - at
            act()
            plan = [(at + late, *step) for at, *step in plan]
        running = [member for member in members if member.runs()]
        if running and elapsed() >= next_kill:
            kills += 1
            rng.choice(running).end("killed", pause=rng.uniform(0, 3))
            next_kill = elapsed() + rng.uniform(2, 5)
        staying = [member for member in members if member.runs() and not member.leaving_since]
        if len(staying) > 1 and elapsed() >= next_leave:
            rng.choice(staying).leave()
            next_leave = elapsed() + rng.uniform(6, 12)
        time.sleep(0.1)
    return kills


def lag_if_known(topic, group):
    try:
        return topic.lag(group)
    except KafkaException:  # A broker that was killed takes its time to come back.
        return None


def settle(topic, group, members, args):
    """Lets the workers read the rest, then stops them."""
    began = time.monotonic()
    while (lag := lag_if_known(topic, group)) != 0 and time.monotonic() - began < args.settle:
        until = time.monotonic() + 1
        while time.monotonic() < until:
            for member in members:
                member.look()
            time.sleep(0.1)
    if not checks.equal("everything is consumed in time", lag, 0):
        abort(f"no point in looking further: {[tail(member.worker.log.read_text(), 5) for member in members]}")
    note(f"{time.monotonic() - began:.1f} s from the end of the faults to no lag")
    for member in members:
        if member.runs():
            checks.equal(f"{member.worker.name} drains and exits 0 on SIGTERM", member.worker.stop(), 0)


def ingest_under_faults(topic, group, ledger, args, scratch):
    rng = random.Random(args.seed)
    common = ["--brokers", BROKERS, "--topic", topic.name, "--group", group, "--ledger", ledger.url, "--flush-rows", args.flush_rows,
              "--flush-interval-ms", 2_000, "-X", "session.timeout.ms=6000"]
    own = [[], ["--instance-id", "second"], ["--instance-id", "third"], ["--maintain-every", 10]]
    members = [Member(number, *common, *own[number]) for number in range(WORKERS)]
    truth, produce_log = Path(scratch, "truth.json"), LOGS / "produce.log"
    with open(produce_log, "w") as log:
        producer = subprocess.Popen(
            [sys.executable, here / "produce.py", "--brokers", BROKERS, "--topic", topic.name, "--truth", truth, "--events",
             str(args.events), "--seed", str(args.seed), "--duplicates", "0.03", "--poison", "0.01",
             "--rate", str(int(args.events / args.seconds * 1.2))], stdout=log, stderr=log)
    maintenance = Maintenance(ledger, random.Random(args.seed + 1))
    try:
        maintenance.start()
        kills = wreak(members, rng, args)
        if producer.wait(args.settle) != 0:
            abort(f"the producer failed: {tail(produce_log.read_text())}")
        note(tail(produce_log.read_text(), 1))
        settle(topic, group, members, args)
        maintenance.done.set()
        maintenance.join()
    finally:
        maintenance.done.set()
        for process in [producer, *(member.worker.process for member in members)]:
            if process and process.poll() is None:
                process.kill()
    check_ends(members, kills, maintenance, args)
    return json.loads(truth.read_text())


def check_ends(members, kills, maintenance, args):
    """The faults did happen, and nothing ended otherwise than it may."""
    exits = sum((member.exits for member in members), Counter())
    note(f"{kills} kills; workers {dict(exits)}; maintenance {dict(maintenance.exits)}")
    checks.check("workers were killed every few seconds", kills > (args.seconds - 4 * WORKERS) / 10, f"{kills} times")
    may = {"killed", f"stopped by itself, exit {UNAVAILABLE}", *(f"left, exit {code}" for code in MAY_END)}
    checks.check("a worker leaves when told, or stops because something is not there", exits.keys() <= may, f"{dict(exits)}")
    checks.check("maintenance ran, and failed only because something was not there",
                 maintenance.exits[0] > 0 and maintenance.exits.keys() <= {0, UNAVAILABLE, "killed"}, f"{dict(maintenance.exits)}")
    peaks = [f"{member.peak_bytes / 2**20:.0f} MiB" for member in members]
    note(f"peak memory of each worker {peaks}")
    checks.check("no worker takes 1 GiB", 0 < max(member.peak_bytes for member in members) < MEMORY_MAX, f"{peaks}")


def check_maintained(ledger):
    """A last maintenance leaves the files that are or were in the log, and nothing else."""
    age(ledger)
    # What a run leaves that was killed while it asked the store for the time.
    age(ledger, "_time-*")
    checks.runs("daybook maintain exits 0", *maintain(ledger))
    for table in TABLES:
        named = {file.path for file in ledger.delta_log(table).added}
        stored = {key.removeprefix(f"{table}/") for key in ledger.objects(f"{table}/")}
        rest = {path for path in stored - named if not path.startswith("_delta_log/")}
        checks.check(f"{table}: after maintenance no file is stored that no commit names", not rest, f"{len(rest)}, such as {sorted(rest)[:3]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=2_000_000, help="calls; 3 %% duplicates and 1 %% poison come on top")
    parser.add_argument("--seconds", type=int, default=600, help="for which faults go on")
    parser.add_argument("--outage", type=int, default=30, help="seconds for which the S3 server is away, each time")
    parser.add_argument("--settle", type=int, default=900, help="seconds at most to send and to read the rest")
    parser.add_argument("--flush-rows", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    args = parser.parse_args()
    print(f"chaos, {args.events} calls, {args.seconds} s of faults, seed={args.seed}", flush=True)

    name = f"chaos-{int(time.time())}-{args.seed}"
    topic, ledger = Topic(name, PARTITIONS), Prefix(name)
    with tempfile.TemporaryDirectory(prefix="daybook-live-chaos.") as scratch:
        truth = ingest_under_faults(topic, name, ledger, args, scratch)
        check_maintained(ledger)
        check_all(topic, name, ledger, truth, scratch)
    sys.exit(checks.failed > 0)


if __name__ == "__main__":
    main()
