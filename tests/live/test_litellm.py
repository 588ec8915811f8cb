"""A real LiteLLM proxy with mock answers, logging to `daybook receive`: what the ledger says is what the proxy answered."""

import csv
import http.client
import io
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from parts import BROKERS, DAYBOOK, LOGS, Checks, Prefix, Topic, abort, note, tail

checks = Checks()
TOKEN = "live-test-token-of-litellm"
KEY = "sk-live-test"
CALLS = 10
START_TIMEOUT_S = 120
# Answers of several lengths; the first letters of a model's name say what is asked of it.
ANSWERS = {
    "mock-short": "Yes.",
    "mock-long": "The ledger keeps one immutable row per call, and never the same call twice. " * 20,
    "mock-unicode": "Größe, 数量, \U0001f4d2 and \"quotes\"\n",
}


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def proxy_config(receiver):
    """Models that answer without a provider, and the callback as docs/gateways.md shows it."""
    models = [{"model_name": name, "litellm_params": {"model": "openai/gpt-4o-mini", "api_key": "none", "mock_response": text}}
              for name, text in ANSWERS.items()]
    limited = {"model": "openai/gpt-4o-mini", "api_key": "none", "mock_response": "litellm.RateLimitError"}
    return {
        "model_list": models + [{"model_name": "mock-limited", "litellm_params": limited}],
        "litellm_settings": {"callbacks": ["daybook"], "telemetry": False, "num_retries": 0},
        "callback_settings": {"daybook": {
            "callback_type": "generic_api",
            "endpoint": f"http://{receiver}/v1/events?format=litellm-standard",
            "headers": {},
            "max_retries": 5,
        }},
        "general_settings": {"master_key": KEY},
    }


class Receiver:
    """`daybook receive` on a free port; its log goes to a file."""

    def __init__(self, topic):
        self.log = LOGS / "receive.log"
        command = [DAYBOOK, "receive", "--brokers", BROKERS, "--listen", "127.0.0.1:0", "--topic", topic,
                   "--busy-status", "503", "--log-format", "json"]
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(command, env=os.environ | {"DAYBOOK_RECEIVE_TOKENS": TOKEN}, stdout=log, stderr=log)

    def address(self):
        until = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < until and self.process.poll() is None:
            for line in self.log.read_text().splitlines():
                if '"address"' in line:
                    return json.loads(line)["fields"]["address"]
            time.sleep(0.1)
        abort(f"the receiver did not start: {tail(self.log.read_text())}")

    def stop(self):
        self.process.terminate()
        return self.process.wait(60)


class Proxy:
    """The LiteLLM proxy; its log goes to a file."""

    def __init__(self, receiver, scratch):
        self.port = free_port()
        self.log = LOGS / "litellm.log"
        config = Path(scratch, "litellm.json")
        # The file is read as YAML, which takes no pairs of surrogates.
        config.write_text(json.dumps(proxy_config(receiver), ensure_ascii=False), encoding="utf-8")
        # The price map of the package: no look-up elsewhere. Batch size and headers: see "LiteLLM" in docs/gateways.md.
        environment = os.environ | {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "DEFAULT_BATCH_SIZE": "1",
                                    "GENERIC_LOGGER_HEADERS": f"Authorization=Bearer {TOKEN}"}
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                [Path(os.environ["DAYBOOK_LIVE_LITELLM"], "bin", "litellm"), "--config", config, "--host", "127.0.0.1",
                 "--port", str(self.port)], env=environment, cwd=scratch, stdout=log, stderr=log)

    def wait(self):
        until = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < until and self.process.poll() is None:
            try:
                if self.ask("GET", "/health/liveliness")[0] == 200:
                    return
            except OSError:
                time.sleep(0.3)
        abort(f"the proxy did not start: {tail(self.log.read_text())}")

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request(method, path, body and json.dumps(body), {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read().decode()

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def call(proxy, model, number, stream):
    """One call; returns its id, and what the proxy said it used."""
    body = {"model": model, "messages": [{"role": "user", "content": f"question {number}: " + "how much? " * number}]}
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    status, text = proxy.ask("POST", "/v1/chat/completions", body)
    if status != 200:
        return abort(f"the proxy answered {status}: {tail(text)}")
    if stream:
        chunks = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
        ids = {chunk["id"] for chunk in chunks}
        usages = [chunk["usage"] for chunk in chunks if chunk.get("usage")]
        if (len(ids), len(usages)) != (1, 1):
            checks.check(f"{model}: a stream has one id and one usage", False, f"{ids}, {usages}")
        return ids.pop(), usages[-1]
    answer = json.loads(text)
    return answer["id"], answer["usage"]


def expected_of(usage, stream):
    return {"input_tokens": str(usage["prompt_tokens"]), "output_tokens": str(usage["completion_tokens"]),
            "streamed": stream, "gateway": "litellm"}


def run_calls(proxy):
    """Calls of every model, streamed and not; returns what the ledger has to say, by id."""
    asked = [(model, number, stream) for number in range(CALLS) for model in ANSWERS for stream in (False, True)]
    with ThreadPoolExecutor(4) as pool:
        answered = pool.map(lambda one: call(proxy, *one), asked)
        expected = {id: expected_of(usage, stream) for (_, _, stream), (id, usage) in zip(asked, answered)}
    checks.equal("every call has an id of its own", len(expected), CALLS * len(ANSWERS) * 2)
    status, _ = proxy.ask("POST", "/v1/chat/completions", {"model": "mock-limited", "messages": [{"role": "user", "content": "x"}]})
    checks.equal("a rate-limited call fails at the proxy", status, 429)
    return expected


def wait_for_events(topic, count):
    """Waits for `count` events, and for those that LiteLLM sends twice; returns whether there are so many."""
    until, found = time.monotonic() + 60, -1
    while time.monotonic() < until:
        before, found = found, sum(topic.end_offsets().values())
        if found == before and found >= count:
            note(f"{found} events of {count} calls")
            return True
        time.sleep(2)
    return False


def rows_of(ledger, sql):
    out = checks.runs("daybook query exits 0", DAYBOOK, "query", "--ledger", ledger.url, "--format", "csv", "-c", sql)
    return list(csv.DictReader(io.StringIO(out)))


def check_ledger(ledger, expected):
    rows = rows_of(ledger, "SELECT event_id, input_tokens, output_tokens, streamed, gateway FROM usage WHERE status = 'success'")
    # LiteLLM says nothing about streaming where there was none.
    found = {row.pop("event_id"): row | {"streamed": row["streamed"] == "true"} for row in rows}
    checks.equal("every successful call is an entry", (len(rows), found.keys() == expected.keys()), (len(expected), True))
    wrong = [f"{id}: found {found.get(id)}, expected {row}" for id, row in expected.items() if found.get(id) != row]
    checks.check("tokens, streamed or not, equal what the proxy answered", not wrong, f"{len(wrong)}, such as {wrong[:2]}")
    failed = rows_of(ledger, "SELECT http_status, input_tokens FROM usage WHERE status = 'error'")
    checks.check("the failed call is an entry with an error, without tokens", len(failed) == 1 and not failed[0]["input_tokens"], f"{failed}")
    (quarantined,) = rows_of(ledger, "SELECT count(*) AS n FROM quarantine")
    checks.equal("nothing is in quarantine", quarantined["n"], "0")


def main():
    print("a LiteLLM proxy, logging over HTTP", flush=True)
    name = f"litellm-{int(time.time())}"
    topic, ledger = Topic(name, 2), Prefix(name)
    receiver = Receiver(name)
    with tempfile.TemporaryDirectory(prefix="daybook-live-litellm.") as scratch:
        proxy = Proxy(receiver.address(), scratch)
        try:
            proxy.wait()
            expected = run_calls(proxy)
            # One event per call, the failed one among them.
            checks.check("every event is in Kafka", wait_for_events(topic, len(expected) + 1), f"{topic.end_offsets()}")
        finally:
            proxy.stop()
            checks.equal("the receiver drains and exits 0 on SIGTERM", receiver.stop(), 0)
    note(tail(receiver.log.read_text(), 2))
    checks.runs("daybook ingest exits 0", DAYBOOK, "ingest", "--brokers", BROKERS, "--topic", name, "--ledger", ledger.url, "--until-end")
    check_ledger(ledger, expected)
    sys.exit(checks.failed > 0)


if __name__ == "__main__":
    main()
