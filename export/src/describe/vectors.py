#!/usr/bin/env python3
"""Writes the vectors of this bundle's embedding calls, with Python and pyarrow.

    python3 vectors.py DIR [--as parquet|npy|safetensors]
        a file for each provider, model and number of dimensions, into a folder that is empty or not there; says of how many
        calls there are none, and why

In a program, from this folder: vectors.vectors() goes through them, each with its text, in little memory.
"""

import argparse
import base64
import heapq
import json
import re
import sys
from array import array
from collections import Counter, namedtuple
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from urllib.parse import quote

import pyarrow
import pyarrow.compute as pc
import pyarrow.parquet

from read import batches

# A vector of an embedding call: `index` is the place of its text in the call, `text` None if that is not known.
Vector = namedtuple("Vector", "entry_id provider model index text vector element_type")

# By element type its letter in Python's `array`, by letter its names elsewhere.
LETTERS = {"float": "f", "float32": "f", "base64": "f", "int8": "b", "uint8": "B", "binary": "b", "ubinary": "B"}
ARROW = {"f": pyarrow.float32(), "b": pyarrow.int8(), "B": pyarrow.uint8()}
NUMPY = {"f": "<f4", "b": "|i1", "B": "|u1"}
SAFETENSORS = {"f": "F32", "b": "I8", "B": "U8"}

# What answers call vectors. Titan repeats those of one type beside all, so all come first.
NAMES = ("embeddingsByType", "embeddings", "embedding")
# Members of an event that are about the question, and those that may hold an answer as text.
ASKED = re.compile("request|input|prompt|messages|instance|query", re.IGNORECASE)
ANSWERED = re.compile("response|output|body|data", re.IGNORECASE)


def vectors(without=None):
    """Every vector of the successful embedding calls, day by day; a Counter `without` gets why calls have none, and how many."""
    without = Counter() if without is None else without
    call = ["event_date", "entry_id", "provider", "request_model", "response_model", "operation", "status"]
    body = ["event_date", "entry_id", "input_messages", "request_parameters", "raw"]
    tables = {"usage": call, "corrections": call, "content": body, "content_partial": body}
    day = itemgetter("event_date")
    # Each table is in the order of days, so of the calls only those of one day are in memory.
    rows = heapq.merge(*(embedding_rows(name, columns) for name, columns in tables.items()), key=day)
    for _, rows_of_day in groupby(rows, day):
        # Provider and model of calls whose vectors are still to come, and why there are none if none come.
        calls, reasons = {}, {}
        for row in rows_of_day:
            entry_id = row["entry_id"]
            if "raw" not in row:
                calls[entry_id] = row["provider"] or "unknown", row["response_model"] or row["request_model"] or "unknown"
                reasons[entry_id] = "raw not kept"
            elif row["raw"] and entry_id in calls:
                try:
                    found, reasons[entry_id] = [*vectors_of(row)], "no vector in raw"
                except KeyError as kind:
                    found, reasons[entry_id] = [], f"of an unknown element type {kind}"
                except (TypeError, ValueError, OverflowError):
                    found, reasons[entry_id] = [], "a vector that cannot be read"
                if found:
                    del reasons[entry_id]
                    provider, model = calls.pop(entry_id)
                    yield from (Vector(entry_id, provider, model, *rest) for rest in found)
        without.update(reasons.values())


def embedding_rows(name, columns):
    """Rows of a table; of one that tells what a call was, only those of successful embedding calls."""
    for batch in batches(name, columns):
        if "operation" in columns:
            is_it = [pc.equal(batch.column("operation"), "embeddings"), pc.equal(batch.column("status"), "success")]
            batch = batch.filter(pc.and_(*is_it))
        yield from batch.to_pylist()


def vectors_of(row):
    """(index, text, vector, element type) of each vector in a row of `content`."""
    asked = json.loads(row["request_parameters"] or "{}")
    stated = [asked[name] for name in ("output_dtype", "embedding_type", "embed_dtype") if isinstance(asked.get(name), str)]
    found = in_answer(json.loads(row["raw"]), *stated[:1])
    counts = Counter(kind for kind, _, _ in found)
    messages = [message.get("parts", []) for message in json.loads(row["input_messages"] or "[]")]
    texts = [parts[0].get("content") if len(parts) == 1 else None for parts in messages]
    places = Counter()
    for kind, index, numbers in found:
        letter = LETTERS[kind]
        # In base64 are the bytes of the numbers, the lowest first.
        vector = array(letter, base64.b64decode(numbers, validate=True) if isinstance(numbers, str) else numbers)
        index = index if isinstance(index, int) else places[kind]
        places[kind] += 1
        text = texts[index] if len(texts) == counts[kind] and 0 <= index < len(texts) else None
        yield index, text, vector, "float" if letter == "f" else kind


def in_answer(node, kind="float"):
    """(element type, index if stated, numbers) of each vector in an event, whatever is around the answer."""
    if holds_vectors(node):
        return [*spread(node, kind)]
    if isinstance(node, list):
        if held := [child for child in node if holds_vectors(child)]:
            return [*spread(held, kind)]
        # Answers in several members are of several calls, and nothing tells which is this one's.
        found = [found for child in node if (found := in_answer(child, kind))]
        return found[0] if len(found) == 1 else []
    if isinstance(node, dict):
        for name, child in node.items():
            if ASKED.search(name):
                continue
            if isinstance(child, str):
                child = opened(name, child) if ANSWERED.search(name) else None
            if found := in_answer(child, kind):
                return found
    return []


def holds_vectors(node):
    """Whether it is an object with vectors of its own."""
    return isinstance(node, dict) and any(node.get(name) for name in NAMES)


def opened(name, text):
    """JSON that stands in a text, as gateways keep bodies; None if it is none."""
    try:
        return json.loads(base64.b64decode(text) if name == "data_base64" else text)
    except ValueError:
        return None


def spread(node, kind, index=None):
    """The vectors in what is called one of NAMES: numbers, base64, lists and objects of these, objects of them by element type."""
    if isinstance(node, str) or isinstance(node, list) and node and isinstance(node[0], (int, float)):
        yield kind, index, node
    elif isinstance(node, list):
        for child in node:
            yield from spread(child, kind, index)
    elif isinstance(node, dict):
        name = next((name for name in (*NAMES, "values") if node.get(name)), None)
        if name:
            yield from spread(node[name], kind, node.get("index", index))
        else:
            for name, child in node.items():
                if isinstance(child, list):
                    yield from spread(child, name, index)


class ParquetVectors:
    """A Parquet file of vectors as fixed-size lists."""

    SUFFIX = "parquet"

    def __init__(self, path, letter, dimensions):
        self.letter, self.dimensions = letter, dimensions
        embedding = pyarrow.list_(ARROW[letter], dimensions)
        self.schema = pyarrow.schema([("entry_id", pyarrow.binary()), ("index", pyarrow.int32()), ("embedding", embedding)])
        self.file = path.open("xb")
        self.writer = pyarrow.parquet.ParquetWriter(self.file, self.schema, use_dictionary=False)
        self.start()

    def start(self):
        self.entry_ids, self.indexes, self.numbers = [], [], array(self.letter)

    def add(self, found):
        self.entry_ids.append(found.entry_id)
        self.indexes.append(found.index)
        self.numbers.extend(found.vector)
        if len(self.numbers) >= 4 << 20:
            self.write()

    def write(self):
        numbers = [None, pyarrow.py_buffer(self.numbers)]
        numbers = pyarrow.Array.from_buffers(ARROW[self.letter], len(self.numbers), numbers)
        embeddings = pyarrow.FixedSizeListArray.from_arrays(numbers, self.dimensions)
        columns = [pyarrow.array(self.entry_ids, pyarrow.binary()), pyarrow.array(self.indexes, pyarrow.int32()), embeddings]
        self.writer.write_batch(pyarrow.record_batch(columns, schema=self.schema))
        self.start()

    def close(self):
        self.write()
        self.writer.close()
        self.file.close()


class Matrix:
    """Vectors as one array, and in a file beside it which call each row is of."""

    # The header is written last, when it is known how many rows there are: until then the file passes for nothing.
    HEADER_BYTES = 128

    def __init__(self, path, letter, dimensions):
        self.letter, self.dimensions, self.count = letter, dimensions, 0
        self.file = path.open("xb")
        self.file.write(bytes(self.HEADER_BYTES))
        self.rows = path.with_suffix(".rows.jsonl").open("x", encoding="utf-8")

    def add(self, found):
        self.file.write(found.vector)
        self.rows.write(json.dumps({"entry_id": found.entry_id.hex(), "index": found.index}) + "\n")
        self.count += 1

    def close(self):
        self.file.seek(0)
        self.file.write(self.header())
        self.file.close()
        self.rows.close()


class NpyVectors(Matrix):
    """An .npy file, as numpy.load reads and maps it."""

    SUFFIX = "npy"

    def header(self):
        text = repr({"descr": NUMPY[self.letter], "fortran_order": False, "shape": (self.count, self.dimensions)})
        length = self.HEADER_BYTES - 10
        return b"\x93NUMPY\x01\x00" + length.to_bytes(2, "little") + text.ljust(length - 1).encode() + b"\n"


class SafetensorsVectors(Matrix):
    """A Safetensors file of one tensor, `embedding`."""

    SUFFIX = "safetensors"

    def header(self):
        shape, end = [self.count, self.dimensions], self.count * self.dimensions * array(self.letter).itemsize
        text = json.dumps({"embedding": {"dtype": SAFETENSORS[self.letter], "shape": shape, "data_offsets": [0, end]}})
        length = self.HEADER_BYTES - 8
        return length.to_bytes(8, "little") + text.ljust(length).encode()


FORMS = {form.SUFFIX: form for form in (ParquetVectors, NpyVectors, SafetensorsVectors)}


def write_vectors(folder, form):
    """Writes every vector into `folder`, which has to be empty or not there, and prints what there is and what there is not."""
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        print(f"{folder} holds something already: name a folder that is empty or not there", file=sys.stderr)
        return 2
    open_files, written, without = {}, Counter(), Counter()
    for found in vectors(without):
        kind = [] if found.element_type == "float" else [found.element_type]
        # Quoted, a name has no comma and no slash, so no two are the same.
        name = ",".join(quote(str(part), safe="") for part in (found.provider, found.model, len(found.vector), *kind))
        if name not in open_files:
            open_files[name] = FORMS[form](folder / f"{name}.{form}", found.vector.typecode, len(found.vector))
        open_files[name].add(found)
        written[name] += 1
    for name, file in open_files.items():
        file.close()
        print(f"{written[name]:>14} vectors in {name}.{form}")
    reasons = ", ".join(f"{calls} {why}" for why, calls in sorted(without.items()))
    print(f"{sum(without.values())} calls without vectors" + (f": {reasons}" if without else ""))
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="DIR", type=Path, help="where they go: a folder that is empty or not there")
    parser.add_argument("--as", dest="form", choices=FORMS, default="parquet", help="in which form; parquet if not given")
    args = parser.parse_args()
    return write_vectors(args.folder, args.form)


if __name__ == "__main__":
    sys.exit(main())
