"""Random moves of several visitors, with flat memory; WITT_SOAK_MINUTES=60 makes it an hour."""

import json
import os
import random
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.demo.handmade import photograph

httpx = pytest.importorskip("httpx")
pytest.importorskip("starlette")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc"),
]
MINUTES = float(os.environ.get("WITT_SOAK_MINUTES", "3"))
# Freed memory is given back every ten seconds. What is held just after that must not grow; what is
# held just before depends on what was computed meanwhile.
GROWTH_MB, SWING_MB = 60, 200
# In the first minutes the stores of pictures fill.
WARM = 0.25


def resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found.group(1)) / 1024


class Restless:
    """A visitor who moves sliders, often before the answer is there, and brings new pictures."""

    def __init__(self, address: str, number: int, until: float) -> None:
        self.address, self.name, self.until = address, f"visitor {number}", until
        self.random = random.Random(number)
        self.answered = self.left = self.dropped = 0
        self.wrong: list[Any] = []

    def run(self) -> None:
        with httpx.Client(base_url=self.address, timeout=900) as client:
            pictures = [each["id"] for each in client.get("/pictures/samples").json().values()]
            number = 0
            while time.monotonic() < self.until:
                number += 1
                if self.random.random() < 0.1:
                    pictures.append(self.upload(client))
                self.move(client, number, self.random.choice(pictures[-4:]))

    def upload(self, client: Any) -> str:
        size = self.random.choice([(512, 768), (300, 400), (64, 900)])
        data = photograph(self.random.randrange(10**6), *size).png
        headers = {"content-type": "application/octet-stream", "x-name": "new.png"}
        return str(client.post("/pictures", content=data, headers=headers).json()["id"])

    def move(self, client: Any, number: int, picture: str) -> None:
        choose = self.random.choice
        settings = {
            "snr_db": choose(range(-10, 41)) / 2,
            "cbr": choose(["1/48", "1/24", "1/16", "1/8"]),
            "channel": choose(["awgn", "rayleigh-fast", "rayleigh-block"]),
            "mode": choose(["best", "16qam-1/2"]),
            "seed": choose(range(5)),
        }
        body = {"visitor": self.name, "number": number, "picture": picture, "settings": settings}
        patience = time.monotonic() + self.random.expovariate(1 / 4)
        with client.stream("POST", "/show", json=body) as response:
            if response.status_code != 200:
                self.wrong.append(response.read())
                return
            for line in response.iter_lines():
                event = json.loads(line)
                self.answered += event["event"] == "panel"
                if event["event"] == "failed":
                    self.wrong.append(event)
                if time.monotonic() > patience:
                    self.left += 1
                    return


def test_memory_stays_flat() -> None:
    command = [sys.executable, "-m", "cli", "demo", "--port", "0", "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:\d+/", server.stdout.readline())
        assert found is not None
        until = time.monotonic() + 60 * MINUTES
        visitors = [Restless(found.group(), number, until) for number in range(3)]
        threads = [threading.Thread(target=visitor.run) for visitor in visitors]
        for thread in threads:
            thread.start()
        memory, pause = [], min(15, 60 * MINUTES / 24)
        while any(thread.is_alive() for thread in threads):
            time.sleep(pause)
            memory.append(resident_mb(server.pid))
        server.terminate()
    told = ", ".join(f"{megabytes:.0f}" for megabytes in memory)
    answered = sum(visitor.answered for visitor in visitors)
    print(f"{answered} panels; resident MB every {pause:.0f} s: {told}")
    assert [wrong for visitor in visitors for wrong in visitor.wrong] == []
    assert answered > 10 * MINUTES
    warm = memory[round(WARM * len(memory)) :]
    before, after = warm[: len(warm) // 2], warm[len(warm) // 2 :]
    assert min(after) < min(before) + GROWTH_MB, told
    assert max(after) < max(before) + SWING_MB, told
