"""A bundle straight to a bucket: killed with SIGKILL again and again it ends as one that never was; a bucket that refuses is told."""

import argparse
import hashlib
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import export_kill
from export_kill import JOURNAL, kill_once, lines_but_the_first
from import_kill import write_files
from parts import BUCKET, DAYBOOK, Checks, Prefix, note, tail

checks = Checks()


def export(ledger, out, *more):
    return export_kill.export(DAYBOOK, ledger, out, *more)


def finished(bucket):
    """Data files that the journal in the bucket calls finished."""
    try:
        return lines_but_the_first(bucket.read(JOURNAL).decode())
    except bucket.s3.exceptions.NoSuchKey:
        return 0


def refuses(name, command, place, exit_code, says, **environment):
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, timeout=60)
    said = done.stderr
    checks.equal(f"{name}: exit", done.returncode, exit_code)
    checks.check(f"{name}: an error that names the place and what to do", place in said and "\nhint: " in said, tail(said))
    checks.equal(f"{name}: the store's answer is told once", said.count(says), 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--size", type=int, default=30_000_000)
    parser.add_argument("--kills", type=int, default=5)
    args = parser.parse_args()
    print(f"a bundle to a bucket, killed {args.kills} times, seed={args.seed}", flush=True)
    rng = random.Random(args.seed)
    stamp = int(time.time())
    bucket = Prefix(f"bundle-{stamp}")
    with tempfile.TemporaryDirectory(prefix="daybook-bundle.") as scratch:
        scratch = Path(scratch)
        events, ledger, whole = scratch / "events", scratch / "ledger", scratch / "whole"
        events.mkdir()
        write_files(events, args.size, rng)
        # Unreadable lines are in it: that is an exit code of its own.
        subprocess.run([DAYBOOK, "--quiet", "import", str(events), "--ledger", str(ledger)], stdout=subprocess.DEVNULL)
        checks.runs("an export to a folder, never killed", *export(ledger, whole))

        killed = sum(kill_once(export(ledger, bucket.url), lambda: finished(bucket), rng) for _ in range(args.kills))
        checks.equal("exports to the bucket killed", killed, args.kills)
        note(f"{finished(bucket)} data files were finished then")
        checks.refuses("what is there then is no bundle", DAYBOOK, "--quiet", "verify", bucket.url)
        checks.runs("the export goes on to the end", *export(ledger, bucket.url))
        expected = {str(path.relative_to(whole)): digest(path.read_bytes()) for path in whole.rglob("*") if path.is_file()}
        found = {name: digest(bucket.read(name)) for name in bucket.objects("")}
        differing = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
        checks.check(f"each of {len(expected)} objects has the bytes of the file", not differing, str(differing[:5]))
        checks.runs("daybook verify of the bucket", DAYBOOK, "--quiet", "verify", bucket.url)

        refuses("the prefix is taken", export(ledger, bucket.url), bucket.url, 2, "already holds something")
        absent = f"s3://absent-{stamp}/bundle"
        refuses("no such bucket", export(ledger, absent), absent, 2, "NoSuchBucket")
        refuses("no such bucket, to verify", [DAYBOOK, "verify", absent], absent, 2, "NoSuchBucket")
        other = f"s3://{BUCKET}/refused-{stamp}"
        refuses("a wrong secret", export(ledger, other), other, 2, "SignatureDoesNotMatch", AWS_SECRET_ACCESS_KEY="not-the-secret")
        checks.equal("nothing was left where it was refused", Prefix(f"refused-{stamp}").objects(""), {})
    sys.exit(checks.failed > 0)


def digest(data):
    return hashlib.sha256(data).hexdigest()


if __name__ == "__main__":
    main()
