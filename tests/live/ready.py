"""Waits until a part answers: `ready.py kafka` or `ready.py s3`, which also creates the bucket. Exit 1 after 60 s."""

import os
import sys
import time

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

DEADLINE_S = 60


def kafka():
    admin = AdminClient({"bootstrap.servers": os.environ["KAFKA_BROKERS"], "log_level": 0})
    return len(admin.list_topics(timeout=5).brokers) > 0


def s3():
    client = boto3.client("s3", config=Config(connect_timeout=2, read_timeout=5, retries={"max_attempts": 0}))
    bucket = os.environ["DAYBOOK_LIVE_BUCKET"]
    if bucket not in [found["Name"] for found in client.list_buckets()["Buckets"]]:
        client.create_bucket(Bucket=bucket)
    return True


def main():
    part = {"kafka": kafka, "s3": s3}[sys.argv[1]]
    started = time.monotonic()
    while time.monotonic() - started < DEADLINE_S:
        try:
            if part():
                return 0
        except (KafkaException, BotoCoreError, ClientError) as error:
            last = error
        time.sleep(0.2)
    print(f"{sys.argv[1]}: {last}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
