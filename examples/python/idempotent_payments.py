#!/usr/bin/env python3
"""An HTTP endpoint that takes money once, however often and from how many places the same request comes.

    idempotent_payments.py [redis://127.0.0.1:6379/]

IDEM.BEGIN tells whether a request is new, under way (409), done (its answer is sent again) or another one under the same key
(422). What it does is done in one transaction with GUARD IDEM and IDEM.COMPLETE: a handler that was so slow that
somebody else has taken over does nothing any more, and one that dies has done everything or nothing.
"""

import concurrent.futures
import hashlib
import http.client
import http.server
import json
import sys
import threading
import time

import redis

KEY = "example:idem:{}"
TAKEN = "example:payments"
LEASE_MS = 500


class Payments(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "example"

    def do_POST(self):
        r = self.server.redis
        body = self.rfile.read(int(self.headers["Content-Length"]))
        key = KEY.format(self.headers["Idempotency-Key"])
        fingerprint = hashlib.sha256(body).hexdigest()
        try:
            begin = r.execute_command("IDEM.BEGIN", key, LEASE_MS, "FINGERPRINT", fingerprint)
        except redis.exceptions.ResponseError as error:
            if not str(error).startswith("MISMATCH"):
                raise
            return self.answer(422, "this key was used for another request\n")
        status, token, response, ms = begin
        if status == "done":
            return self.answer(200, response)
        if status == "pending":
            return self.answer(409, "it is under way\n", ("Retry-After", str(-(-ms // 1000))))
        time.sleep(0.02)  # the bank
        response = json.dumps({"taken": json.loads(body)["euros"]})
        pipe = r.pipeline(transaction=True)
        pipe.execute_command("GUARD", "IDEM", key, token)
        pipe.incrby(TAKEN, json.loads(body)["euros"])
        pipe.execute_command("IDEM.COMPLETE", key, token, response, "EX", 3600)
        pipe.execute()
        return self.answer(200, response)

    def answer(self, status, text, *headers):
        body = text.encode()
        self.send_response(status)
        for header in headers:
            self.send_header(*header)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def post(port, key, euros):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST", "/", json.dumps({"euros": euros}), {"Idempotency-Key": key})
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response.status, text


def pay(port, key, euros):
    """What a client does: it asks until it has an answer."""
    while True:
        status, text = post(port, key, euros)
        if status != 409:
            return status, text
        time.sleep(0.01)


def main():
    url = sys.argv[1] if len(sys.argv) > 1 else "redis://127.0.0.1:6379/"
    with redis.Redis.from_url(url, decode_responses=True) as r:
        r.delete(TAKEN, KEY.format("a"), KEY.format("b"))
        api = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Payments)
        api.redis = r
        threading.Thread(target=api.serve_forever, daemon=True).start()
        port = api.server_address[1]

        # The same request from eight places at once.
        with concurrent.futures.ThreadPoolExecutor(8) as clients:
            answers = list(clients.map(lambda _: pay(port, "a", 5), range(8)))
        assert answers == [(200, '{"taken": 5}')] * 8, answers
        assert r.get(TAKEN) == "5"
        # Another one under the same key.
        assert post(port, "a", 500)[0] == 422

        # A handler begins and dies: who asks again is served when its lease ends, and it comes too late if it lives.
        fingerprint = hashlib.sha256(json.dumps({"euros": 7}).encode()).hexdigest()
        begin = r.execute_command("IDEM.BEGIN", KEY.format("b"), LEASE_MS, "FINGERPRINT", fingerprint)
        assert begin[0] == "new"
        assert pay(port, "b", 7) == (200, '{"taken": 7}')
        pipe = r.pipeline(transaction=True)
        pipe.execute_command("GUARD", "IDEM", KEY.format("b"), begin[1])
        pipe.incrby(TAKEN, 7)
        try:
            pipe.execute()
            raise AssertionError("it was late, and has taken money")
        except redis.exceptions.ResponseError as error:
            assert str(error).startswith("GUARDFAIL"), error
        assert r.get(TAKEN) == "12"
        api.shutdown()
        r.delete(TAKEN, KEY.format("a"), KEY.format("b"))
        print("2 payments asked for 9 times, 12 euros taken")


if __name__ == "__main__":
    main()
