"""Two workers, one of them killed three times, a topic with duplicates and poison: the ledger holds each call once.

A producer sends seeded events while two `daybook ingest` processes of one group append them to a ledger on S3. One worker is
killed with SIGKILL and restarted three times at seeded moments. When the group has no lag left, the workers are stopped and
everything is compared with the producer's truth, first by readers that share no code with Daybook, then by Daybook itself.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from exact import check_all, check_export, checks
from parts import BROKERS, LOGS, Prefix, Topic, Worker, abort, note, tail

here = Path(__file__).parent
PARTITIONS = 8
KILLS = 3
LAG_TIMEOUT_S = 300


def ingest_while_killing(topic, group, ledger, args, scratch):
    """Runs producer and workers until nothing is left to read; returns the producer's truth."""
    rng = random.Random(args.seed)
    common = ["--brokers", BROKERS, "--topic", topic.name, "--group", group, "--ledger", ledger.url, "--start", "earliest",
              "--flush-rows", 10_000, "--flush-interval-ms", 2_000, "-X", "session.timeout.ms=6000"]
    victim, other = workers = [Worker("worker-1", *common), Worker("worker-2", *common)]
    truth = Path(scratch, "truth.json")
    produce_log = LOGS / "produce.log"
    with open(produce_log, "w") as log:
        producer = subprocess.Popen(
            [sys.executable, here / "produce.py", "--brokers", BROKERS, "--topic", topic.name, "--truth", truth, "--events",
             str(args.events), "--seed", str(args.seed), "--rate", str(args.events // args.seconds)], stdout=log, stderr=log)
    try:
        for worker in workers:
            worker.start()
        flowing = 0
        for number in range(KILLS):
            sleep_watching(rng.uniform(0.15, 0.3) * args.seconds, workers)
            flowing += producer.poll() is None or topic.lag(group) > 0
            victim.kill()
            down_for = rng.uniform(0, 2)
            note(f"kill {number + 1}: lag {topic.lag(group)}, {len(ledger.objects('usage/_delta_log/'))} commits; back in {down_for:.1f} s")
            time.sleep(down_for)
            victim.start()
        checks.equal("data was flowing at each of the kills", flowing, KILLS)
        if producer.wait(300) != 0:
            abort(f"the producer failed: {tail(produce_log.read_text())}")
        note(tail(produce_log.read_text(), 1))
        produced_at = time.monotonic()
        while (lag := topic.lag(group)) > 0 and time.monotonic() - produced_at < LAG_TIMEOUT_S:
            sleep_watching(1, workers)
        if not checks.equal("everything is consumed in time", lag, 0):
            abort(f"no point in looking further: {tail(other.log.read_text())}")
        note(f"{time.monotonic() - produced_at:.1f} s from the last message sent to no lag")
        for worker in workers:
            checks.equal(f"{worker.name} drains and exits 0 on SIGTERM", worker.stop(), 0)
    finally:
        for process in [producer, *(worker.process for worker in workers)]:
            if process and process.poll() is None:
                process.kill()
    return json.loads(truth.read_text())


def sleep_watching(seconds, workers):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for worker in workers:
            if worker.exited():
                abort(f"{worker.name} stopped by itself, exit {worker.process.returncode}: {tail(worker.log.read_text())}")
        time.sleep(0.1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--seconds", type=int, default=40, help="over which the events are sent")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    args = parser.parse_args()
    print(f"exactly once, seed={args.seed}", flush=True)

    name = f"exactly-once-{int(time.time())}-{args.seed}"
    topic, ledger = Topic(name, PARTITIONS), Prefix(name)
    with tempfile.TemporaryDirectory(prefix="daybook-live-check.") as scratch:
        truth = ingest_while_killing(topic, name, ledger, args, scratch)
        check_all(topic, name, ledger, truth, scratch)
        check_export(ledger, truth, scratch)
    sys.exit(checks.failed > 0)


if __name__ == "__main__":
    main()
