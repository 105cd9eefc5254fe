"""A webhook that keeps what it is sent: a stand-in for Teams, for the compose file and the tests.

    webhook_catcher.py [--host 127.0.0.1] [--port 0] [--answers 429:1,500,202] [--out FILE]

Answers the first posts as --answers says (a status, after a colon the seconds of Retry-After; or
`drop`, which hangs up without an answer), every further one with 202. Prints each card's first
line; appends one JSON object per post to FILE: at, path, answer, body. GET /cards returns them all,
GET /healthz says ok. The first line printed is LISTENING and the URL. WEBHOOK_ANSWERS in the
environment is the default of --answers.
"""
import argparse
import json
import os
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--host", default="127.0.0.1")
parser.add_argument("--port", type=int, default=0)
parser.add_argument("--answers", default=os.environ.get("WEBHOOK_ANSWERS", ""))
parser.add_argument("--out")
options = parser.parse_args()
answers = [answer for answer in options.answers.split(",") if answer]
cards = []


def headline(body):
    """The first text of a card, Adaptive or legacy."""
    try:
        attachments = body.get("attachments")
        return attachments[0]["content"]["body"][0]["text"] if attachments else body["summary"]
    except (AttributeError, IndexError, KeyError, TypeError):
        return "(no card)"


class Catcher(BaseHTTPRequestHandler):
    def do_POST(self):
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode("utf-8", "replace")
        try:
            body = json.loads(raw)
        except ValueError:
            body = raw
        answer = answers.pop(0) if answers else "202"
        card = {"at": time.time(), "path": self.path, "answer": answer, "body": body}
        cards.append(card)
        print(answer, headline(body), flush=True)
        if options.out:
            with open(options.out, "a", encoding="utf-8") as out:
                out.write(json.dumps(card) + "\n")
        if answer == "drop":
            self.close_connection = True
            return
        status, _, retry_after = answer.partition(":")
        self.reply(int(status), b"", {"Retry-After": retry_after} if retry_after else {})

    def do_GET(self):
        if self.path == "/cards":
            self.reply(200, json.dumps(cards).encode(), {"Content-Type": "application/json"})
        else:
            self.reply(200 if self.path == "/healthz" else 404, b"", {})

    def reply(self, status, body, headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """The cards are the log."""


server = ThreadingHTTPServer((options.host, options.port), Catcher)
print(f"LISTENING http://{options.host}:{server.server_address[1]}", flush=True)
try:
    server.serve_forever()
except KeyboardInterrupt:
    server.server_close()
