"""check.py BUNDLE...: reads every migration file of the bundles with the vendors' own types, offline, and plants bad records
that these must refuse. Exits with 1 if a good line is refused, a bad one taken, or an account does not add up."""

import copy
import glob
import json
import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"

import pydantic
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from anthropic.types.messages import batch_create_params
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator
from datasets import Features, List, Value, load_dataset
from google.genai import types as google
from mistral_common.protocol.instruct import messages as common
from mistral_common.protocol.instruct.validator import ValidationMode, get_validator
from mistral_common.tokens.tokenizers.base import TokenizerVersion
from mistralai.client import models as mistral
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming

bedrock = ServiceModel(Loader().load_service_model("bedrock-runtime", "service-2"))
converse = bedrock.operation_model("Converse").input_shape


tuning = get_validator(TokenizerVersion.v7, ValidationMode.finetuning)
common_types = {
    "system": common.SystemMessage,
    "user": common.UserMessage,
    "assistant": common.FinetuningAssistantMessage,
    "tool": common.ToolMessage,
}


def strict(python_type):
    """A reader of `python_type` that takes no other types for it."""
    adapter = pydantic.TypeAdapter(python_type)
    return lambda value: exhaust(adapter.validate_python(value))


def exhaust(value):
    """The SDKs declare lists as iterables, which are checked only when they are read."""
    if isinstance(value, dict):
        for inner in value.values():
            exhaust(inner)
    elif not isinstance(value, (str, bytes)) and hasattr(value, "__iter__"):
        for inner in value:
            exhaust(inner)


chat_messages = strict(list[ChatCompletionMessageParam])
chat_tools = strict(list[ChatCompletionToolParam])
chat_body = strict(CompletionCreateParamsNonStreaming)
anthropic_body = strict(MessageCreateParamsNonStreaming)
anthropic_request = strict(batch_create_params.Request)


def only(line, required, optional=()):
    names = set(line)
    assert set(required) <= names <= {*required, *optional}, f"members {sorted(names)}"


def chat(line):
    only(line, ["messages"], ["tools"])
    chat_messages(line["messages"])
    chat_tools(line.get("tools", []))
    assert line["messages"][-1]["role"] == "assistant"


def anthropic(line):
    only(line, ["messages"], ["system", "tools"])
    anthropic_body({"model": "m", "max_tokens": 1, **line})
    takes_turns(line["messages"], "user", "assistant")
    assert line["messages"][-1]["role"] == "assistant"


def takes_turns(messages, first, second):
    for at, message in enumerate(messages):
        assert message["role"] == (first, second)[at % 2], f"turn {at} is of {message['role']}"


def gemini(line):
    gemini_request(line)
    assert line["contents"][-1]["role"] == "model"


def gemini_request(line):
    only(line, ["contents"], ["systemInstruction", "tools", "generationConfig"])
    for content in line["contents"]:
        google.Content.model_validate(content)
        assert content["parts"] and content["role"]
    if "systemInstruction" in line:
        google.Content.model_validate(line["systemInstruction"])
    for tool in line.get("tools", []):
        google.Tool.model_validate(tool)
    google.GenerateContentConfig.model_validate(line.get("generationConfig", {}))
    takes_turns(line["contents"], "user", "model")


def converse_request(line):
    faults = ParamValidator().validate({"modelId": "m", **line}, converse)
    assert not faults.has_errors(), faults.generate_report()
    takes_turns(line["messages"], "user", "assistant")


def bedrock_line(line):
    line = dict(line)
    assert line.pop("schemaVersion") == "bedrock-conversation-2024"
    converse_request(line)
    assert line["messages"][-1]["role"] == "assistant"


def mistral_messages(messages):
    by_role = {"system": mistral.SystemMessage, "user": mistral.UserMessage, "assistant": mistral.AssistantMessage, "tool": mistral.ToolMessage}
    for message in messages:
        by_role[message["role"]].model_validate(message)


def mistral_line(line):
    only(line, ["messages"], ["tools"])
    mistral_messages(line["messages"])
    for tool in line.get("tools", []):
        mistral.Tool.model_validate(tool)
    # What tokenizes examples knows the order of roles too, and no documents.
    if "document_url" not in json.dumps(line):
        tuning.validate_messages([common_types[message["role"]].model_validate(message) for message in line["messages"]])


def mistral_batch(line):
    only(line, ["custom_id", "body"])
    mistral.ChatCompletionRequest.model_validate({"model": "m", **line["body"]})
    mistral_messages(line["body"]["messages"])


def openai_batch(line):
    only(line, ["custom_id", "method", "url", "body"])
    assert (line["method"], line["url"]) == ("POST", "/v1/chat/completions")
    chat_body(line["body"])


def anthropic_batch(line):
    only(line, ["custom_id", "params"])
    anthropic_request(line)
    takes_turns(line["params"]["messages"], "user", "assistant")


def gemini_batch(line):
    only(line, ["key", "request"])
    gemini_request(line["request"])


def bedrock_batch(line):
    only(line, ["recordId", "modelInput"])
    converse_request(line["modelInput"])


call = {"id": Value("string"), "type": Value("string"), "function": {"name": Value("string"), "arguments": Value("string")}}
message = {
    "role": Value("string"),
    "content": Value("string"),
    "tool_calls": List(call),
    "tool_call_id": Value("string"),
    "name": Value("string"),
}
columns = Features({"messages": List(message), "tools": Value("string")})


def hugging_face(path):
    """The whole file as `datasets` reads it; answers how many rows it found."""
    if not os.path.getsize(path):
        return 0
    rows = load_dataset("json", data_files=path, features=columns, split="train", cache_dir=f"{path}.cache")
    for row, line in zip(rows, open(path, encoding="utf-8"), strict=True):
        expected = json.loads(line)
        for found in row["messages"]:
            found["tool_calls"] = found["tool_calls"] or None
        assert row == expected, (row, expected)
        chat_tools(json.loads(row["tools"] or "[]"))
    return len(rows)


def set_at(line, path, value):
    *path, last = path
    for step in path:
        line = line[step]
    if value is None:
        del line[last]
    else:
        line[last] = value


# Of each shape: how a line is read, the member by which answers are found, and how a good line is spoilt.
SHAPES = {
    "chat-messages": (chat, None, [(("messages", 0, "role"), "narrator"), (("messages", -1, "content"), 7)]),
    "anthropic": (anthropic, None, [(("messages", 0, "role"), "tool"), (("messages", 0, "content", 0, "type"), "speech")]),
    "gemini": (gemini, None, [(("contents", 0, "content"), []), (("contents", 0, "parts"), None)]),
    "bedrock": (bedrock_line, None, [(("messages", 0, "content"), "text"), (("messages", 0, "role"), "system")]),
    "mistral": (mistral_line, None, [(("messages", 0, "content"), {"a": 1}), (("messages", -1, "role"), "user")]),
    "openai-batch": (openai_batch, "custom_id", [(("body", "model"), None), (("body", "messages", 0, "role"), "narrator")]),
    "anthropic-batch": (anthropic_batch, "custom_id", [(("params", "max_tokens"), None), (("params", "messages", 0, "role"), "tool")]),
    "gemini-batch": (gemini_batch, "key", [(("request", "contents", 0, "parts"), "text"), (("request", "contents", 0, "role"), "model")]),
    "bedrock-batch": (bedrock_batch, "recordId", [(("modelInput", "messages", 0, "content"), "text"), (("modelInput", "messages"), None)]),
    "mistral-batch": (mistral_batch, "custom_id", [(("body", "messages"), None), (("body", "messages", 0, "content"), {"a": 1})]),
}


def refused(check, line, path, value):
    line = copy.deepcopy(line)
    set_at(line, path, value)
    try:
        check(line)
    except Exception:
        return
    sys.exit(f"TAKEN, but it was spoilt at {path}: {line}")


def lines_of(bundle, shape):
    check, key, spoils = SHAPES[shape]
    seen, first, count = set(), None, 0
    for path in sorted(glob.glob(f"{bundle}/data/migration/{shape}/*.jsonl")):
        for number, text in enumerate(open(path, encoding="utf-8", newline="\n"), 1):
            line = json.loads(text)
            try:
                check(line)
            except Exception as error:
                sys.exit(f"REFUSED, but it is ours: {path}:{number}: {error}\n{text[:2000]}")
            if key:
                assert line[key] not in seen, f"{path}:{number}: {key} occurs twice"
                seen.add(line[key])
            first = first or line
            count += 1
    if first:
        for path, value in spoils:
            refused(check, first, path, value)
    return count


def spoilt_hugging_face(path):
    with open(path, encoding="utf-8") as good, open(f"{path}.spoilt", "w", encoding="utf-8") as spoilt:
        spoilt.write(good.read() + '{"messages": "text"}\n')
    try:
        hugging_face(f"{path}.spoilt")
    except Exception:
        return
    sys.exit("TAKEN by datasets, but a line was spoilt")


def main(bundles):
    for bundle in bundles:
        summary = json.load(open(f"{bundle}/data/summary.json"))
        content = sum(summary[table]["rows"] for table in ("content", "content_partial"))
        for shape in [*SHAPES, "huggingface"]:
            folder = f"{bundle}/data/migration/{shape}"
            if shape == "huggingface":
                files = sorted(glob.glob(f"{folder}/*.jsonl"))
                count = sum(map(hugging_face, files))
                if count:
                    spoilt_hugging_face(files[0])
            else:
                count = lines_of(bundle, shape)
            account = json.load(open(f"{folder}/loss.json"))
            assert account["rows_in"] == content, (shape, account)
            assert account["rows_out"] == count, (shape, account)
            assert account["rows_in"] == account["rows_out"] + sum(account["dropped"].values()), (shape, account)
            print(f"{os.path.basename(bundle)}: {shape}: {count} of {content} rows read by its vendor's types")


main(sys.argv[1:])
