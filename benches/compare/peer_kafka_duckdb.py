#!/usr/bin/env python3
"""Peer for Kafka to Parquet: a consumer that hands chunks of a topic to DuckDB, which decodes them and writes zstd Parquet.

  peer_kafka_duckdb.py --brokers HOST:PORT --topic NAME --out DIR [--threads 2] [--chunk-mb 128] [--content]

Reads every partition from its start to the end offset seen at the start. Each chunk becomes one file, then its offsets are
committed to the group: at least once, no pricing, no dedup, no table. Prints one JSON line; seconds are from the first poll to
the last commit.
"""
import argparse, json, os, shutil, tempfile, time

import duckdb
from confluent_kafka import Consumer, TopicPartition

from peer_duckdb_ingest import COLS, SELECT


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    A = ap.add_argument
    A("--brokers", required=True)
    A("--topic", required=True)
    A("--out", required=True)
    A("--threads", type=int, default=os.cpu_count())
    A("--chunk-mb", type=int, default=128)
    A("--content", action="store_true", help="also keep messages/response as text")
    a = ap.parse_args()
    os.makedirs(a.out)
    con = duckdb.connect()
    con.execute(f"SET threads={a.threads}; SET preserve_insertion_order=false; SET TimeZone='UTC'")
    cols = dict(COLS, **({"messages": "VARCHAR", "response": "VARCHAR"} if a.content else {}))
    spec = "{" + ",".join(f"'{k}':'{v}'" for k, v in cols.items()) + "}"

    consumer = Consumer({"bootstrap.servers": a.brokers, "group.id": f"peer-{os.getpid()}", "enable.auto.commit": False,
                         "auto.offset.reset": "earliest", "queued.max.messages.kbytes": 131072, "fetch.message.max.bytes": 8 << 20})
    parts = consumer.list_topics(a.topic, timeout=10).topics[a.topic].partitions
    left = sum(consumer.get_watermark_offsets(TopicPartition(a.topic, p), timeout=10)[1] for p in parts)
    consumer.assign([TopicPartition(a.topic, p, 0) for p in parts])
    work = tempfile.mkdtemp(prefix="peer-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
    path, rows, size, chunks, ends = os.path.join(work, "chunk.jsonl"), 0, 0, 0, {}

    def convert():
        chunk = os.path.join(a.out, f"{chunks}.parquet")
        con.execute(f"COPY ({SELECT}{', messages, response' if a.content else ''} FROM read_json('{path}', format='newline_delimited', columns={spec}, "
                    f"maximum_object_size=67108864)) TO '{chunk}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 3)")
        fd = os.open(chunk, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)
        consumer.commit(offsets=[TopicPartition(a.topic, p, o) for p, o in ends.items()], asynchronous=False)

    t = time.perf_counter()
    out = open(path, "wb")
    while left:
        batch = [m for m in consumer.consume(10_000, 0.1) if not m.error()]
        out.write(b"".join(m.value() + b"\n" for m in batch))
        ends.update((m.partition(), m.offset() + 1) for m in batch)
        left -= len(batch)
        rows += len(batch)
        if out.tell() >= a.chunk_mb << 20 or (not left and out.tell()):
            size += out.tell()
            out.close()
            convert()
            chunks += 1
            out = open(path, "wb")
    seconds = time.perf_counter() - t
    consumer.close()
    shutil.rmtree(work)
    print(json.dumps({"s": seconds, "rows": rows, "bytes": size - rows, "ver": f"duckdb {duckdb.__version__} + librdkafka"}))


if __name__ == "__main__":
    main()
