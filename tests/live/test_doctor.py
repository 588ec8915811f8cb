"""`daybook doctor` and the race before the first commit accept the S3 server of these tests and refuse one that lets two racers win."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from parts import BROKERS, DAYBOOK, Checks, Prefix, Topic, tail

here = Path(__file__).parent
checks = Checks()
# The answer is no; what was asked for cannot be.
NO, REFUSED = 1, 2


def run(environment, *arguments):
    done = subprocess.run([DAYBOOK, *arguments], env=os.environ | environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def race_finding(environment, ledger):
    """What `doctor` exits with, and the level of what it found out about put-if-absent."""
    code, out = run(environment, "doctor", "--ledger", ledger, "--brokers", BROKERS, "--format", "json")
    try:
        findings = json.loads(out)["findings"]
        return code, [found["level"] for found in findings if found["subject"] == "put if absent"]
    except (ValueError, KeyError):
        return code, tail(out)


def main():
    print("doctor", flush=True)
    name = f"doctor-{int(time.time())}"
    ledger = Prefix(name).url
    checks.equal("doctor accepts a store whose put-if-absent is atomic", race_finding({}, ledger), (0, ["ok"]))
    server = subprocess.Popen([sys.executable, here / "racy_s3.py"], stdout=subprocess.PIPE, text=True)
    try:
        racy = {"AWS_ENDPOINT_URL": server.stdout.readline().strip()}
        checks.equal("doctor refuses a store where two racers win", race_finding(racy, ledger), (NO, ["fail"]))
        event = here.parent / "fixtures" / "events" / "anthropic"
        topic = Topic(name, 1).name
        for name, command in [("ingest", ["ingest", "--brokers", BROKERS, "--topic", topic]), ("import", ["import", str(event)])]:
            code, out = run(racy, *command, "--ledger", ledger)
            checks.check(f"{name} makes no ledger there", code == REFUSED and "error[LEDGER-006]" in out, f"exit {code}: {tail(out)}")
    finally:
        server.kill()
        server.wait()
    sys.exit(checks.failed > 0)


if __name__ == "__main__":
    main()
