"""`ask.py get URL`, or `ask.py post URL TEXT`: prints what comes back. Waits for a server that is about to begin.

The answer of an error is printed too, and the exit code is 1.
"""

import sys
import time
import urllib.error
import urllib.request


def main():
    method, url, *text = sys.argv[1:]
    request = urllib.request.Request(url, data="\n".join(text).encode() or None, method=method.upper())
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    until = time.monotonic() + 20
    while True:
        try:
            with opener.open(request, timeout=20) as answer:
                sys.stdout.write(answer.read().decode())
                return 0
        except urllib.error.HTTPError as error:
            sys.stdout.write(error.read().decode())
            return 1
        except urllib.error.URLError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main())
