"""A sealed ledger on S3: whatever is altered, `verify` names it; what is erased is nowhere, and the proofs hold.

Calls are imported, sealed, compacted and sealed again. Then each object is altered as somebody with write access would, and put
back. At last everything said by one person is erased, and every object is searched, Parquet decompressed.
"""

import io
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow.parquet as pq

from parts import BUCKET, DAYBOOK, Checks, Prefix, tail

checks = Checks()
SECRET = "the-words-of-bob"
CALLS = 40


def event(number):
    said = f"{SECRET} {number}" if number % 4 == 0 else f"nothing {number}"
    return {"id": f"call-{number}", "call_type": "acompletion", "status": "success", "custom_llm_provider": "openai", "model": "gpt-4o",
            "startTime": 1_795_170_000 + number, "endTime": 1_795_170_001 + number, "prompt_tokens": number, "completion_tokens": 1,
            "total_tokens": number + 1, "response_cost": 0.25, "end_user": "bob" if number % 4 == 0 else "eve",
            "messages": [{"role": "user", "content": said}], "response": {"choices": []}, "metadata": {}}


def make_ledger(ledger, scratch, key):
    """Two imports, each sealed, compacted in between; returns the entry of a call of bob's."""
    for part in range(2):
        for number in range(part * CALLS, (part + 1) * CALLS, 4):
            path = scratch / f"{number}.jsonl"
            path.write_text("".join(json.dumps(event(at)) + "\n" for at in range(number, number + 4)))
        checks.runs(f"import {part + 1}", DAYBOOK, "--quiet", "import", "--ledger", ledger.url, *sorted(scratch.glob("*.jsonl")))
        seal(ledger, key)
        checks.runs("maintain", DAYBOOK, "--quiet", "maintain", "--ledger", ledger.url)
        seal(ledger, key)
    found = checks.runs("query", DAYBOOK, "query", "--ledger", ledger.url, "--format", "csv", "-c",
                        "SELECT encode(entry_id, 'hex') FROM usage WHERE event_id = 'call-4'")
    return found.split()[-1]


def seal(ledger, key):
    checks.runs("seal", DAYBOOK, "--quiet", "seal", "--ledger", ledger.url, "--key", key)


def verify(ledger, vkey, *more):
    done = subprocess.run([DAYBOOK, "--quiet", "verify", ledger.url, "--key", vkey, *map(str, more)], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def check_named(what, ledger, vkey, changes, names, *more, exits=1):
    """With `changes` (key -> bytes, None to delete), `verify` exits so and names what is wrong; then they are undone."""
    kept = {key: ledger.read(key) for key in changes}
    for key, body in changes.items():
        put(ledger, key, body)
    code, out = verify(ledger, vkey, *more)
    checks.check(f"verify names {what}", code == exits and re.search(names, out), f"exit {code}, not {names} in: {tail(out, 6)}")
    for key, body in kept.items():
        put(ledger, key, body)


def put(ledger, key, body):
    place = {"Bucket": BUCKET, "Key": f"{ledger.prefix}/{key}"}
    ledger.s3.delete_object(**place) if body is None else ledger.s3.put_object(**place, Body=body)


def check_alterations(ledger, vkey, scratch):
    data = f"usage/{ledger.delta_log('usage').live[0].path}"
    flipped = bytearray(ledger.read(data))
    flipped[len(flipped) // 2] ^= 1
    check_named("a data file with one byte flipped", ledger, vkey, {data: bytes(flipped)}, re.escape(data))

    log = sorted(key for key in ledger.objects("usage/_delta_log/") if key.endswith(".json"))
    check_named("a commit that was taken away", ledger, vkey, {log[3]: None}, r"usage.*\b3\b")
    last = log[-1]
    check_named("the newest commit that was taken away", ledger, vkey, {last: None}, rf"usage.*\b{len(log) - 1}\b")
    other = re.sub(rb'("daybook\.(?:entries|rows)":)\d+', rb"\g<1>1", ledger.read(log[2]))
    check_named("a commit that was written anew", ledger, vkey, {log[2]: other}, r"usage.*\b2\b")

    sizes = sorted(ledger.objects("log/checkpoints/"), key=lambda key: int(key.rsplit("/", 1)[-1]))
    newest = "log/checkpoint"
    check_named("a checkpoint that nobody signed", ledger, vkey, {newest: ledger.read(newest).replace(b"\n", b"\n1", 1)}, "checkpoint")
    # So does a sealer leave it that is killed at the last step: told, and no difference.
    check_named("an old checkpoint in the place of the newest", ledger, vkey, {newest: ledger.read(sizes[0])},
                r"log/checkpoint: .*not the newest", exits=0)
    # Whoever holds the key can seal another history. Only a checkpoint that somebody kept tells.
    kept = scratch / "kept.checkpoint"
    kept.write_bytes(ledger.read(sizes[-1]))
    check_named("a history that is shorter than a kept checkpoint", ledger, vkey,
                {sizes[-1]: None, newest: ledger.read(sizes[-2])}, "", "--consistency", kept)
    checks.equal("verify accepts the ledger when all is put back", verify(ledger, vkey)[0], 0)


def texts(ledger):
    """Every object: as stored, and every value of every column if it is Parquet."""
    for key in ledger.objects(""):
        body = ledger.read(key)
        yield key, body
        if key.endswith(".parquet"):
            yield key, repr(pq.ParquetFile(io.BytesIO(body)).read().to_pydict()).encode()


def places_of(ledger, word):
    return sorted({key.split("/")[0] for key, text in texts(ledger) if word.encode() in text})


def check_erasure(ledger, vkey, key, entry, scratch):
    totals = lambda: checks.runs("query", DAYBOOK, "query", "--ledger", ledger.url, "--format", "csv", "-c",
                                 "SELECT count(*), sum(input_tokens), sum(reported_cost), count(content_sha256) FROM usage")
    before = totals()
    proof = scratch / "before.tlog-proof"
    checks.runs("prove", DAYBOOK, "prove", entry, "--ledger", ledger.url, "--out", proof)
    checks.equal("before the erasure the words are in content alone", places_of(ledger, SECRET), ["content"])
    certificate = scratch / "certificate.json"
    checks.runs("erase", DAYBOOK, "--quiet", "erase", "--subject", "bob", "--ledger", ledger.url, "--certificate", certificate)
    checks.equal("after the erasure the words are in no object", places_of(ledger, SECRET), [])
    checks.check("the certificate says what was removed", "content" in certificate.read_text(), certificate.read_text())
    checks.equal("counts, tokens, costs and digests are unchanged", totals(), before)
    checks.equal("verify accepts the ledger", verify(ledger, vkey)[0], 0)
    seal(ledger, key)
    checks.equal("verify accepts it sealed again", verify(ledger, vkey)[0], 0)
    checks.runs("a proof from before the erasure holds", DAYBOOK, "verify", "--proof", proof, "--key", vkey)
    checks.runs("an erased call can still be proven", DAYBOOK, "prove", entry, "--ledger", ledger.url, "--out", scratch / "after.tlog-proof")
    checks.runs("and that proof holds", DAYBOOK, "verify", "--proof", scratch / "after.tlog-proof", "--key", vkey)


def main():
    print("evidence: alterations and an erasure", flush=True)
    ledger = Prefix(f"evidence-{int(time.time())}")
    with tempfile.TemporaryDirectory(prefix="daybook-live-evidence.") as scratch:
        scratch = Path(scratch)
        key = scratch / "seal.key"
        vkey = checks.runs("keys generate", DAYBOOK, "keys", "generate", key, "--name", "example.com/live").strip()
        entry = make_ledger(ledger, scratch, key)
        checks.equal("verify accepts a ledger that was compacted and sealed", verify(ledger, vkey)[0], 0)
        check_alterations(ledger, vkey, scratch)
        check_erasure(ledger, vkey, key, entry, scratch)
    sys.exit(checks.failed > 0)


if __name__ == "__main__":
    main()
