#!/usr/bin/env python3
"""Imports files of mixed events, killed with SIGKILL at seeded moments: it ends exact, in bounded memory.

    tests/live/import_kill.py --size 1G --binary target/release/daybook

Needs Python alone: the ledger is a local folder, and the binary under test answers the questions. The truth comes from the
generator: every call by its id, duplicates, unreadable lines. Peak memory is what the kernel counted for each run.
"""

import argparse
import csv
import gzip
import io
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MODELS = {"openai": "gpt-4o", "anthropic": "claude-haiku-4-5-20251001"}
WORDS = "the crane lifts nine tons of gravel over Grüße und 田中さん wait for no one 🎏 ".split()


def text_of(rng, prose):
    """Mostly short, sometimes long, now and then megabytes."""
    length = rng.choices([300, 3_000, 30_000, 2_000_000], [60, 30, 9.9, 0.1])[0]
    start = rng.randrange(len(prose))
    return (prose[start:] + prose * (length // len(prose) + 1))[:length]


def litellm(rng, call, text, started, tokens):
    return {"id": call, "call_type": "acompletion", "status": "success", "custom_llm_provider": "openai", "model": MODELS["openai"],
            "startTime": started, "endTime": started + 1.5, "prompt_tokens": tokens[0], "completion_tokens": tokens[1],
            "total_tokens": sum(tokens), "response_cost": 0.25, "metadata": {"user_api_key_team_alias": rng.choice(["search", "support"])},
            "messages": [{"role": "user", "content": text}], "response": {"choices": []}}


def capture(api, started):
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started))
    return {"api": api, "endpoint": "https://upstream.example.com/", "started_at": stamp, "duration_ms": 1500, "http_status": 200}


def chat(rng, call, text, started, tokens):
    request = {"model": MODELS["openai"], "messages": [{"role": "user", "content": text}]}
    choice = {"index": 0, "message": {"role": "assistant", "content": "Done.", "refusal": None}, "finish_reason": "stop"}
    usage = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)}
    response = {"id": call, "object": "chat.completion", "created": int(started), "model": MODELS["openai"], "choices": [choice],
                "usage": usage}
    return {"capture": capture("openai.chat.completions", started), "request": request, "response": response}


def messages(rng, call, text, started, tokens):
    request = {"model": MODELS["anthropic"], "max_tokens": 99, "messages": [{"role": "user", "content": text}]}
    response = {"id": call, "type": "message", "role": "assistant", "model": MODELS["anthropic"],
                "content": [{"type": "text", "text": "Done."}], "stop_reason": "end_turn",
                "usage": {"input_tokens": tokens[0], "output_tokens": tokens[1]}}
    return {"capture": capture("anthropic.messages", started), "request": request, "response": response}


def write_files(folder, size, rng):
    """Four JSONL files, one of them gzip, of `size` bytes together before compression; returns the truth."""
    prose = " ".join(rng.choice(WORDS) for _ in range(5_000))
    truth = {"records": 0, "calls": 0, "input_tokens": 0, "output_tokens": 0, "duplicates": 0, "poison": 0}
    started, number, kept = 1_795_046_400, 0, []
    for at, name in enumerate(["one.jsonl", "two.jsonl.gz", "three.ndjson", "four.log"]):
        opener = gzip.open(folder / name, "wb", 1) if name.endswith(".gz") else open(folder / name, "wb", 1 << 20)
        with opener as out:
            written = 0
            while written < size // 4:
                kind = rng.random()
                if kind < 0.005:
                    line = b'{"id": "poison", "call_type": '
                    truth["poison"] += 1
                elif kind < 0.025 and kept:
                    line = rng.choice(kept)
                    truth["duplicates"] += 1
                else:
                    number += 1
                    tokens = (rng.randrange(1, 20_000), rng.randrange(1, 2_000))
                    event = rng.choice([litellm, chat, messages])(
                        rng, f"call-{number}", text_of(rng, prose), started + rng.randrange(5 * 86_400), tokens)
                    line = json.dumps(event, ensure_ascii=False).encode()
                    truth["calls"] += 1
                    truth["input_tokens"] += tokens[0]
                    truth["output_tokens"] += tokens[1]
                    if len(line) < 5_000 and rng.random() < 0.01:
                        kept.append(line)
                out.write(line + b"\n")
                written += len(line) + 1
                truth["records"] += 1
    return truth


class Run:
    """One run of the import, and the peak of its memory."""

    def __init__(self, args, ledger, names, cwd):
        command = [args.binary, "--quiet", "import", "--ledger", str(ledger), *map(str, names)]
        self.output = tempfile.TemporaryFile()
        self.process = subprocess.Popen(command, cwd=cwd, stdout=self.output, stderr=subprocess.STDOUT,
                                        env=os.environ | {"DAYBOOK_FLUSH_BYTES_MAX": str(args.flush_bytes)})

    def kill_after(self, ledger, commits):
        """SIGKILL as soon as `commits` more commits are there, plus a moment, unless the run ended before."""
        log = ledger / "usage" / "_delta_log"
        count = lambda: len(list(log.glob("*.json")))
        until = count() + commits
        while count() < until:
            # Looked at and left: `wait` asks for what it used.
            if os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                return
            time.sleep(0.005)
        time.sleep(random.random() * 0.3)
        os.kill(self.process.pid, signal.SIGKILL)

    def wait(self):
        """Exit code, peak memory in bytes, and what was printed."""
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        self.output.seek(0)
        return self.process.returncode, usage.ru_maxrss * 1024, self.output.read().decode()


def query(args, ledger, sql):
    done = subprocess.run([args.binary, "query", "--ledger", str(ledger), "--format", "csv", "-c", sql], capture_output=True, text=True,
                          check=True)
    return next(csv.DictReader(io.StringIO(done.stdout)))


class Checks:
    failed = 0

    def equal(self, name, found, expected):
        ok = found == expected
        self.failed += not ok
        print(f"{'ok  ' if ok else 'FAIL'} {name}: {found}" + ("" if ok else f", expected {expected}"), flush=True)


def bytes_of(text):
    units = {"K": 10**3, "M": 10**6, "G": 10**9}
    return int(text[:-1]) * units[text[-1]] if text[-1] in units else int(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=bytes_of, default=bytes_of("200M"))
    parser.add_argument("--binary", default=os.environ.get("DAYBOOK_BIN", "target/release/daybook"), type=os.path.abspath)
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--flush-bytes", type=int, default=16 << 20)
    parser.add_argument("--memory-max", type=bytes_of, default=1 << 30)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    args = parser.parse_args()
    print(f"import, killed {args.kills} times, {args.size} bytes, seed={args.seed}", flush=True)
    rng = random.Random(args.seed)
    random.seed(args.seed)
    checks = Checks()
    with tempfile.TemporaryDirectory(prefix="daybook-import.") as scratch:
        scratch = Path(scratch)
        files, ledger = scratch / "files", scratch / "ledger"
        files.mkdir()
        truth = write_files(files, args.size, rng)
        print(f"     {truth}", flush=True)
        peaks, killed = [], 0
        for _ in range(args.kills):
            run = Run(args, ledger, ["files"], scratch)
            run.kill_after(ledger, 1 + rng.randrange(2))
            code, peak, _ = run.wait()
            killed += code == -signal.SIGKILL
            peaks.append(peak)
        began = time.monotonic()
        code, peak, said = Run(args, ledger, ["files"], scratch).wait()
        seconds = time.monotonic() - began
        peaks.append(peak)
        print("     " + said.replace("\n", "\n     "), flush=True)
        checks.equal("runs killed", killed, args.kills)
        checks.equal("the last run exits", code, 0)
        sql = ("SELECT count(*) AS calls, count(DISTINCT entry_id) AS ids, sum(input_tokens) AS input_tokens, "
               "sum(output_tokens) AS output_tokens FROM usage")
        wanted = {"calls": truth["calls"], "ids": truth["calls"], "input_tokens": truth["input_tokens"],
                  "output_tokens": truth["output_tokens"]}
        checks.equal("usage", {name: int(value) for name, value in query(args, ledger, sql).items()}, wanted)
        sql = "SELECT count(*) AS bodies, count(DISTINCT entry_id) AS ids FROM content"
        checks.equal("content", {name: int(value) for name, value in query(args, ledger, sql).items()},
                     {"bodies": truth["calls"], "ids": truth["calls"]})
        sql = "SELECT count(*) AS poison, count(DISTINCT topic || '@' || kafka_offset) AS places FROM quarantine"
        checks.equal("quarantine", {name: int(value) for name, value in query(args, ledger, sql).items()},
                     {"poison": truth["poison"], "places": truth["poison"]})
        checks.equal("counts of all commits", counted(ledger), {"messages": truth["records"], "entries": truth["calls"],
                                                                "duplicates": truth["duplicates"], "quarantined": truth["poison"]})
        os.rename(files / "one.jsonl", files / "renamed.txt")
        commits = len(list((ledger / "usage" / "_delta_log").glob("*.json")))
        again = Run(args, ledger, ["files"], scratch).wait()
        peaks.append(again[1])
        checks.equal("imported again, one file renamed: exit and new commits",
                     (again[0], len(list((ledger / "usage" / "_delta_log").glob("*.json"))) - commits), (0, 0))
        done = subprocess.run([args.binary, "--quiet", "verify", str(ledger)], capture_output=True, text=True)
        checks.equal("verify exits", done.returncode, 0)
        print(f"     peak memory of each run {[f'{peak / 2**20:.0f} MiB' for peak in peaks]}, last import {seconds:.1f} s", flush=True)
        checks.equal(f"peak memory stays below {args.memory_max} bytes", max(peaks) < args.memory_max, True)
    print(f"{'failed' if checks.failed else 'passed'}, seed={args.seed}", flush=True)
    sys.exit(checks.failed > 0)


def counted(ledger):
    """The sums of the counts that every commit of `usage` carries."""
    sums = {"messages": 0, "entries": 0, "duplicates": 0, "quarantined": 0}
    for entry in sorted((ledger / "usage" / "_delta_log").glob("*.json")):
        for line in entry.read_text().splitlines():
            info = json.loads(line).get("commitInfo", {})
            for name in sums:
                sums[name] += int(info.get(f"daybook.{name}", 0))
    return sums


if __name__ == "__main__":
    main()
