"""An S3 server in memory whose conditional put is not atomic: it looks whether the object is there, and then writes.

So do servers that check for a file before they rename another into its place. All else is as it should be, as far as a ledger asks
for it: put, get, head, list, delete. Prints its address and serves until it is stopped.
"""

import hashlib
import time
import urllib.parse
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from xml.sax.saxutils import escape

# From the look to the write, as a slow disk takes.
GAP_S = 0.02
objects = {}  # path -> (bytes, when)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["If-None-Match"] == "*":
            there = self.key() in objects
            time.sleep(GAP_S)
            if there:
                return self.answer(412)
        objects[self.key()] = (body, time.time())
        self.answer(200, headers=describe(body))

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        if "list-type" in query:
            return self.answer(200, listing(url.path.strip("/"), query))
        found = objects.get(self.key())
        if not found:
            return self.answer(404)
        body, when = found
        headers = describe(body) | {"Last-Modified": formatdate(when, usegmt=True)}
        wanted = self.headers["Range"]
        if not wanted:
            return self.answer(200, body, headers)
        first, last = wanted.removeprefix("bytes=").split("-")
        start = int(first) if first else max(len(body) - int(last), 0)
        end = min(int(last) + 1, len(body)) if first and last else len(body)
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(body)}"
        self.answer(206, body[start:end], headers)

    do_HEAD = do_GET

    def do_DELETE(self):
        objects.pop(self.key(), None)
        self.answer(204)

    def do_POST(self):
        """`DeleteObjects`, the only one that a ledger posts."""
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        bucket = urllib.parse.urlsplit(self.path).path.strip("/")
        keys = [part.split("</Key>")[0] for part in body.split("<Key>")[1:]]
        for key in keys:
            objects.pop(f"{bucket}/{key}", None)
        deleted = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in keys)
        self.answer(200, f"<DeleteResult>{deleted}</DeleteResult>".encode())

    def key(self):
        return urllib.parse.unquote(urllib.parse.urlsplit(self.path).path).strip("/")

    def answer(self, status, body=b"", headers=None):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


def describe(body):
    return {"ETag": f'"{hashlib.md5(body).hexdigest()}"'}


def listing(bucket, query):
    """Everything below `prefix` in one page; with a delimiter, what lies deeper as common prefixes."""
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter")
    contents, common = [], set()
    for path, (body, when) in sorted(objects.items()):
        key = path.removeprefix(f"{bucket}/")
        if key == path or not key.startswith(prefix) or key <= query.get("start-after", ""):
            continue
        rest = key[len(prefix):]
        if delimiter and delimiter in rest:
            common.add(prefix + rest.split(delimiter)[0] + delimiter)
        else:
            stamp = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(when))
            contents.append(f"<Contents><Key>{escape(key)}</Key><LastModified>{stamp}</LastModified><Size>{len(body)}</Size>"
                            f"<ETag>{describe(body)['ETag']}</ETag></Contents>")
    prefixes = "".join(f"<CommonPrefixes><Prefix>{escape(each)}</Prefix></CommonPrefixes>" for each in sorted(common))
    return f"<ListBucketResult><IsTruncated>false</IsTruncated>{''.join(contents)}{prefixes}</ListBucketResult>".encode()


def main():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
