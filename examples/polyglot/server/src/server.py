"""The pantry over HTTP: `server.py PORT COUNT SHOP`, where COUNT and SHOP are those programs.

    POST /ledger   adds lines `KIND AMOUNT`; all of them or, with 400 and the reason, none
    GET /stock     what there is
    GET /list      what to buy
    GET /kinds     what there can be

The ledger is in memory: a real one would be in a file.
"""

import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from kinds import KINDS

LARGEST_BODY = 1 << 20


class Refused(Exception):
    """What was sent is wrong; the message says why."""


def piped(text, *programs):
    """`text` through one program after the other."""
    for program in programs:
        done = subprocess.run([program], input=text, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Refused(done.stderr)
        text = done.stdout
    return text


class Pantry:
    """A ledger, and the two programs that read it."""

    def __init__(self, count, shop):
        self.count, self.shop = count, shop
        self.ledger = ""
        self.lock = threading.Lock()

    def add(self, lines):
        with self.lock:
            ledger = self.ledger + lines.rstrip("\n") + "\n"
            piped(ledger, self.count)
            self.ledger = ledger

    def get(self, path):
        """The page at `path`, or `None`."""
        if path == "/kinds":
            return "".join(f"{name} {unit}\n" for name, unit, _ in KINDS)
        programs = {"/stock": (self.count,), "/list": (self.count, self.shop)}.get(path)
        return programs and piped(self.ledger, *programs)


class Handler(BaseHTTPRequestHandler):
    pantry: Pantry

    def answer(self, status, text):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        page = self.pantry.get(self.path)
        if page is None:
            self.answer(404, "no such page\n")
        else:
            self.answer(200, page)

    def do_POST(self):
        length = int(self.headers.get("Content-Length") or 0)
        if self.path != "/ledger" or not 0 < length <= LARGEST_BODY:
            self.answer(404 if self.path != "/ledger" else 413, "POST /ledger takes up to 1 MiB\n")
            return
        try:
            self.pantry.add(self.rfile.read(length).decode())
        except (Refused, UnicodeDecodeError) as error:
            self.answer(400, str(error))
        else:
            self.answer(200, "")

    def log_message(self, *_):
        pass


def main():
    _, port, count, shop = sys.argv
    Handler.pantry = Pantry(count, shop)
    with ThreadingHTTPServer(("127.0.0.1", int(port)), Handler) as server:
        print(f"http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
