"""The page in a real browser: Debian's Chromium, or another one that is installed."""

import io
import json
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import cli
from tests.benchmarks.demo.handmade import photograph

playwright = pytest.importorskip("playwright.sync_api")
pytest.importorskip("starlette")
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
]
WAIT_MS = 90_000
ALL_THERE = (
    "() => document.querySelectorAll('.psnr').length === 3 && !document.querySelector('.stale')"
)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The command itself, on a free port."""
    command = [sys.executable, "-m", "cli", "demo", "--port", "0", "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:\d+/", server.stdout.readline())
        assert found is not None
        yield found.group()
        server.terminate()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as running:
        # Those who run as root in a container have no sandbox.
        browser = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Visitor:
    """A page, with what it asked for and what went wrong in it."""

    def __init__(self, browser: Any, address: str, width: int = 1280, **how: Any) -> None:
        # Without bypass_csp the page could not be asked anything: it forbids eval.
        self.context = browser.new_context(
            viewport={"width": width, "height": 844}, bypass_csp=True, **how
        )
        self.page = self.context.new_page()
        self.requests: list[str] = []
        self.wrong: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on(
            "console", lambda said: self.wrong.append(said.text) if said.type == "error" else None
        )
        self.page.goto(address)
        self.wait()

    def wait(self) -> None:
        self.page.wait_for_function(ALL_THERE, timeout=WAIT_MS)

    def slide(self, name: str, value: float) -> None:
        self.page.evaluate(
            "([name, value]) => { const slider = document.getElementById(name);"
            "slider.value = value; slider.dispatchEvent(new Event('input')); }",
            [name, value],
        )

    def psnr(self, panel: str) -> str:
        return str(self.page.inner_text(f"[data-panel={panel}] .psnr"))

    def drop(self, data: bytes, name: str) -> None:
        """A file onto the page, as from a file manager."""
        self.page.evaluate(
            "([bytes, name]) => { const data = new DataTransfer();"
            "data.items.add(new File([new Uint8Array(bytes)], name));"
            "dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true })); }",
            [list(data), name],
        )


@pytest.fixture
def visitor(browser: Any, address: str) -> Iterator[Visitor]:
    visitor = Visitor(browser, address)
    yield visitor
    visitor.context.close()


def transmitted(picture: Path, folder: Path, *options: str) -> float:
    words = ["transmit", str(picture), "--weights", "witt_light", "--json", "--no-ms-ssim"]
    run = CliRunner().invoke(cli.cli, [*words, *options, "--output", str(folder)])
    assert run.exit_code == 0, run.output
    return float(json.loads(run.stdout)[0]["psnr_db"])


def test_it_loads_and_follows_the_slider(visitor: Visitor, address: str, tmp_path: Path) -> None:
    sample = Path("witt/samples/kodim23.png").resolve()
    told = transmitted(sample, tmp_path, "--snr", "10", "--seed", "0")
    assert visitor.psnr("neural") == f"{told:.2f} dB"
    visitor.slide("snr", 2.5)
    assert visitor.page.is_visible("[data-panel=neural] .pending")
    visitor.wait()
    told = transmitted(sample, tmp_path, "--snr", "2.5", "--seed", "0")
    assert visitor.psnr("neural") == f"{told:.2f} dB"
    assert visitor.page.inner_text("#snr-value") == "2.5 dB"
    visitor.page.wait_for_function(
        "() => document.querySelectorAll('#chart circle.neural').length > 0", timeout=WAIT_MS
    )
    assert visitor.wrong == []
    outside = [url for url in visitor.requests if not url.startswith((address, "data:", "blob:"))]
    assert outside == []


def test_a_digital_picture_falls_off_the_cliff_and_the_others_do_not(visitor: Visitor) -> None:
    visitor.slide("snr", -3)
    visitor.wait()
    assert "Nothing arrived" in visitor.page.inner_text("[data-panel=digital] .notes")
    assert float(visitor.psnr("digital").split()[0]) < 15
    assert float(visitor.psnr("neural").split()[0]) > 25


def test_a_file_is_dropped(visitor: Visitor, tmp_path: Path) -> None:
    picture = photograph(41, 192, 256)
    path = tmp_path / "mine.png"
    path.write_bytes(picture.png)
    visitor.drop(picture.png, "mine.png")
    visitor.page.wait_for_selector("text=256 × 192 pixels", timeout=WAIT_MS)
    visitor.wait()
    assert visitor.psnr("neural") == f"{transmitted(path, tmp_path, '--snr', '10'):.2f} dB"


def test_a_broken_file_is_a_sentence_and_the_page_goes_on(visitor: Visitor) -> None:
    visitor.drop(b"no picture", "holiday.jpg")
    visitor.page.wait_for_selector("#picture-notes.wrong", timeout=WAIT_MS)
    assert "holiday.jpg: is not a picture" in visitor.page.inner_text("#picture-notes")
    visitor.slide("snr", 6)
    visitor.wait()


def test_20_megapixels_are_scaled_down(visitor: Visitor) -> None:
    y, x = np.mgrid[0:4000, 0:5000]
    buffer = io.BytesIO()
    large = np.stack([x // 20, y // 16, (x + y) // 36], axis=2).astype(np.uint8)
    Image.fromarray(large).save(buffer, "JPEG", quality=60)
    file = {"name": "large.jpg", "mimeType": "image/jpeg", "buffer": buffer.getvalue()}
    visitor.page.set_input_files("#file", files=[file])
    visitor.page.wait_for_selector("text=It was scaled down", timeout=WAIT_MS)
    visitor.wait()


def test_two_visitors_see_their_own(browser: Any, address: str, visitor: Visitor) -> None:
    alone = {}
    for snr in (1, 9):
        visitor.slide("snr", snr)
        visitor.wait()
        alone[snr] = [visitor.psnr(panel) for panel in ("neural", "deepjscc", "digital")]
    other = Visitor(browser, address)
    # Both at once, again and again: the last position of each counts.
    for step in range(6):
        visitor.slide("snr", 3 + step)
        other.slide("snr", 8 - step)
    visitor.slide("snr", 1)
    other.slide("snr", 9)
    visitor.wait()
    other.wait()
    for each, snr in ((visitor, 1), (other, 9)):
        got = [each.psnr(panel) for panel in ("neural", "deepjscc", "digital")]
        assert got == alone[snr]
    other.context.close()


def test_all_pictures_zoom_together_by_keyboard_and_wheel(visitor: Visitor) -> None:
    shown = "() => [...document.querySelectorAll('.view img')].map((i) => i.style.transform)"
    view = visitor.page.locator("[data-panel=digital] .view")
    view.focus()
    for key in ("+", "+", "ArrowRight", "ArrowDown"):
        visitor.page.keyboard.press(key)
    after = visitor.page.evaluate(shown)
    assert len(set(after)) == 1
    assert "scale(2.44141)" in after[0]
    assert visitor.page.inner_text("#zoom-value") == "2.4×"
    visitor.page.keyboard.press("0")
    assert "scale(1)" in visitor.page.evaluate(shown)[0]
    view.hover()
    visitor.page.mouse.wheel(0, -400)
    visitor.page.wait_for_function("() => document.querySelector('.zoomed')")
    moved = visitor.page.evaluate(shown)
    assert len(set(moved)) == 1


def test_a_map_is_laid_over_the_neural_panel(visitor: Visitor) -> None:
    panel, page = "[data-panel=neural]", visitor.page
    choice = page.locator(f"{panel} .over select")
    assert page.locator(".over select:visible").count() == 1
    assert not page.is_visible(f"{panel} .map")
    ends, sources = {}, set()
    for value in ("measured", "expected", "uses"):
        choice.select_option(value)
        assert page.is_visible(f"{panel} .map")
        ends[value] = page.inner_text(f"{panel} .end")
        sources.add(page.get_attribute(f"{panel} .map", "src"))
        assert ends[value] in page.get_attribute(f"{panel} .map", "alt")
    assert len(sources) == 3
    assert ends["measured"] == ends["expected"]
    assert ends["uses"].endswith("a pixel")
    # It follows the slider, and the zoom of the pictures.
    visitor.slide("snr", 0)
    visitor.wait()
    assert page.get_attribute(f"{panel} .map", "src") not in sources
    page.click("#zoom-in")
    transforms = "() => [...document.querySelectorAll('.view img')].map((i) => i.style.transform)"
    assert len(set(page.evaluate(transforms))) == 1
    # A code that expects nothing says so in the place of the scale.
    choice.select_option("expected")
    page.select_option("#weights", "witt_base")
    visitor.wait()
    assert not page.is_visible(f"{panel} .map")
    assert "witt_base cannot say what error to expect" in page.inner_text(f"{panel} .scale")
    choice.select_option("")
    assert not page.is_visible(f"{panel} .scale")
    assert visitor.wrong == []


def test_everything_is_reached_by_keyboard_and_has_a_name(visitor: Visitor) -> None:
    reached = set()
    for _ in range(60):
        visitor.page.keyboard.press("Tab")
        reached.add(visitor.page.evaluate("() => document.activeElement.id"))
    assert {"file", "snr", "cbr", "mode", "weights", "reseed", "save", "zoom-in"} <= reached
    visitor.page.focus("#snr")
    visitor.page.keyboard.press("ArrowRight")
    assert visitor.page.inner_text("#snr-value") == "10.5 dB"
    nameless = visitor.page.evaluate(
        "() => [...document.querySelectorAll('button, input, select, summary, [tabindex]')]"
        ".filter((e) => !(e.ariaLabel || e.textContent.trim() || e.labels?.length || "
        "e.getAttribute('aria-labelledby'))).map((e) => e.outerHTML)"
    )
    assert nameless == []
    assert visitor.page.get_attribute("#cbr", "aria-valuetext").startswith("1/16, one symbol")


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_the_screen(browser: Any, address: str, width: int, scheme: str) -> None:
    visitor = Visitor(browser, address, width, color_scheme=scheme)
    assert visitor.page.evaluate("() => document.documentElement.scrollWidth") == width
    paper = visitor.page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", paper))) > 384) == (scheme == "light")
    visitor.context.close()


def test_what_is_saved_is_what_is_shown(visitor: Visitor) -> None:
    with visitor.page.expect_download(timeout=WAIT_MS) as download:
        visitor.page.click("#save")
    with zipfile.ZipFile(download.value.path()) as archive:
        result = json.loads(archive.read("witt-demo/result.json"))
        assert {"witt-demo/neural.png", "witt-demo/commands.txt"} <= set(archive.namelist())
    assert f"{result['panels']['neural']['psnr_db']:.2f} dB" == visitor.psnr("neural")


def test_a_server_that_is_gone_is_a_sentence(browser: Any, visitor: Visitor) -> None:
    visitor.context.set_offline(True)
    visitor.slide("snr", 12)
    visitor.page.wait_for_function(
        "() => document.getElementById('says').textContent.includes('does not answer')",
        timeout=WAIT_MS,
    )
    visitor.context.set_offline(False)
    visitor.slide("snr", 12.5)
    visitor.wait()
    assert visitor.page.inner_text("#says") == ""
