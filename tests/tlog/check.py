#!/usr/bin/env python3
"""Checks a sealed ledger's log, and proofs from it, without Daybook.

    check.py log LEDGER/log VKEY [OLD_CHECKPOINT...]   every leaf, tile and checkpoint; old ones you kept
    check.py proof FILE.tlog-proof VKEY                a proof of `daybook prove`; prints the row

Formats: C2SP signed-note, tlog-checkpoint, tlog-tiles, tlog-proof (https://c2sp.org); RFC 6962 hashes. Needs Python 3.10 and
`cryptography`, for Ed25519 alone. Exits 0 if all holds, 1 if not.
"""
import base64
import hashlib
import hmac
import json
import pathlib
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def require(holds, reason):
    if not holds:
        sys.exit(f"FAILED: {reason}")


def open_checkpoint(note, vkey):
    """Origin, size and root of a checkpoint that the key of `vkey` signed."""
    name, key_id, key = vkey.strip().split("+", 2)
    key = base64.b64decode(key)
    require(sha256(name.encode(), b"\n", key)[:4].hex() == key_id and key[0] == 1, "the verifier key is altered")
    text, signatures = note.rsplit("\n\n", 1)
    text += "\n"
    is_signed = False
    for line in signatures.splitlines():
        dash, signer, signature = line.split(" ")
        signature = base64.b64decode(signature)
        if dash == "\u2014" and signer == name and signature[:4].hex() == key_id:
            try:
                Ed25519PublicKey.from_public_bytes(key[1:]).verify(signature[4:], text.encode())
                is_signed = True
            except InvalidSignature:
                sys.exit("FAILED: the signature is not of this text")
    require(is_signed, f"the checkpoint is not signed by {name}+{key_id}")
    origin, size, root = text.splitlines()[:3]
    return origin, int(size), base64.b64decode(root)


def root_of(nodes):
    if len(nodes) < 2:
        return nodes[0] if nodes else sha256()
    split = 1 << ((len(nodes) - 1).bit_length() - 1)
    return sha256(b"\1", root_of(nodes[:split]), root_of(nodes[split:]))


def read_tile(log, level, index, width):
    name = f"{index % 1000:03}"
    while index >= 1000:
        index //= 1000
        name = f"x{index % 1000:03}/{name}"
    full = log / "tile" / str(level) / name
    partial = full.with_name(f"{full.name}.p") / str(width)
    for path in [full] if width == 256 else [partial, full]:
        if path.exists():
            return path.read_bytes()
    sys.exit(f"FAILED: {partial if width < 256 else full} is missing")


def check_log(log, vkey, old_checkpoints):
    log = pathlib.Path(log)
    notes = [path for path in (log / "checkpoints").iterdir()] + [log / "checkpoint"]
    heads = [(path, *open_checkpoint(path.read_text(), vkey)) for path in notes + [pathlib.Path(old) for old in old_checkpoints]]
    require(len({origin for _, origin, _, _ in heads}) == 1, "checkpoints are of several logs")
    size = max(head[2] for head in heads[: len(notes)])
    hashes = []
    for index in range(-(-size // 256)):
        bundle = read_tile(log, "entries", index, min(256, size - index * 256))
        while bundle:
            length = int.from_bytes(bundle[:2], "big")
            hashes.append(sha256(b"\0", bundle[2 : 2 + length]))
            bundle = bundle[2 + length :]
    for path, _, at, root in heads:
        require(at <= size, f"{path} has {at} leaves, the log only {size}")
        require(root_of(hashes[:at]) == root, f"{path} is not of the leaves of the log")
    level, nodes = 0, hashes[:size]
    while nodes:
        for index in range(-(-len(nodes) // 256)):
            part = nodes[index * 256 : index * 256 + 256]
            tile = read_tile(log, level, index, len(part))
            require(tile[: 32 * len(part)] == b"".join(part), f"tile {index} of level {level} is not of the leaves")
        nodes = [root_of(nodes[at : at + 256]) for at in range(0, len(nodes) - 255, 256)]
        level += 1
    print(f"ok: {size} leaves, {len(heads)} checkpoints")


def check_proof(path, vkey):
    proof, checkpoint = pathlib.Path(path).read_text().split("\n\n", 1)
    header, extra, index, *hashes = proof.splitlines()
    require(header == "c2sp.org/tlog-proof@v1", "it is not a proof")
    table, salt, row = base64.b64decode(extra.removeprefix("extra ")).split(b"\n", 2)
    commitment = hmac.digest(bytes.fromhex(salt.decode()), sha256(row), "sha256")
    origin, size, root = open_checkpoint(checkpoint, vkey)
    node, last = int(index.removeprefix("index ")), size - 1
    require(node <= last, "the leaf is beyond the end of the log")
    found = sha256(b"\0", table, b"\0", commitment)
    for sibling in map(base64.b64decode, hashes):  # RFC 9162, section 2.1.3.2
        require(last > 0, "the proof is too long")
        if node & 1 or node == last:
            found = sha256(b"\1", sibling, found)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            found = sha256(b"\1", found, sibling)
        node, last = node >> 1, last >> 1
    require(last == 0 and found == root, "the row is not in the log that the checkpoint is of")
    print(json.dumps(json.loads(row), indent=2))
    print(f"ok: a row of {table.decode()} in {origin}, {size} leaves")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["log", log, vkey, *old]:
            check_log(log, vkey, old)
        case ["proof", path, vkey]:
            check_proof(path, vkey)
        case _:
            sys.exit(__doc__)
