"""Races conditional puts (`If-None-Match: *`) against the S3 server in AWS_ENDPOINT_URL.

Signs every request and opens every connection beforehand, so the racers' bytes leave together. Exactly one racer may win a
key, every other must be refused with 412 or 409, and the stored object must be the winner's. Exit 0 if that held for all keys.
"""
import argparse
import http.client
import multiprocessing
import os
import sys
import threading
import urllib.parse
import uuid
from collections import Counter

import boto3
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

ENDPOINT = os.environ["AWS_ENDPOINT_URL"]
REGION = os.environ.get("AWS_REGION", "us-east-1")
BUCKET = os.environ["DAYBOOK_LIVE_BUCKET"]


def signed_headers(url, body):
    request = AWSRequest("PUT", url, data=body, headers={"If-None-Match": "*"})
    keys = Credentials(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])
    S3SigV4Auth(keys, "s3", REGION).add_auth(request)
    return dict(request.headers)


def put_once(url, body, start, report):
    parts = urllib.parse.urlsplit(url)
    headers = signed_headers(url, body)
    connection = http.client.HTTPConnection(parts.netloc, timeout=60)
    connection.connect()
    start.wait()
    try:
        connection.request("PUT", parts.path, body, headers)
        status = connection.getresponse().status
    except OSError as error:
        status = type(error).__name__
    report((body, status))


def racer(process, threads, urls, size, start, results):
    for key, url in enumerate(urls):
        outcome, running = [], []
        for thread in range(threads):
            body = f"{key}/{process}/{thread} ".encode().ljust(size, b".")
            running.append(threading.Thread(target=put_once, args=(url, body, start, outcome.append)))
            running[-1].start()
        for thread in running:
            thread.join()
        results.put((key, outcome))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=50)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--bytes", type=int, default=2000)
    args = parser.parse_args()

    prefix = f"race-{uuid.uuid4().hex[:8]}"
    urls = [f"{ENDPOINT}/{BUCKET}/{prefix}/{key:020}.json" for key in range(args.keys)]
    start = multiprocessing.Barrier(args.processes * args.threads)
    results = multiprocessing.Queue()
    workers = [multiprocessing.Process(target=racer, args=(p, args.threads, urls, args.bytes, start, results))
               for p in range(args.processes)]
    for worker in workers:
        worker.start()
    by_key = {}
    for _ in range(args.processes * args.keys):
        key, outcome = results.get(timeout=120)
        by_key.setdefault(key, []).extend(outcome)
    for worker in workers:
        worker.join()

    s3 = boto3.client("s3")
    bad, statuses = 0, Counter()
    for key, outcome in sorted(by_key.items()):
        statuses.update(status for _, status in outcome)
        winners = [body for body, status in outcome if status == 200]
        stored = s3.get_object(Bucket=BUCKET, Key=f"{prefix}/{key:020}.json")["Body"].read()
        refused = all(status in (200, 409, 412) for _, status in outcome)
        if len(winners) != 1 or stored != winners[0] or not refused:
            bad += 1
            print(f"      key {key}: {len(winners)} winners, stored object is a winner's: {stored in winners}")
    racers = args.processes * args.threads
    print(f"{'FAIL' if bad else 'ok  '}  a conditional put has exactly one winner: {args.keys} keys, {racers} racers each, "
          f"{bad} keys raced wrongly, answers {dict(statuses)}")
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
