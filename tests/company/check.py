#!/usr/bin/env python3
"""Compares what reports and views say of the company's ledger with what was planted in it.

check.py LEDGER TRUTH.json; DAYBOOK_BIN names the program. Exit 1 at the first difference. Every amount is compared as a decimal.
"""

import csv
import io
import json
import os
import subprocess
import sys
from decimal import Decimal, getcontext

getcontext().prec = 60
LEDGER, TRUTH = sys.argv[1:]
PLANTED = json.load(open(TRUTH))
CHECKED = 0


def daybook(*arguments):
    command = [os.environ["DAYBOOK_BIN"], *arguments, "--ledger", LEDGER]
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode:
        sys.exit(f"{' '.join(command)}: exit {run.returncode}\n{run.stderr}")
    return run.stdout


def query(sql):
    return list(csv.DictReader(io.StringIO(daybook("query", "--format", "csv", "-c", sql))))


def report(*arguments):
    return json.loads(daybook("report", *arguments, "--format", "json"))


def same(what, found, planted):
    global CHECKED
    CHECKED += 1
    if found != planted:
        sys.exit(f"{what}: the report says {found}, planted was {planted}")


def tally(what, found, planted, columns=("calls", "unpriced", "input_tokens", "output_tokens", "list_cost", "first_day", "last_day")):
    """Compares the columns that `found` has; what has no price at all has no sum, and what has no counts none of tokens."""
    for column in columns:
        name = "unpriced_calls" if column == "unpriced" else column
        if name not in found:
            continue
        value, truth = found[name], planted[column]
        if column.endswith("_day"):
            same(f"{what}, {column}", value, truth)
        else:
            same(f"{what}, {column}", Decimal(value or 0), Decimal(truth))


def by(key, rows):
    return {row[key] if isinstance(key, str) else " ".join(row[part] for part in key): row for row in rows}


def tallies(what, rows):
    same(f"{what}: what there is", sorted(rows), sorted(PLANTED[what]))
    for name, planted in PLANTED[what].items():
        tally(f"{what} {name}", rows[name], planted)


def sums():
    columns = "sum(calls) AS calls, sum(unpriced_calls) AS unpriced_calls, sum(input_tokens) AS input_tokens, " \
              "sum(output_tokens) AS output_tokens, sum(list_cost) AS list_cost"
    tallies("all", {"all": query(f"SELECT {columns}, min(first_day) AS first_day, max(last_day) AS last_day FROM spend_by_model")[0]})
    tallies("provider", by("provider", query(f"SELECT provider, {columns}, min(day) AS first_day, max(day) AS last_day FROM spend_by_day GROUP BY provider")))
    tallies("workload", by("workload", query(f"SELECT workload, {columns}, min(day) AS first_day, max(day) AS last_day FROM spend_by_workload GROUP BY workload")))
    tallies("model", {f"{row['provider']}/{row['model']}": row for row in query("SELECT * FROM spend_by_model")})
    months = report("spend", "--by", "provider", "--grain", "month")["spend"]
    tallies("month", {f"{row['month'][:7]} {row['provider']}": row for row in months})


def price_change():
    """Two cards, and what the calls after the change would have cost before it."""
    cards = query(
        "SELECT split_part(split_part(price_id, '@', 2), '#', 1) AS card, sum(list_cost) AS list_cost, min(event_date) AS first_day, "
        "max(event_date) AS last_day FROM usage WHERE response_model = 'gpt-5.4' AND list_cost IS NOT NULL GROUP BY 1 ORDER BY 1"
    )
    same("cards of gpt-5.4", [row["card"] for row in cards], ["2025-01-01", "2026-04-01"])
    for row, when in zip(cards, ("before", "after")):
        tally(f"gpt-5.4 {when} the change", row, PLANTED["price_change"][when], ("list_cost",))
    same("day of the change", cards[1]["first_day"], "2026-04-01")
    same("last day before it", cards[0]["last_day"], "2026-03-31")

    sheet = os.path.join(os.path.dirname(TRUTH), "old-prices.csv")
    with open(sheet, "w") as file:
        lines = open(os.path.join(os.path.dirname(__file__), "prices.csv")).read().splitlines()
        file.write("\n".join([lines[0], *(line.replace(",2026-04-01,", ",,") for line in lines if "before the change" in line)]) + "\n")
    daybook("reprice", "--as", "old-prices", "--prices", sheet, "--from", "2026-04-01")
    found = query(
        "SELECT sum(valuations.list_cost) AS list_cost FROM valuations JOIN usage ON usage.entry_id = valuations.entry_id "
        "WHERE valuation = 'old-prices' AND response_model = 'gpt-5.4'"
    )
    tally("gpt-5.4 after the change, at old prices", found[0], PLANTED["price_change"]["after, at old prices"], ("list_cost",))


def shadow_key():
    planted = PLANTED["shadow_key"]["side-project"]
    found = query("SELECT * FROM shadow_ai WHERE finding = 'unknown_key'")
    same("unknown keys", [row["name"] for row in found], ["side-project"])
    tally("shadow_ai side-project", found[0], planted)
    gap = query("SELECT api_key_alias, sum(calls) AS calls, sum(list_cost) AS list_cost FROM unassigned GROUP BY 1")
    same("unassigned keys", [row["api_key_alias"] for row in gap], ["side-project"])
    tally("unassigned side-project", gap[0], planted)


def locked_in():
    workloads = by("workload", report("lockin", "--only", "workloads")["workloads"])
    found, planted = workloads["contract-review"], PLANTED["locked_in"]["contract-review"]
    same("segment of contract-review", (found["declared_segment"], found["segment"], found["because"], found["agrees"]),
         ("portable", "locked_in", "hosted_state", False))
    same("what locks contract-review in", Decimal(found["locked_in_cost"]), Decimal(planted["list_cost"]))
    feature = query("SELECT * FROM workload_features WHERE workload = 'contract-review' AND feature = 'hosted_state'")[0]
    tally("hosted_state of contract-review", feature, planted)
    same("contract-review became locked in after 2026-06-14", planted["first_day"] > "2026-06-14", True)
    same("what search-index is tied by", (workloads["search-index"]["segment"], workloads["search-index"]["because"]),
         ("locked_in", "proprietary_embedding"))

    options = by("workload", report("lockin", "--only", "options")["options"])
    option = lambda workload: tuple(options[workload][name] for name in ("option", "second_provider", "second_provider_day"))
    same("option of translations", option("translations"), ("stale", "openai", PLANTED["option"]["openai"]["last_day"]))
    same("option of support-bot", option("support-bot")[:2], ("fresh", "bedrock"))
    same("option of fraud-notes", option("fraud-notes")[0], "never")


def commitments():
    found = {f"{row['contract']}/{row['commitment']}": row for row in query("SELECT * FROM commitments")}
    same("commitments", sorted(found), sorted(PLANTED["commitment"]))
    for name, planted in PLANTED["commitment"].items():
        tally(f"commitment {name}", found[name], planted, ("calls", "unpriced", "list_cost"))
        same(f"what remains of {name}", Decimal(found[name]["remaining"]), Decimal(found[name]["committed"]) - Decimal(planted["list_cost"]))
    short = found["openai-2026/2026"]
    same("openai-2026 will fall short", Decimal(short["used"]) < Decimal(short["elapsed"]), True)
    shown = {f"{row['contract']}/{row['commitment']}": row for row in report("contracts", "--only", "commitments", "--on", "2026-11-30")["commitments"]}
    for name, planted in PLANTED["commitment"].items():
        same(f"report contracts, {name}", Decimal(shown[name]["list_cost"]), Decimal(planted["list_cost"]))


def outlook():
    """What is over is known to the last decimal; what is not lies in a band, above what is used already."""
    found = {f"{row['contract']}/{row['commitment']}": row for row in query("SELECT * FROM burn_down")}
    same("commitments that burn down", sorted(found), sorted(PLANTED["commitment"]))
    for name, planted in PLANTED["commitment"].items():
        row, used = found[name], Decimal(planted["list_cost"])
        band = [Decimal(row[end]) for end in ("low", "middle", "high")]
        same(f"used of {name}", Decimal(row["used"]), used)
        same(f"{name} ends in its band, above what is used", sorted([used, *band]), [used, *band])
        if row["projected_days"] == "0":
            same(f"end of {name}", band, [used] * 3)
        for amount, end in zip(("high", "middle", "low"), band):
            same(f"shortfall of {name}, {amount}", Decimal(row[f"shortfall_{amount}"]), max(Decimal(row["committed"]) - end, Decimal(0)))
    months = query("SELECT * FROM forecast WHERE dimension = 'provider' AND actual IS NOT NULL")
    same("months under way", sorted({row["month"] for row in months}), [PLANTED["all"]["all"]["last_day"][:8] + "01"])
    for row in months:
        planted = PLANTED["month"][f"{row['month'][:7]} {row['name']}"]
        same(f"forecast of {row['name']}, so far", Decimal(row["actual"]), Decimal(planted["list_cost"]))


def deadlines():
    found = query("SELECT contract, deadline, due_on FROM deadlines WHERE deadline IN ('notice', 'commitment')")
    same("last days of notice and of commitments", sorted(tuple(row.values()) for row in found), [
        ("anthropic-2026", "commitment", "2026-06-30"), ("anthropic-2026", "notice", "2026-11-01"),
        ("mistral-2025", "commitment", "2026-08-31"),
        ("openai-2026", "commitment", "2026-12-31"), ("openai-2026", "notice", "2026-12-01"),
    ])


def routes():
    """Every call of a workload went somewhere, and no saving is more than what was paid."""
    found = by("workload", query("SELECT workload, sum(calls) AS calls, sum(unpriced_calls) AS unpriced, sum(list_cost) AS list_cost FROM routing GROUP BY 1"))
    for name, planted in PLANTED["workload"].items():
        tally(f"routing of {name}", found[name], planted, ("calls", "unpriced", "list_cost"))


for check in (sums, price_change, shadow_key, locked_in, commitments, outlook, deadlines, routes):
    check()
print(f"{CHECKED} facts of {PLANTED['all']['all']['calls']} calls and {PLANTED['all']['all']['list_cost']} dollars, nothing differs")
