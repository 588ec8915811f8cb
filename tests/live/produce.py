"""Sends seeded AI usage events to a Kafka topic and writes what a ledger of them must hold.

The calls, their tokens and their costs depend on --seed, --events and the rates; --end moves their times and nothing else.
Of the calls nine in ten come as LiteLLM StandardLoggingPayload, the rest as captured OpenAI chat completions (plain and
streamed) and Anthropic messages. On top come duplicates, half redelivered byte for byte, half sent again by a sender that
retried (same id, later end), and half of each under another key, so on any partition; and poison: messages that no decoder can
read. The truth is one JSON file: {"totals": {...}, "calls": {id: [input_tokens, output_tokens, reported_cost]}}.
"""

import argparse
import contextlib
import json
import random
import sys
import time
from decimal import Decimal
from functools import partial

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

# provider, requested model, served model, nano-dollars per input and per output token, weight
MODELS = [
    ("openai", "gpt-4o", "gpt-4o-2024-11-20", 2_500, 10_000, 20),
    ("openai", "gpt-4o-mini", "gpt-4o-mini-2024-07-18", 150, 600, 30),
    ("anthropic", "claude-sonnet-4-5", "claude-sonnet-4-5-20250929", 3_000, 15_000, 25),
    ("anthropic", "claude-haiku-4-5", "claude-haiku-4-5-20251001", 1_000, 5_000, 15),
    ("gemini", "gemini-2.5-flash", "gemini-2.5-flash", 300, 2_500, 10),
]
TEAMS = ["Claims", "Support", "Search", "Billing", "Größe & Maß", "翻訳"]
SENTENCES = [
    "Summarise the attached invoice in two lines.", "Which pallets are late, and why?", "Ist die Lieferung schon verzollt?",
    'The customer wrote: "where is my order?"', "Translate to 日本語, keep the tone 🙂.", "A path like C:\\temp\\new must survive.",
    "List every clause that mentions notice periods.", "Rewrite this politely.\nKeep the numbers.", "¿Cuántos palés quedan?",
    "Compare the two offers and name the cheaper one.", "Explain the difference between net and gross.", "Yes.", "No, not yet.",
]
WINDOW_S = 3 * 3600
# Longer than a broker takes to start again.
STUCK_S = 20


def text(rng, sentences_max):
    return " ".join(rng.choices(SENTENCES, k=rng.randint(1, sentences_max)))


def tokens(rng):
    return int(rng.lognormvariate(6.3, 1.1)) + 1, int(rng.lognormvariate(5.2, 1.0)) + 1


def litellm(rng, model, started_at):
    """One StandardLoggingPayload and its truth. A failed call carries zeros for tokens: the truth is that nobody knows."""
    provider, requested, served, nano_in, nano_out, _ = model
    input_tokens, output_tokens = tokens(rng)
    outcome = rng.random()
    failed, from_cache = outcome < 0.01, 0.01 <= outcome < 0.02
    if failed:
        input_tokens = output_tokens = 0
    nanos = 0 if failed or from_cache else input_tokens * nano_in + output_tokens * nano_out
    cost = nanos / 1e9  # prints as the shortest decimal that reads back the same, as the gateway itself prints it: 1.23e-05
    assert Decimal(repr(cost)) == Decimal(nanos).scaleb(-9)
    cached = input_tokens * rng.randrange(90) // 100 if rng.random() < 0.3 else 0
    duration = rng.randrange(150, 25_000) / 1000
    stream = rng.random() < 0.5
    call = f"{rng.getrandbits(128):032x}"
    key = rng.randrange(300)
    team = TEAMS[key % len(TEAMS)]
    usage = {
        "prompt_tokens": input_tokens, "completion_tokens": output_tokens, "total_tokens": input_tokens + output_tokens,
        "prompt_tokens_details": {"cached_tokens": cached, "text_tokens": input_tokens - cached},
        "completion_tokens_details": {"reasoning_tokens": output_tokens // 4, "text_tokens": output_tokens - output_tokens // 4},
    }
    answer = {"id": f"chatcmpl-{call}", "choices": [{
        "index": 0, "finish_reason": "stop",
        "message": {"role": "assistant", "content": text(rng, 8), "tool_calls": None}}]}
    event = {
        "id": f"chatcmpl-{call}", "trace_id": f"{rng.getrandbits(128):032x}", "session_id": f"s-{rng.randrange(5000)}",
        "litellm_call_id": call, "call_type": "acompletion", "stream": stream, "response_cost": cost,
        "cost_breakdown": None, "response_cost_failure_debug_info": None, "status": "failure" if failed else "success",
        "status_fields": {"llm_api_status": "failure" if failed else "success", "guardrail_status": "not_run"},
        "custom_llm_provider": provider, "total_tokens": input_tokens + output_tokens, "prompt_tokens": input_tokens,
        "completion_tokens": output_tokens, "startTime": started_at, "endTime": started_at + duration,
        "completionStartTime": started_at + duration / 3, "response_time": duration / 3 if stream else duration,
        "model_map_information": {"model_map_key": served, "model_map_value": None}, "model": served, "model_id": f"dep-{key % 9}",
        "model_group": requested, "api_base": f"https://{provider}.example.com",
        "metadata": {
            "user_api_key_hash": f"{key:064x}", "user_api_key_alias": f"key-{key:03}", "user_api_key_team_id": f"team-{key % 6}",
            "user_api_key_team_alias": team, "user_api_key_user_id": f"u-{key}", "user_api_key_org_id": None,
            "spend_logs_metadata": None, "requester_ip_address": "10.1.2.3", "usage_object": None if failed else usage},
        "cache_hit": from_cache, "cache_key": None, "saved_cache_cost": 0.0, "request_tags": ["live"],
        "end_user": f"cust-{rng.randrange(900)}", "requester_ip_address": "10.1.2.3", "user_agent": "openai-python",
        "messages": [{"role": "system", "content": SENTENCES[key % len(SENTENCES)]}, {"role": "user", "content": text(rng, 8)}],
        "response": None if failed else answer, "error_str": "rate limited" if failed else None,
        "error_information": {"error_code": "429", "error_class": "RateLimitError", "llm_provider": provider,
                              "error_message": "rate limited", "traceback": ""} if failed else None,
        "model_parameters": {"temperature": 0.2},
        "hidden_params": {"model_id": f"dep-{key % 9}", "cache_key": None, "api_base": None, "response_cost": cost,
                          "litellm_overhead_time_ms": 4.1, "additional_headers": {}, "batch_models": None,
                          "litellm_model_name": served, "usage_object": None},
        "guardrail_information": None, "standard_built_in_tools_params": None,
    }
    reported = str(Decimal(nanos).scaleb(-9))
    return event["id"], event, [None, None, reported] if failed else [input_tokens, output_tokens, reported]


def capture(rng, api, endpoint, started_at, request, answer):
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(started_at)) + f".{int(started_at % 1 * 1000):03}Z"
    envelope = {"api": api, "endpoint": endpoint, "started_at": stamp, "duration_ms": rng.randrange(150, 25_000), "http_status": 200}
    return {"capture": envelope, "request": request} | answer


def openai(rng, model, started_at):
    """A captured chat completion, one in three as the parsed events of its stream."""
    _, requested, served, *_ = model
    input_tokens, output_tokens = tokens(rng)
    call = f"chatcmpl-{rng.getrandbits(128):032x}"
    request = {"model": requested, "messages": [{"role": "user", "content": text(rng, 8)}]}
    usage = {
        "prompt_tokens": input_tokens, "completion_tokens": output_tokens, "total_tokens": input_tokens + output_tokens,
        "prompt_tokens_details": {"cached_tokens": input_tokens // 3, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": output_tokens // 2, "audio_tokens": 0,
                                      "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0}}
    common = {"id": call, "created": int(started_at), "model": served}
    if rng.random() < 1 / 3:
        request |= {"stream": True, "stream_options": {"include_usage": True}}
        chunk = common | {"object": "chat.completion.chunk", "usage": None}
        deltas = [{"role": "assistant", "content": ""}, {"content": text(rng, 4)}, {"content": text(rng, 4)}, {}]
        answer = {"stream": [chunk | {"choices": [{"index": 0, "delta": delta, "logprobs": None,
                                                   "finish_reason": None if delta else "stop"}]} for delta in deltas]
                  + [chunk | {"choices": [], "usage": usage}]}
    else:
        message = {"role": "assistant", "content": text(rng, 8), "refusal": None, "annotations": []}
        answer = {"response": common | {"object": "chat.completion", "service_tier": "default", "usage": usage, "choices": [
            {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}]}}
    event = capture(rng, "openai.chat.completions", "https://api.openai.com/v1/chat/completions", started_at, request, answer)
    return call, event, [input_tokens, output_tokens, None]


def anthropic(rng, model, started_at):
    """A captured message; its `input_tokens` leaves out what was read from and written to the cache, the truth does not."""
    _, requested, served, *_ = model
    fresh, output_tokens = tokens(rng)
    read = rng.randrange(20_000) if rng.random() < 0.4 else 0
    write_5m, write_1h = (rng.randrange(4_000), rng.randrange(4_000)) if rng.random() < 0.3 else (0, 0)
    call = f"msg_{rng.getrandbits(96):024x}"
    request = {"model": requested, "max_tokens": 1024, "system": [{"type": "text", "text": text(rng, 3)}],
               "messages": [{"role": "user", "content": text(rng, 8)}]}
    response = {
        "id": call, "type": "message", "role": "assistant", "model": served, "stop_reason": "end_turn", "stop_sequence": None,
        "content": [{"type": "text", "text": text(rng, 8)}],
        "usage": {"input_tokens": fresh, "cache_creation_input_tokens": write_5m + write_1h, "cache_read_input_tokens": read,
                  "cache_creation": {"ephemeral_5m_input_tokens": write_5m, "ephemeral_1h_input_tokens": write_1h},
                  "output_tokens": output_tokens, "service_tier": "standard", "inference_geo": "global"}}
    event = capture(rng, "anthropic.messages", "https://api.anthropic.com/v1/messages", started_at, request, {"response": response})
    return call, event, [fresh + read + write_5m + write_1h, output_tokens, None]


def retried(event):
    """The same call as a sender that retried reports it: everything equal but the end."""
    if "capture" in event:
        return event | {"capture": event["capture"] | {"duration_ms": event["capture"]["duration_ms"] + 1250}}
    return event | {"endTime": event["endTime"] + 1.25}


def poison(rng, nearby):
    """Bytes that are no event: noise, a torn event, JSON of no known shape, text that is not UTF-8, nothing."""
    return rng.choice([
        bytes([0xFF]) + rng.randbytes(rng.randrange(1, 400)), nearby[: len(nearby) // 2], b'{"hello": %d}' % rng.randrange(1000),
        b"[1, 2, 3]", b'{"id": "\xc3\x28", "call_type": ', b'"just text"', b"",
    ])


def encode(event):
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()


def messages(args, truth):
    """Yields (key, value) in the order to send and fills `truth` meanwhile."""
    rng, events = random.Random(args.seed), args.events
    weights = [model[-1] for model in MODELS]
    calls, totals = truth["calls"], truth["totals"]
    later = {}  # index -> what is sent again before that call
    for index in range(events):
        for message in later.pop(index, []):
            totals["duplicates"] += 1
            yield message
        started_at = args.end - WINDOW_S * (1 - index / events) + rng.uniform(-2, 2)
        kind, make = rng.random(), litellm
        model = rng.choices(MODELS, weights)[0]
        if kind < 0.10:
            model, make = (rng.choice(MODELS[:2]), openai) if kind < 0.06 else (rng.choice(MODELS[2:4]), anthropic)
        call, event, expected = make(rng, model, round(started_at, 6))
        calls[call] = expected
        value = encode(event)
        yield call.encode(), value
        if rng.random() < args.duplicates:
            # Most come soon, as retries do; some so late that other batches and other workers lie between.
            distance = rng.randrange(1, 5_000) if rng.random() < 0.8 else rng.randrange(1, events)
            again = value if rng.random() < 0.5 else encode(retried(event))
            key = call if rng.random() < 0.5 else f"again-{call}"
            later.setdefault(min(index + distance, events), []).append((key.encode(), again))
        if rng.random() < args.poison:
            totals["poison"] += 1
            yield b"poison-%d" % index, poison(rng, value)
    for message in later.pop(events, []):
        totals["duplicates"] += 1
        yield message
    totals["calls"] = len(calls)
    totals["messages"] = len(calls) + totals["duplicates"] + totals["poison"]
    for position, name in enumerate(["input_tokens", "output_tokens"]):
        totals[name] = sum(call[position] or 0 for call in calls.values())
    totals["reported_cost"] = str(sum((Decimal(call[2] or 0) for call in calls.values()), Decimal(0)))


class Sender:
    """A producer that is replaced if it is stuck.

    librdkafka may take a partition to be without a leader for good, once a broker that shuts down said so
    (confluentinc/librdkafka, issue 5430): it then acknowledges nothing, whatever the broker does.
    """

    def __init__(self, brokers, topic):
        self.brokers, self.topic = brokers, topic
        self.waiting, self.count, self.acknowledged, self.failures = {}, 0, 0, []
        self.start()

    def start(self):
        self.producer = Producer({
            "bootstrap.servers": self.brokers, "enable.idempotence": True, "linger.ms": 20, "compression.type": "lz4",
            "queue.buffering.max.messages": 100_000})
        self.progressed = time.monotonic()

    def send(self, key, value):
        self.count += 1
        self.waiting[self.count] = (key, value)
        self.queue(self.count, key, value)

    def queue(self, number, key, value):
        producer = self.producer
        # One that took its place was given all that waits.
        while producer is self.producer:
            try:
                return producer.produce(self.topic, key=key, value=value, on_delivery=partial(self.delivered, number))
            except BufferError:
                self.poll(0.1)

    def delivered(self, number, error, _):
        self.progressed = time.monotonic()
        if error:
            self.failures.append(error)
        else:
            self.acknowledged += self.waiting.pop(number, None) is not None

    def poll(self, seconds):
        self.producer.poll(seconds)
        if self.waiting and time.monotonic() - self.progressed > STUCK_S:
            self.replace()

    def replace(self):
        """Sends what waits by another producer, unless some of it may be there: the truth says what was sent once."""
        with contextlib.closing(Consumer({"bootstrap.servers": self.brokers, "group.id": "produce", "log_level": 0})) as asking:
            try:
                partitions = asking.list_topics(self.topic, timeout=5).topics[self.topic].partitions
                ends = [asking.get_watermark_offsets(TopicPartition(self.topic, number), timeout=5) for number in partitions]
            except KafkaException:  # It is away, for as long as it takes.
                self.progressed = time.monotonic()
                return
        there = sum(end for _, end in ends)
        if there != self.acknowledged:
            sys.exit(f"produce: stuck, with {self.acknowledged} messages acknowledged and {there} there")
        print(f"produce: stuck, {len(self.waiting)} messages go by another producer", flush=True)
        self.producer.purge()
        self.producer = None
        self.start()
        for number, (key, value) in list(self.waiting.items()):
            self.queue(number, key, value)

    def finish(self, seconds):
        """Waits for acknowledgements; how many messages have none."""
        until = time.monotonic() + seconds
        while self.waiting and time.monotonic() < until:
            self.poll(0.1)
        return len(self.waiting)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--brokers", required=True)
    parser.add_argument("--topic", required=True, help="must exist")
    parser.add_argument("--truth", required=True, help="file to write, once everything is sent")
    parser.add_argument("--events", type=int, default=200_000, help="calls; duplicates and poison come on top")
    parser.add_argument("--duplicates", type=float, default=0.02, help="share of the calls that are sent again")
    parser.add_argument("--poison", type=float, default=0.0002, help="messages that are no event, for each call")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--end", type=float, default=time.time(), help="epoch seconds; the calls started in the 3 hours before")
    parser.add_argument("--rate", type=int, default=0, help="messages per second at most; 0 is as fast as possible")
    args = parser.parse_args()

    sender = Sender(args.brokers, args.topic)
    truth = {"totals": {"duplicates": 0, "poison": 0}, "calls": {}}
    started = time.monotonic()
    for sent, (key, value) in enumerate(messages(args, truth)):
        sender.send(key, value)
        if sent % 200 == 0:
            sender.poll(0)
            ahead = sent / args.rate - (time.monotonic() - started) if args.rate else 0
            if ahead > 0:
                time.sleep(ahead)
    unsent = sender.finish(90)
    if unsent:
        sys.exit(f"produce: {unsent} messages unsent, {len(sender.failures)} failed: {sender.failures[:3]}")
    with open(args.truth, "w") as file:
        json.dump(truth, file)
    seconds = time.monotonic() - started
    print(f"produced {truth['totals']} in {seconds:.1f} s")


if __name__ == "__main__":
    main()
