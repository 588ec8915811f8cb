"""What an operator sees when a part is missing: an error with a code, the place, a hint and the right exit code, in time."""

import os
import re
import socket
import subprocess
import sys
import tempfile
import time

from parts import BROKERS, BUCKET, DAYBOOK, Checks, Topic, tail

checks = Checks()
TIMEOUT_S = 60
REFUSED, UNAVAILABLE = 2, 4


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def refuses(name, place, exits, brokers=BROKERS, topic=None, ledger=None, **environment):
    """Runs `daybook ingest` against what cannot work and looks at how it says so."""
    command = [DAYBOOK, "ingest", "--brokers", brokers, "--topic", topic, "--group", "errors", "--ledger", ledger,
               "--start", "earliest", "--until-end"]
    started = time.monotonic()
    try:
        done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired as expired:
        checks.check(f"{name}: fails within {TIMEOUT_S} s", False, tail((expired.stderr or b"").decode()))
        return
    said = done.stderr
    checks.check(f"{name}: exit {' or '.join(map(str, exits))}", done.returncode in exits,
                 f"exit {done.returncode} after {time.monotonic() - started:.1f} s: {tail(said)}")
    checks.check(f"{name}: an error with its code", re.search(r"^error\[[A-Z]+-\d+\]: ", said, re.MULTILINE) is not None, tail(said))
    checks.check(f"{name}: the error names the place", place in said, f"no `{place}` in: {tail(said)}")
    checks.check(f"{name}: a hint", re.search(r"^hint: ", said, re.MULTILINE) is not None, tail(said))
    secrets = [environment.get("AWS_SECRET_ACCESS_KEY"), os.environ["AWS_SECRET_ACCESS_KEY"]]
    checks.check(f"{name}: no secret is shown", not any(secret in said + done.stdout for secret in secrets if secret))


def main():
    print("errors an operator meets", flush=True)
    stamp = int(time.time())
    topic = Topic(f"errors-{stamp}", 1).name
    ledger = f"s3://{BUCKET}/errors-{stamp}"
    absent = f"absent-{stamp}"
    down = f"127.0.0.1:{closed_port()}"
    refuses("no such topic", absent, [REFUSED, UNAVAILABLE], topic=absent, ledger=ledger)
    refuses("no such bucket", absent, [REFUSED, UNAVAILABLE], topic=topic, ledger=f"s3://{absent}/ledger")
    refuses("wrong S3 secret", BUCKET, [REFUSED, UNAVAILABLE], topic=topic, ledger=ledger, AWS_SECRET_ACCESS_KEY="not-the-secret")
    refuses("broker down", down, [UNAVAILABLE], brokers=down, topic=topic, ledger=ledger)
    refuses("store down", down, [UNAVAILABLE], topic=topic, ledger=ledger, AWS_ENDPOINT_URL=f"http://{down}")
    with tempfile.NamedTemporaryFile() as file:
        refuses("the ledger is a file", file.name, [REFUSED], topic=topic, ledger=file.name)
    sys.exit(checks.failed > 0)


if __name__ == "__main__":
    main()
