#!/usr/bin/env python3
"""Runs focus-validator on a FOCUS 1.2 file and reads its verdict: validate.py FILE.parquet

Its exit code says nothing, so the JUnit file it writes is what counts: exactly one rule may fail, one of two that contradict each
other. Two criteria are left out, whose rules ask for a commitment on rows that have none.
"""

import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml
from pathlib import Path

import focus_validator

ALLOWED = {"InvoiceId-C-004-C", "InvoiceId-C-005-C"}
LEFT_OUT = {"CAPACITY_RESERVATION_SUPPORTED", "COMMITMENT_DISCOUNT_SUPPORTED"}
PASSED_MIN = 290

packages = Path(focus_validator.__file__).parent.parent
common = ["--validate-version", "1.2.0.1", "--block-download", "--focus-dataset", "CostAndUsage"]


def validator(*arguments):
    # It opens a file of its own by a path relative to where it is installed.
    return subprocess.run([Path(sys.executable).parent / "focus-validator", *arguments], cwd=packages, capture_output=True, text=True)


def criteria():
    listed = validator(*common, "--show-applicability-criteria").stdout
    words = {word.strip("-*•, ") for word in listed.split()}
    return sorted(word for word in words if word.endswith("_SUPPORTED") and word not in LEFT_OUT)


def main(file):
    with tempfile.TemporaryDirectory() as folder:
        report = os.path.join(folder, "junit.xml")
        run = validator("--data-file", os.path.abspath(file), *common, "--applicability-criteria", ",".join(criteria()),
                        "--output-type", "unittest", "--output-destination", report)
        if not os.path.exists(report):
            sys.exit(f"focus-validator wrote no report:\n{run.stdout[-3000:]}\n{run.stderr[-3000:]}")
        cases = list(xml.parse(report).iter("testcase"))
    named = lambda tag: {case.get("name") for case in cases if case.find(tag) is not None}
    failed, skipped = named("failure") | named("error"), named("skipped")
    passed = len(cases) - len(failed) - len(skipped)
    print(f"{passed} rules pass, {len(skipped)} do not apply, failed: {', '.join(sorted(failed)) or 'none'}")
    rules = {name.split("::")[0].split(" ")[0] for name in failed}
    if len(failed) != 1 or not rules <= ALLOWED or passed < PASSED_MIN:
        for case in cases:
            for failure in [*case.findall("failure"), *case.findall("error")]:
                print(f"{case.get('name')}: {(failure.get('message') or failure.text or '').strip()[:300]}")
        sys.exit("exactly one of the two contradicting rules about InvoiceId may fail")


main(*sys.argv[1:])
