"""Vectors of embedding calls, out of a bundle by its own vectors.py: of every vendor, in every wrapping, in three forms."""

import base64
import importlib
import json
import struct
import sys
import tempfile
from itertools import count
from pathlib import Path

import numpy
import pyarrow.parquet

from parts import DAYBOOK, Checks

FIXTURES = Path(__file__).parent.parent / "fixtures" / "events"
LITELLM = json.loads((FIXTURES / "litellm-standard" / "anthropic-cache.json").read_text())
STRINGS = json.loads((FIXTURES / "openai-embeddings" / "two-strings.json").read_text())
LOOKS_LIKE_AN_ANSWER = '{"embedding":[9,9,9]}'

checks = Checks()
ids = count(1)


def called(api, url, request, response, **capture):
    """A captured call, on one of five days."""
    number = next(ids)
    about = {"api": api, "endpoint": url, "started_at": f"2026-11-2{number % 5}T10:00:00Z", "duration_ms": 9, "http_status": 200}
    return {"capture": about | {"request_id": f"call-{number}"} | capture, "request": request, "response": response}


def listed(model, *vectors):
    """An answer in OpenAI's shape."""
    data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)]
    return {"object": "list", "data": data, "model": model, "usage": {"prompt_tokens": 4, "total_tokens": 4}}


def in_base64(*numbers):
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def in_litellm(model, response):
    """LiteLLM's StandardLoggingPayload of an embedding."""
    about = {"id": f"l{next(ids)}", "call_type": "aembedding", "custom_llm_provider": "openai", "model": model}
    asked = {"messages": LOOKS_LIKE_AN_ANSWER, "proxy_server_request": {"body": LOOKS_LIKE_AN_ANSWER}}
    return asked | LITELLM | about | asked | {"response": response}


def in_bedrock(model, request, response):
    """A record of Bedrock's invocation log."""
    about = {"timestamp": "2026-11-20T12:30:00Z", "accountId": "1", "region": "us-east-1", "requestId": f"rq-{next(ids)}"}
    about |= {"schemaType": "ModelInvocationLog", "schemaVersion": "1.0", "operation": "InvokeModel", "modelId": model}
    return about | {"input": {"inputBodyJson": request, "inputTokenCount": 4}, "output": {"outputBodyJson": response}}


def in_cloudevent(event):
    """A CloudEvent with a call in base64."""
    data = base64.b64encode(json.dumps(event).encode()).decode()
    return {"specversion": "1.0", "id": f"ce{next(ids)}", "source": "/gateways/1", "type": "call", "data_base64": data}


def in_cloudflare(model, request, response):
    """A line of Cloudflare's AI Gateway, which has bodies as text."""
    about = {"id": f"01J{next(ids)}", "created_at": "2026-11-20T04:00:00Z", "provider": "openai", "model": model}
    about |= {"path": "embeddings", "status_code": 200, "success": True, "tokens_in": 4, "tokens_out": 0, "duration": 9}
    return about | {"request_head": json.dumps(request), "response_head": response, "response_head_complete": True}


OPENAI, COHERE, OLLAMA = "https://api.openai.com/v1/embeddings", "https://api.cohere.com/v2/embed", "http://gpu-1:11434/api"
GOOGLE = "https://generativelanguage.googleapis.com/v1beta/models/gemini-embedding-001"
VERTEX = "https://us-central1-aiplatform.googleapis.com/v1/projects/p/locations/l/publishers/google/models/gemini-embedding-001"
SMALL, TITAN = "text-embedding-3-small", "amazon.titan-embed-text-v2:0"
BY_TYPE = {"float": [[0.1, 0.2], [0.3, 0.4]], "int8": [[1, -2], [3, 4]], "ubinary": [[255], [0]], "uint8": None}
BILLED = {"billed_units": {"input_tokens": 2}}

# Events, and in which files their vectors have to be: name -> (text, numbers) of each.
CALLS = [
    (STRINGS, {"openai,text-embedding-3-small,2": list(zip(STRINGS["request"]["input"], [
        item["embedding"] for item in STRINGS["response"]["data"]]))}),
    # As OpenAI's own packages ask.
    (called("openai.embeddings", OPENAI, {"model": SMALL, "input": ["a", LOOKS_LIKE_AN_ANSWER], "encoding_format": "base64"},
            listed(SMALL, in_base64(0.1, -0.2, 3e-9), in_base64(1, 2, 3))),
     {"openai,text-embedding-3-small,3": [("a", [0.1, -0.2, 3e-9]), (LOOKS_LIKE_AN_ANSWER, [1, 2, 3])]}),
    (called("azure.embeddings", "https://hl.openai.azure.com/openai/deployments/vectors/embeddings", {"input": "a"},
            listed(SMALL, [0.5, 1e-7])),
     {"azure,text-embedding-3-small,2": [("a", [0.5, 1e-7])]}),
    (called("mistral.embeddings", "https://api.mistral.ai/v1/embeddings",
            {"model": "codestral-embed", "input": ["a"], "output_dtype": "int8"}, listed("codestral-embed", [-128, 127, 0])),
     {"mistral,codestral-embed,3,int8": [("a", [-128, 127, 0])]}),
    (called("vllm.embeddings", "http://gpu-1:8000/v1/embeddings", {"model": "BAAI/bge-m3", "input": ["a"]},
            listed("BAAI/bge-m3", [0.25, 0.75])),
     {"vllm,BAAI%2Fbge-m3,2": [("a", [0.25, 0.75])]}),
    (called("cohere.v2.embed", COHERE, {"model": "embed-v4.0", "texts": ["a", "b"], "embedding_types": [*BY_TYPE]},
            {"id": "e", "texts": ["a", "b"], "embeddings": BY_TYPE, "meta": BILLED}),
     {"cohere,embed-v4.0,2": [("a", [0.1, 0.2]), ("b", [0.3, 0.4])],
      "cohere,embed-v4.0,2,int8": [("a", [1, -2]), ("b", [3, 4])],
      "cohere,embed-v4.0,1,ubinary": [("a", [255]), ("b", [0])]}),
    (called("cohere.embed", "https://api.cohere.com/v1/embed", {"model": "embed-v4.0", "texts": ["a"]},
            {"id": "f", "texts": ["a"], "embeddings": [[0.7, 0.8]], "meta": BILLED}),
     {"cohere,embed-v4.0,2": [("a", [0.7, 0.8])]}),
    (called("gemini.embed_content", f"{GOOGLE}:embedContent", {"content": {"parts": [{"text": "a"}]}},
            {"embedding": {"values": [0.1, 0.2]}}),
     {"gemini,gemini-embedding-001,2": [("a", [0.1, 0.2])]}),
    (called("gemini.embed_content", f"{GOOGLE}:batchEmbedContents",
            {"requests": [{"content": {"parts": [{"text": "a"}]}}, {"content": {"parts": [{"text": "b"}]}}]},
            {"embeddings": [{"values": [0.3, 0.4]}, {"values": [0.5, 0.6]}]}),
     {"gemini,gemini-embedding-001,2": [("a", [0.3, 0.4]), ("b", [0.5, 0.6])]}),
    (called("vertex.predict", f"{VERTEX}:predict", {"instances": [{"content": "a"}, {"content": "b"}]},
            {"predictions": [{"embeddings": {"values": [number], "statistics": {"token_count": 3}}} for number in (0.1, 0.2)]}),
     {"vertex_ai,gemini-embedding-001,1": [("a", [0.1]), ("b", [0.2])]}),
    (called("ollama", f"{OLLAMA}/embed", {"model": "nomic-embed-text", "input": ["a", "b"]},
            {"model": "nomic-embed-text", "embeddings": [[0.1, 0], [1, 0]], "total_duration": 9, "prompt_eval_count": 2}),
     {"ollama,nomic-embed-text,2": [("a", [0.1, 0]), ("b", [1, 0])]}),
    (called("ollama", f"{OLLAMA}/embeddings", {"model": "nomic-embed-text", "prompt": "a"}, {"embedding": [0.5, 0.6]}),
     {"ollama,nomic-embed-text,2": [("a", [0.5, 0.6])]}),
    (in_bedrock(TITAN, {"inputText": "a"}, {"embedding": [0.1, 0.2], "inputTextTokenCount": 1}),
     {"bedrock,amazon.titan-embed-text-v2%3A0,2": [("a", [0.1, 0.2])]}),
    (in_bedrock(TITAN, {"inputText": "a"}, 
                {"embedding": [0.3, 0.4], "embeddingsByType": {"float": [0.3, 0.4], "binary": [1, 0]}, "inputTextTokenCount": 1}),
     {"bedrock,amazon.titan-embed-text-v2%3A0,2": [("a", [0.3, 0.4])],
      "bedrock,amazon.titan-embed-text-v2%3A0,2,binary": [("a", [1, 0])]}),
    # Without a word of text: tokens by their numbers, an answer alone.
    (called("openai.embeddings", OPENAI, {"model": SMALL, "input": [[9906, 1917], [5]]}, listed(SMALL, [0.1, 0, 0], [0.2, 0, 0])),
     {"openai,text-embedding-3-small,3": [(None, [0.1, 0, 0]), (None, [0.2, 0, 0])]}),
    (in_cloudflare(SMALL, {"model": SMALL, "input": [9906]}, json.dumps(listed(SMALL, [0.4, 0, 0]))),
     {"openai,text-embedding-3-small,3": [(None, [0.4, 0, 0])]}),
    (in_bedrock("amazon.titan-embed-image-v1", {"inputImage": "AAAA"}, {"embedding": [0.5, 0.6], "inputTextTokenCount": 0}),
     {"bedrock,amazon.titan-embed-image-v1,2": [(None, [0.5, 0.6])]}),
    (listed(SMALL, [0.3, 0, 0]), {"openai,text-embedding-3-small,3": [(None, [0.3, 0, 0])]}),
    (in_litellm(SMALL, listed(SMALL, [0.1, 0.2, 0.3])),
     {"openai,text-embedding-3-small,3": [(LOOKS_LIKE_AN_ANSWER, [0.1, 0.2, 0.3])]}),
    (in_cloudevent(called("openai.embeddings", OPENAI, {"model": SMALL, "input": "a"}, listed(SMALL, [0.7, 0.8, 0.9]))),
     {"openai,text-embedding-3-small,3": [("a", [0.7, 0.8, 0.9])]}),
    (in_cloudflare(SMALL, {"model": SMALL, "input": LOOKS_LIKE_AN_ANSWER}, json.dumps(listed(SMALL, [0.4, 0.5, 0.6]))),
     {"openai,text-embedding-3-small,3": [(LOOKS_LIKE_AN_ANSWER, [0.4, 0.5, 0.6])]}),
]

# The same call before its answer: it comes first, so that what the answer tells is a correction.
WHOLE = CALLS[1][0]
KNOWN_BEFORE = ("api", "endpoint", "started_at", "request_id")
PENDING = {"capture": {key: WHOLE["capture"][key] for key in KNOWN_BEFORE}, "request": WHOLE["request"]}

# Calls without vectors, and what has to be said of them.
WITHOUT = [
    (called("openai.embeddings", OPENAI, {"model": SMALL}, {"model": SMALL, "usage": {"total_tokens": 4}}), "raw not kept"),
    (in_litellm(SMALL, {"text": "redacted-by-litellm"}), "no vector in raw"),
    (in_cloudflare(SMALL, {"input": "a"}, json.dumps(listed(SMALL, [0.1, 0.2, 0.3]))[:90]), "no vector in raw"),
    (called("openai.embeddings", OPENAI, {"model": SMALL, "input": "a"}, listed(SMALL, "AAA=")), "a vector that cannot be read"),
    (called("vllm.embeddings", OPENAI, {"model": SMALL, "input": "a", "embed_dtype": "float16"}, listed(SMALL, "AAA=")),
     "of an unknown element type 'float16'"),
]
SAID = ("5 calls without vectors: 1 a vector that cannot be read, 2 no vector in raw, 1 of an unknown element type 'float16', "
        "1 raw not kept")

# Calls that are none of embedding, or failed: nothing is said of them.
REFUSED = called("openai.embeddings", OPENAI, {"model": SMALL, "input": "a"}, {"error": {"message": "no"}}, http_status=400)
OTHERS = [LITELLM, REFUSED]


def main():
    events = [event for event, _ in CALLS + WITHOUT] + OTHERS
    with tempfile.TemporaryDirectory(prefix="daybook-vectors.") as scratch:
        scratch = Path(scratch)
        pending, lines, ledger, bag = scratch / "pending.json", scratch / "events.jsonl", scratch / "ledger", scratch / "bag"
        pending.write_text(json.dumps(PENDING))
        lines.write_text("".join(json.dumps(event) + "\n" for event in events))
        for file in (pending, lines):
            checks.runs(f"daybook import {file.name}", DAYBOOK, "--quiet", "import", file, "--ledger", ledger)
        checks.runs("daybook export", DAYBOOK, "--quiet", "export", "--ledger", ledger, "--formats", "parquet", "--out", bag)
        # Which event an entry is of, as its bytes say.
        bodies = pyarrow.parquet.read_table(bag / "data" / "content", columns=["entry_id", "raw"]).to_pylist()
        numbers = {body["entry_id"]: events.index(json.loads(body["raw"])) for body in bodies}
        check_program(bag, numbers)
        for form in READERS:
            check_form(form, bag, scratch / form, ledger, numbers)
    sys.exit(checks.failed > 0)


def check_program(bag, numbers):
    sys.path.insert(0, str(bag))
    program = importlib.import_module("vectors")
    texts = {(numbers[found.entry_id], found.index, found.text) for found in program.vectors()}
    expected = {(number, index, text) for number, index, text, _, _ in expected_vectors()}
    checks.equal("vectors.py: each vector has its text", sorted(texts, key=str), sorted(expected, key=str))
    answers = [{"response": listed(SMALL, [number])} for number in (0.1, 0.2)]
    checks.equal("of two answers in one event neither is taken for the call's", program.in_answer(answers), [])


def check_form(form, bag, folder, ledger, numbers):
    command = [sys.executable, "vectors.py", folder, "--as", form]
    said = checks.runs(f"{form}: vectors.py", *command, cwd=bag)
    checks.equal(f"{form}: calls without vectors, and why", said.splitlines()[-1:], [SAID])
    found = []
    for path in folder.glob(f"*.{form}"):
        name = path.name.removesuffix(f".{form}")
        found.extend((numbers.get(entry_id), index, name, values) for entry_id, index, values in READERS[form](path))
    expected = [(number, index, name, as_stored(name, values)) for number, index, _, name, values in expected_vectors()]
    differing = [vector for vector in found + expected if found.count(vector) != expected.count(vector)]
    checks.check(f"{form}: each of {len(expected)} vectors, of its call, bit by bit", not differing, str(differing[:6]))
    register = [DAYBOOK, "--quiet", "artifacts", "add", "embeddings"]
    files = sorted(folder.iterdir())
    checks.runs(f"{form}: daybook artifacts takes the files", *register, *files, "--vendor", "various", "--ledger", ledger)
    with next(folder.glob(f"*.{form}")).open("r+b") as file:
        file.truncate(file.seek(0, 2) - 1)
    checks.refuses(f"{form}: but not a file without its last byte", *register, *files, "--vendor", "various", "--ledger", ledger)
    checks.refuses(f"{form}: a folder that holds something is left alone", *command, cwd=bag)


def expected_vectors():
    """(number of the event, index, text, name of the file, numbers) of each vector."""
    for number, (_, files) in enumerate(CALLS):
        for name, vectors in files.items():
            yield from ((number, index, text, name, values) for index, (text, values) in enumerate(vectors))


def as_stored(name, values):
    """The type of numbers that a file has by its name, and the numbers in that type."""
    kind = {"int8": "int8", "binary": "int8", "ubinary": "uint8"}.get(name.rpartition(",")[2], "float32")
    return kind, numpy.array(values, dtype=kind).tolist()


def read_parquet(path):
    table = pyarrow.parquet.read_table(path)
    kind = table.schema.field("embedding").type
    assert pyarrow.types.is_fixed_size_list(kind) and kind.list_size == int(path.name.split(",")[2].split(".")[0]), kind
    for row in table.to_pylist():
        values = numpy.array(row["embedding"], dtype=kind.value_type.to_pandas_dtype())
        yield row["entry_id"], row["index"], (str(values.dtype), values.tolist())


def rows_beside(path, matrix):
    lines = path.with_suffix(".rows.jsonl").read_text().splitlines()
    for line, values in zip(lines, matrix, strict=True):
        row = json.loads(line)
        yield bytes.fromhex(row["entry_id"]), row["index"], (str(values.dtype), values.tolist())


def read_npy(path):
    return rows_beside(path, numpy.load(path, mmap_mode="r", allow_pickle=False))


def read_safetensors(path):
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    tensor = json.loads(data[8:start])["embedding"]
    kind = {"F32": "float32", "I8": "int8", "U8": "uint8"}[tensor["dtype"]]
    begin, end = tensor["data_offsets"]
    return rows_beside(path, numpy.frombuffer(data[start + begin:start + end], dtype=kind).reshape(tensor["shape"]))


READERS = {"parquet": read_parquet, "npy": read_npy, "safetensors": read_safetensors}


if __name__ == "__main__":
    main()
