#!/usr/bin/env python3
"""Recomputes the cost of calls from a price sheet, by the text of docs/prices.md and none of the Rust code.

recompute.py SHEET.csv CASES.csv [--priced-min N]

CASES.csv comes from `cargo run -p daybook-ledger --example price_cases`. Every cost and every status is compared; the sheet's
own rows must all have been used. Exit 1 if anything differs.
"""

import argparse
import csv
import re
import sys
from collections import Counter, defaultdict
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Decimal, getcontext
from fnmatch import fnmatchcase

getcontext().prec = 120
ONE_PICO = Decimal("0.000000000001")
MILLION = Decimal(1_000_000)
TIERS = ["batch", "flex", "priority", "ultrafast", "decisions", "fast", "balanced", "off_peak"]
PARENT = {
    "cache_read": "input", "cache_write_5m": "input", "cache_write_30m": "input", "cache_write_1h": "input",
    "cache_write_12h": "input", "cache_write": "input", "input_audio": "input", "input_image": "input", "input_video": "input",
    "output_reasoning": "output", "output_audio": "output", "output_image": "output",
    "cache_read_audio": "cache_read", "cache_read_image": "cache_read", "cache_write_audio": "cache_write",
}
TOKENS = {"input", "output", *PARENT}
WRITES = {"cache_write", "cache_write_5m", "cache_write_30m", "cache_write_1h", "cache_write_12h"}
TOOLS = {
    "web_search_query_low", "web_search_query_medium", "web_search_query_high", "file_search_call",
    "code_interpreter_session", "google_maps_request",
}
TERMS = re.compile(r"uplift_(us|eu|regional)|discount_percent|capacity_hour|off_peak_hours_.*")
TIER_WORDS = {
    "": "", "default": "", "standard": "", "on_demand": "", "auto": "", "unspecified": "", "batch": "batch", "flex": "flex",
    "on_demand_flex": "flex", "priority": "priority", "on_demand_priority": "priority", "ultrafast": "ultrafast",
    "decisions": "decisions", "fast": "fast", "balanced": "balanced",
}
PROVISIONED = {"provisioned", "provisioned_throughput", "scale", "reserved"}
# What a meter that is not tokens is billed as, and when.
ALWAYS = {
    "web_search_requests": "web_search_query_medium", "search_units": "query", "queries": "query",
    "classifications": "classification", "file_search_requests": "file_search_call",
    "code_interpreter_sessions": "code_interpreter_session", "google_maps_requests": "google_maps_request",
}
WITHOUT_TOKENS = {
    "input_seconds": "audio_second", "audio_seconds": "audio_second", "output_seconds": "output_second",
    "output_images": "output_image_each", "input_characters": "input_character", "output_characters": "output_character",
}
IF_STATED = {"input_images": "input_image_each", "pages": "page"}
NEVER = {
    "tool_calls", "mcp_calls", "web_fetch_requests", "input_tool_use_tokens", "input_video_tokens", "accepted_prediction_tokens",
    "rejected_prediction_tokens", "billed_input_tokens", "billed_output_tokens", "billed_image_tokens",
    "cache_read_audio_tokens", "cache_read_image_tokens",
}
# Counts that are charged in place of those processed.
BILLED = {"billed_input_tokens": "input", "billed_output_tokens": "output", "billed_image_tokens": "input_image"}
# Rows no call can use: no source says how much context a search had, or that sound was written to a cache.
UNUSABLE = {"web_search_query_low", "web_search_query_high", "cache_write_audio"}
LAST_DAY = date.max


class Unpriced(Exception):
    """Why a call has no cost."""


def parse_unit(unit):
    """(tier, meter, thousands of tokens above which it holds)."""
    if TERMS.fullmatch(unit):
        return "", unit, None
    tier = next((tier for tier in TIERS if unit.startswith(tier + "_")), "")
    meter = unit[len(tier) + 1:] if tier else unit
    match = re.fullmatch(r"(.*)_above_(\d+)k", meter)
    return (tier, match[1], int(match[2])) if match else (tier, meter, None)


class Sheet:
    def __init__(self, file):
        self.products = defaultdict(list)
        self.discounts = []
        self.used, self.all = set(), set()
        for row in csv.DictReader(file):
            row["from"] = date.fromisoformat(row["effective_from"])
            row["to"] = date.fromisoformat(row["effective_to"]) if row["effective_to"] else LAST_DAY
            row["rate"] = Decimal(row["usd_per_million"])
            row["key"] = (row["provider"], row["model"], row["unit"], row["effective_from"])
            if row["unit"] == "discount_percent":
                self.discounts.append(row)
            elif row["unit"] != "capacity_hour":
                self.products[row["provider"], row["model"]].append(row)
            else:
                continue
            if parse_unit(row["unit"])[1] not in UNUSABLE:
                self.all.add(row["key"])
        self.providers = {provider for provider, _ in self.products}

    def find(self, provider, model):
        """The product a name means, by the five rules in their order."""
        if provider not in self.providers:
            raise Unpriced("unknown_provider")
        if not model:
            raise Unpriced("unknown_model")
        has = lambda name: (provider, name) in self.products
        if has(model):
            return model
        bare = without_address(provider, model)
        candidates = [bare]
        if (provider, bare) != ("openai", "gpt-4o-2024-05-13"):
            if provider == "bedrock":
                if bare.startswith("global."):
                    candidates.append(bare.removeprefix("global."))
                else:
                    match = re.fullmatch(r"(?:us|eu|apac|jp|au|ca|us-gov)\.(.*)", bare)
                    if match and not match[1].startswith(("anthropic.", "openai.")):
                        candidates.append(match[1])
            candidates.append(without_date(bare))
            if provider != "azure":
                snapshots = [name for owner, name in self.products if owner == provider and without_date(name) == bare]
                candidates.append(snapshots[0] if len(snapshots) == 1 else None)
        for name in candidates:
            if name and has(name):
                return name
        raise Unpriced("unknown_model")


def without_address(provider, model):
    if model.startswith("arn:"):
        match = re.search(r":(?:foundation-model|inference-profile)/(.*)", model)
        return match[1] if match else model
    model = model.removeprefix(provider + "/")
    for path in ("publishers/google/models/", "models/"):
        if model.startswith(path):
            return model.removeprefix(path)
    return model


def without_date(model):
    match = re.fullmatch(r"(.+)(?:-\d{4}-\d\d-\d\d|-\d{8}|@\d{8})", model, re.ASCII)
    return match[1] if match else None


class Card:
    """The rates of one product on one day."""

    def __init__(self, sheet, provider, model, day):
        self.provider, self.model, self.sheet = provider, model, sheet
        rows = [row for row in sheet.products[provider, model] if row["from"] <= day < row["to"]]
        if not rows:
            raise Unpriced("not_in_force")
        self.rates, self.uplifts, self.windows = {}, {}, []
        for row in rows:
            unit = row["unit"]
            if unit.startswith("uplift_"):
                self.uplifts[unit.removeprefix("uplift_")] = row
            elif unit.startswith("off_peak_hours_"):
                self.windows.append(row)
            else:
                self.rates[parse_unit(unit)] = (row["rate"], row)
        if self.has_fast_mode() and not any(tier == "fast" for tier, _, _ in self.rates):
            for (tier, meter, above), (rate, row) in list(self.rates.items()):
                if tier == "" and meter in TOKENS:
                    self.rates["fast", meter, above] = (2 * rate, row)
        self.thresholds = sorted({above for _, _, above in self.rates if above is not None})
        meant = [
            row for row in sheet.discounts
            if row["provider"] == provider and fnmatchcase(model, row["model"].replace("[", "[[]").replace("?", "[?]"))
            and row["from"] <= day < row["to"]
        ]
        self.discount = max(meant, key=lambda row: len(row["model"].replace("*", "")), default=None)

    def has_fast_mode(self):
        match = re.fullmatch(r"claude-opus-(\d+)(?:-(\d{1,2})(?!\d).*|-.*)?", self.model)
        return self.provider == "anthropic" and bool(match) and (int(match[1]), int(match[2] or 0)) >= (4, 8)

    def is_off_peak(self, at):
        minute = at.hour * 60 + at.minute
        for row in self.windows:
            first, last, *times = map(int, re.findall(r"\d+", row["unit"]))
            if first <= at.isoweekday() <= last and times[0] * 60 + times[1] <= minute < times[2] * 60 + times[3]:
                self.sheet.used.add(row["key"])
                return True
        return False

    def uplift(self, region):
        """What token rates are multiplied with, and the row that says so."""
        region = region.lower()
        if self.uplifts:
            row = self.uplifts.get(region if region in ("us", "eu") else None)
            if row is None and region not in ("", "global"):
                row = self.uplifts.get("regional")
            return (row["rate"], row) if row else (Decimal(1), None)
        known = {"anthropic": ("us",)}.get(self.provider, ())
        generation = re.match(r"gpt-(\d+)(?:\.(\d+))?(?=-|$)", self.model)
        if self.provider == "openai" and generation and (int(generation[1]), int(generation[2] or 0)) >= (5, 4):
            known = ("us", "eu")
        return (Decimal("1.1"), None) if region in known else (Decimal(1), None)

    def has(self, meter=None, tier=None, above=None):
        return any(
            (meter is None or meter == m) and (tier is None or tier == t) and (above is None or above == a)
            for t, m, a in self.rates
        )

    def band(self, input_tokens):
        beyond = 0 if self.provider == "xai" else 1
        passed = [above for above in self.thresholds if input_tokens >= above * 1000 + beyond]
        return passed[-1] if passed else None

    def resolve(self, tier, meter, above):
        """(rate, row) by the rules of docs/prices.md, "Which rate applies"; None if there is none."""
        stated = self.rates.get((tier, meter, above))
        if stated:
            return stated
        if tier == "batch" and meter == "cache_write_1h" and ("", meter, above) in self.rates:
            rate, row = self.rates["", meter, above]
            return rate / 2, row
        if tier == "off_peak" and (("", meter, above) in self.rates or meter not in PARENT):
            return self.resolve("", meter, above)
        if self.follows_parent(tier, meter):
            return self.resolve(tier, PARENT[meter], above)
        if meter in WRITES:
            others = ["cache_write_5m", "cache_write_30m"] if meter == "cache_write" else ["cache_write"]
            found = next((self.rates[tier, other, above] for other in others if (tier, other, above) in self.rates), None)
            return found or self.shorter(tier, meter, above)
        if meter in TOOLS:
            return self.rates.get(("", meter, None))
        return self.shorter(tier, meter, above)

    def follows_parent(self, tier, meter):
        if meter not in PARENT:
            return False
        if meter in WRITES:
            return not any(self.has(write) for write in WRITES)
        if meter == "cache_read":
            return not self.has(meter, tier)
        own, parents = self.rates.get(("", meter, None)), self.rates.get(("", PARENT[meter], None))
        return not self.has(meter) or bool(own and parents and own[0] == parents[0])

    def shorter(self, tier, meter, above):
        if above is None or self.has(meter, None, above):
            return None
        below = [threshold for threshold in self.thresholds if threshold < above]
        return self.resolve(tier, meter, below[-1] if below else None)


def count(call, name):
    return int(call[name]) if call[name] else None


def check_usage(call, meters):
    """Raises if the counts contradict each other or say too little; else the derived buckets."""
    get = lambda name: count(call, name) or 0
    lifetimes = sum(get(name) for name in ("cache_write_5m", "cache_write_30m", "cache_write_1h", "cache_write_12h"))
    parts_in = sum(get(name) for name in ("cache_read", "cache_write", "input_audio", "input_image"))
    parts_out = sum(get(name) for name in ("reasoning", "output_audio", "output_image"))
    total, input_, output = count(call, "total"), count(call, "input"), count(call, "output")
    wrong = (
        get("cache_write") < lifetimes
        or (get("input") < parts_in)
        or (get("output") < parts_out)
        or (total is not None and input_ is not None and input_ + get("output") != total)
        or any(quantity < 0 for quantity in meters.values())
    )
    if wrong:
        raise Unpriced("inconsistent_usage")
    if not BILLED.keys() & meters.keys():
        known = {
            "chat": input_ is not None and output is not None,
            "embeddings": input_ is not None,
        }.get(call["operation"], input_ is not None or output is not None or bool(meters))
        if not known:
            raise Unpriced("no_usage")
    return get("input") - parts_in, get("cache_write") - lifetimes, get("output") - parts_out


def charges(call, meters, card, tier, above):
    """(meter or None, quantity) of everything that is charged."""
    fresh, unstated, text = check_usage(call, meters)
    get = lambda name: count(call, name) or 0
    is_billed = bool(BILLED.keys() & meters.keys())
    if is_billed:
        charged = [(meter, meters.get(name, 0)) for name, meter in BILLED.items()]
    else:
        part = lambda name, whole: meters[name] if name in meters and meters[name] <= whole else Decimal(0)
        if call["provider"] in ("gemini", "vertex_ai") and {"web_search_requests", "google_maps_requests"} & meters.keys():
            fresh -= part("input_tool_use_tokens", fresh)
        video = part("input_video_tokens", fresh)
        audio = part("cache_read_audio_tokens", get("cache_read"))
        image = part("cache_read_image_tokens", get("cache_read") - audio)
        charged = [
            ("input", fresh - video), ("input_video", video), ("cache_read", get("cache_read") - audio - image),
            ("cache_read_audio", audio), ("cache_read_image", image), ("cache_write", unstated), ("output", text),
            ("output_reasoning", get("reasoning")),
        ]
        same = ("cache_write_5m", "cache_write_30m", "cache_write_1h", "cache_write_12h", "input_audio", "input_image",
                "output_audio", "output_image")
        charged += [(name, get(name)) for name in same]
    has_tokens = is_billed or get("input") > 0 or get("output") > 0
    for name, quantity in meters.items():
        if name in NEVER or (name in WITHOUT_TOKENS and has_tokens):
            continue
        if name in IF_STATED and has_tokens and card.resolve(tier, IF_STATED[name], above) is None:
            continue
        charged.append(((ALWAYS | WITHOUT_TOKENS | IF_STATED).get(name), quantity))
    if tier is not None and card.resolve(tier, "request", above):
        charged.append(("request", 1))
    return [(meter, Decimal(quantity)) for meter, quantity in charged if quantity != 0]


def tier_of(call):
    if call["batch"] == "true":
        return "batch"
    word = call["service_tier"].lower()
    if call["service_tier"] == "fast" and call["provider"] in ("openai", "azure"):
        return "priority"
    return TIER_WORDS.get(word)


def price(sheet, call):
    meters = {}
    for pair in filter(None, call["meters"].split(";")):
        name, quantity = pair.split("=")
        meters[name] = Decimal(quantity)
    if call["gateway_cache_hit"] == "true":
        return Decimal(0), "gateway_cache"
    if call["batch"] != "true" and (call["provisioned"] == "true" or call["service_tier"].lower() in PROVISIONED):
        raise Unpriced("provisioned")
    check_usage(call, meters)
    requested = "" if call["provider"] == "azure" else call["request_model"]
    model = sheet.find(call["provider"], call["response_model"] or requested)
    at = datetime.fromisoformat(call["started_at"].replace("Z", "+00:00"))
    card = Card(sheet, call["provider"], model, at.date())
    tier = tier_of(call)
    if tier == "" and card.is_off_peak(at):
        tier = "off_peak"
    above = card.band(count(call, "input") or 0)
    sold = tier is not None and card.has(tier=tier)
    multiplier, uplift_row = card.uplift(call["region"])
    total = Decimal(0)
    used = set()
    for meter, quantity in charges(call, meters, card, tier if sold else None, above):
        rate = card.resolve(tier, meter, above) if sold and meter else None
        if rate is None:
            raise Unpriced("unknown_meter")
        factor = multiplier if meter in TOKENS else 1
        total += quantity * rate[0] / MILLION * factor
        used.add(rate[1]["key"])
        if uplift_row and meter in TOKENS:
            used.add(uplift_row["key"])
    if card.discount:
        total *= (100 - card.discount["rate"]) / 100
        used.add(card.discount["key"])
    sheet.used |= used
    return total.quantize(ONE_PICO, ROUND_HALF_EVEN), "priced"


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("sheet")
    arguments.add_argument("cases")
    arguments.add_argument("--priced-min", type=int, default=1, help="fail if fewer calls have a price")
    arguments = arguments.parse_args()
    with open(arguments.sheet, newline="", encoding="utf-8") as file:
        sheet = Sheet(file)
    statuses, differences = Counter(), 0
    with open(arguments.cases, newline="", encoding="utf-8") as file:
        for number, call in enumerate(csv.DictReader(file), 2):
            try:
                cost, status = price(sheet, call)
            except Unpriced as why:
                cost, status = None, str(why)
            statuses[status] += 1
            recorded = Decimal(call["list_cost"]) if call["list_cost"] else None
            if (cost, status) != (recorded, call["price_status"]):
                differences += 1
                if differences <= 10:
                    print(f"line {number}: {cost} {status}, not {recorded} {call['price_status']}: {call}", file=sys.stderr)
    idle = sorted(sheet.all - sheet.used)
    for key in idle[:10]:
        print("no call used the row", *key, file=sys.stderr)
    print(f"{statuses.total()} calls, {differences} differ;", ", ".join(f"{n} {word}" for word, n in statuses.most_common()))
    print(f"{len(sheet.used)} of {len(sheet.all)} rows were used")
    too_few = statuses["priced"] < arguments.priced_min
    if too_few:
        print(f"fewer than {arguments.priced_min} calls have a price", file=sys.stderr)
    return 1 if differences or idle or too_few else 0


if __name__ == "__main__":
    sys.exit(main())
