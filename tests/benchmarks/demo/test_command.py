"""The command as a process of its own."""

import json
import re
import signal
import subprocess
import sys
import time

import pytest

httpx = pytest.importorskip("httpx")
pytest.importorskip("starlette")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="there Ctrl-C cannot be sent"),
]


def test_ctrl_c_ends_it_quietly_while_a_page_waits() -> None:
    command = [sys.executable, "-m", "cli", "demo", "--port", "0", "--no-browser"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as server:
        assert server.stdout is not None
        assert server.stderr is not None
        found = re.search(r"http://127\.0\.0\.1:\d+/", server.stdout.readline())
        assert found is not None
        with httpx.Client(base_url=found.group(), timeout=120) as client:
            picture = client.get("/pictures/samples").json()["parrots"]["id"]
            body = {"visitor": "v", "number": 1, "picture": picture, "settings": {}}
            with client.stream("POST", "/show", json=body) as response:
                lines = response.iter_lines()
                assert json.loads(next(lines))["event"] == "panel"
                server.send_signal(signal.SIGINT)
                started = time.monotonic()
                list(lines)
                assert time.monotonic() - started < 5  # the curve would take longer
        assert server.wait(60) == 0
        assert server.stderr.read() == ""
