#!/usr/bin/env python3
"""Exports a ledger to a folder, killed with SIGKILL at seeded moments; the last run is not, and ends the bundle.

    tests/live/export_kill.py --ledger LEDGER --out DIR --binary target/debug/daybook

Needs Python alone. What the bundle has to be, an export that was never killed says.
"""

import argparse
import random
import subprocess
import sys
import time
from pathlib import Path

JOURNAL = "finished.jsonl"


def export(daybook, ledger, out, *more):
    return [daybook, "--quiet", "export", "--ledger", str(ledger), "--out", str(out), "--shard-bytes", str(1 << 20), *more]


def kill_once(command, finished, rng):
    """SIGKILL some data files further than the last run came, plus a moment; whether it was still running."""
    until = finished() + rng.randrange(1, 4)
    # Held back, so that there is something left to kill.
    process = subprocess.Popen([*command, "--rate-limit", str(16 << 20)], stdout=subprocess.DEVNULL)
    while process.poll() is None and finished() < until:
        time.sleep(0.02)
    time.sleep(rng.random() * 0.2)
    process.kill()
    return process.wait() < 0


def lines_but_the_first(text):
    """Data files that a journal calls finished."""
    return max(len(text.splitlines()) - 1, 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="target/debug/daybook")
    parser.add_argument("--ledger", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--kills", type=int, default=5)
    args = parser.parse_args()
    journal = args.out.with_name(f"{args.out.name}.partial") / JOURNAL
    finished = lambda: lines_but_the_first(journal.read_text()) if journal.exists() else 0
    rng = random.Random(args.seed)
    command = export(args.binary, args.ledger, args.out)
    killed = sum(kill_once(command, finished, rng) for _ in range(args.kills))
    print(f"killed {killed} of {args.kills} times, seed={args.seed}; {finished()} data files were finished then")
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    sys.exit(killed < args.kills)


if __name__ == "__main__":
    main()
