#!/usr/bin/env python3
"""An HTTP API with rate limits: one question to the server per request, whatever the number of limits.

    rate_limited_api.py [redis://127.0.0.1:6379/]

RL.CHECK asks for all limits of a request at once and takes from all of them or from none: a user who is refused because
of the organisation keeps what is left of the own limit. With HEADERS its answer has the lines that an HTTP reply needs:
RateLimit-Policy and RateLimit of the IETF's draft, and Retry-After.
"""

import http.client
import http.server
import sys
import threading

import redis

USER = "example:api:user:{}"
ORG = "example:api:org:{}"
POLICIES = {
    # 3 at once, and one more every 20 minutes; for all users of an organisation 5 in an hour.
    "example-user": ("TOKENBUCKET", 3, 3, 3_600_000),
    "example-org": ("FIXED", 5, 3_600_000),
}


class Api(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "example"

    def do_GET(self):
        user, org = self.headers["X-User"], self.headers["X-Org"]
        limits = ("example-user", USER.format(user), 1, "example-org", ORG.format(org), 1)
        allowed, _, _, lines = self.server.redis.execute_command("RL.CHECK", 2, *limits, "HEADERS")
        body = b"hello\n" if allowed else b"slow down\n"
        self.send_response(200 if allowed else 429)
        for line in lines:
            self.send_header(*line.split(": ", 1))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def get(port, user, org):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/", headers={"X-User": user, "X-Org": org})
    response = connection.getresponse()
    response.read()
    connection.close()
    return response


def main():
    url = sys.argv[1] if len(sys.argv) > 1 else "redis://127.0.0.1:6379/"
    with redis.Redis.from_url(url, decode_responses=True) as r:
        for name, spec in POLICIES.items():
            r.execute_command("RL.POLICY SET", name, *spec)
        api = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Api)
        api.redis = r
        threading.Thread(target=api.serve_forever, daemon=True).start()
        port = api.server_address[1]
        replies = [get(port, "ada", "acme") for _ in range(4)] + [get(port, "bob", "acme") for _ in range(3)]
        api.shutdown()
        statuses = [reply.status for reply in replies]
        # ada's own limit refuses her fourth, the organisation's bob's third.
        assert statuses == [200, 200, 200, 429, 200, 200, 429], statuses
        first, fourth, last = replies[0], replies[3], replies[6]
        policy = '"example-user";q=3;w=3600, "example-org";q=5;w=3600'
        assert first.headers["RateLimit-Policy"] == policy, first.headers
        assert first.headers["RateLimit"].startswith('"example-user";r=2;t='), first.headers
        assert first.headers["Retry-After"] is None
        assert 1190 <= int(fourth.headers["Retry-After"]) <= 1200, fourth.headers
        assert 3590 <= int(last.headers["Retry-After"]) <= 3600, last.headers
        print(f"{statuses.count(200)} requests served, {statuses.count(429)} refused")
        r.delete(USER.format("ada"), USER.format("bob"), ORG.format("acme"))
        r.execute_command("RL.POLICY DEL", *POLICIES)


main()
