"""The page over HTTP: files of visitors, what is refused and how, and what is saved."""

import base64
import io
import json
import shlex
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

pytest.importorskip("starlette")
pytest.importorskip("httpx")
from starlette.testclient import TestClient

import cli
import witt
from benchmarks.demo import server as server_module
from benchmarks.demo import show as show_module
from benchmarks.demo.pictures import MOST_PIXELS
from benchmarks.demo.serve import _is_local, _listen
from benchmarks.demo.server import application
from benchmarks.demo.show import Show
from tests.benchmarks.demo.handmade import photograph
from witt.errors import InputError


@pytest.fixture
def client(show: Show, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setattr(show_module, "CURVE_SNRS_DB", (10.0,))
    monkeypatch.setattr(show_module, "DIGITAL_SNRS_DB", (10.0,))
    with TestClient(application(show, ["127.0.0.1"]), base_url="http://127.0.0.1") as client:
        yield client


def upload(client: TestClient, data: bytes, name: str = "photo.png") -> Any:
    headers = {"content-type": "application/octet-stream", "x-name": name}
    return client.post("/pictures", content=data, headers=headers)


def ask(client: TestClient, picture: str, number: int = 1, **settings: Any) -> list[Any]:
    body = {"visitor": "v", "number": number, "picture": picture, "settings": settings}
    response = client.post("/show", json=body)
    assert response.status_code == 200, response.text
    return [json.loads(line) for line in response.text.splitlines()]


def test_the_page_loads_nothing_from_elsewhere(client: TestClient) -> None:
    page = client.get("/")
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert "{{" not in page.text
    folder = Path(server_module.PAGE)
    for file in folder.iterdir():
        text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "http:" not in text, file.name
        assert "https:" not in text, file.name
    for name in ("main.js", "charts.js", "zoom.js", "page.css", "icon.svg"):
        assert client.get(f"/page/{name}").status_code == 200


def test_a_picture_shown_is_the_one_witt_transmit_sends(client: TestClient, tmp_path: Path) -> None:
    picture = photograph(31, 192, 256)
    answer = upload(client, picture.png).json()
    assert (answer["width"], answer["height"], answer["notes"]) == (256, 192, [])
    events = ask(client, answer["id"], snr_db=4, channel="rayleigh-fast", seed=5)
    (neural,) = [e for e in events if e["event"] == "panel" and e["panel"] == "neural"]
    path = tmp_path / "photo.png"
    path.write_bytes(picture.png)
    words = "--snr 4 --channel rayleigh --seed 5 --weights witt_light --json --output"
    run = CliRunner().invoke(cli.cli, ["transmit", str(path), *words.split(), str(tmp_path)])
    assert run.exit_code == 0, run.output
    (record,) = json.loads(run.stdout)
    assert neural["psnr_db"] == pytest.approx(record["psnr_db"], abs=1e-9)
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(neural["png"]))))
    np.testing.assert_array_equal(shown, witt.read_image(record["received"]).pixels)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "my photo.png: is empty."),
        (b"no picture at all", "my photo.png: is not a picture, or is damaged from the start"),
        (photograph(32).png[:300], "my photo.png: is damaged or cut short"),
        (photograph(32, 20, 30).png, "my photo.png: 30x20 pixels are too few"),
    ],
)
def test_a_file_that_is_no_use_is_a_sentence(client: TestClient, data: bytes, says: str) -> None:
    response = upload(client, data, "../etc/my%20photo.png")
    assert response.status_code == 422
    assert response.json()["says"].startswith(says)
    assert response.json()["says"].endswith(".")
    assert "/tmp" not in response.json()["says"]


def test_20_megapixels_are_scaled_down_and_it_says_so(client: TestClient) -> None:
    y, x = np.mgrid[0:4000, 0:5000]
    large = Image.fromarray(np.stack([x // 20, y // 16, (x + y) // 36], axis=2).astype(np.uint8))
    buffer = io.BytesIO()
    large.save(buffer, "JPEG")
    answer = upload(client, buffer.getvalue(), "large.jpg").json()
    assert 0.98 * MOST_PIXELS < answer["width"] * answer["height"] <= MOST_PIXELS
    assert answer["width"] / answer["height"] == pytest.approx(1.25, rel=0.01)
    assert "has 5000×4000 pixels. It was scaled down" in answer["notes"][-1]
    shown = Image.open(io.BytesIO(client.get(f"/pictures/{answer['id']}.png").content))
    assert shown.size == (answer["width"], answer["height"])


def test_a_file_that_never_ends_is_refused(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "MOST_UPLOAD", 1000)
    assert upload(client, bytes(2000)).status_code == 413


def test_requests_of_other_pages_are_refused(client: TestClient) -> None:
    assert client.get("/", headers={"host": "evil.example"}).status_code == 400
    # A form or a script elsewhere can send these without asking; it cannot send the others.
    plain = {"content-type": "text/plain"}
    assert client.post("/pictures", content=b"x", headers=plain).status_code == 415
    assert client.post("/show", content=b"{}", headers=plain).status_code == 415
    assert client.get("/page/../server.py").status_code == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ([], 400),
        ({"visitor": "v", "number": "x", "picture": "p", "settings": {}}, 400),
        ({"visitor": "v", "number": 1, "picture": "p", "settings": {}}, 410),
        ({"visitor": "v", "number": 1, "picture": "p", "settings": {"snr_db": 99}}, 422),
        ({"visitor": "v" * 2**17}, 422),
    ],
)
def test_a_request_that_cannot_be_served_is_a_sentence(
    client: TestClient, body: Any, status: int
) -> None:
    for path in ("/show", "/save"):
        response = client.post(path, json=body)
        assert response.status_code == status
        assert response.json()["says"].endswith(".")


def test_saved_commands_make_the_pictures_again(
    client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = upload(client, photograph(33, 192, 256).png).json()
    settings = {"snr_db": 8.5, "cbr": "1/8", "seed": 2, "mode": "16qam-1/2"}
    body = {"visitor": "s", "number": 1, "picture": picture["id"], "settings": settings}
    response = client.post("/save", json=body)
    assert response.headers["content-type"] == "application/zip"
    zipfile.ZipFile(io.BytesIO(response.content)).extractall(tmp_path)
    monkeypatch.chdir(tmp_path / "witt-demo")
    result = json.loads(Path("result.json").read_text(encoding="utf-8"))
    commands = Path("commands.txt").read_text(encoding="utf-8").splitlines()
    assert commands == [panel["command"] for panel in result["panels"].values()]
    for panel, command in zip(result["panels"], commands, strict=True):
        run = CliRunner().invoke(cli.cli, shlex.split(command)[1:], catch_exceptions=False)
        assert run.exit_code == 0, run.output
        saved = result["panels"][panel]
        if panel == "digital":
            again = json.loads(Path("again/digital.json").read_text(encoding="utf-8"))
            told = json.dumps(again)
            assert f"{saved['psnr_db']:.6f}"[:6] in told
        else:
            made = witt.read_image(f"again/{panel}/picture_received.png").pixels
            np.testing.assert_array_equal(made, witt.read_image(saved["picture"]).pixels)


def test_a_port_that_is_taken_is_one_line() -> None:
    taken = _listen("127.0.0.1", 0)
    taken.listen()
    with pytest.raises(InputError, match="cannot be listened at"):
        _listen("127.0.0.1", taken.getsockname()[1])
    taken.close()


def test_only_this_machine_unless_asked() -> None:
    assert all(map(_is_local, ("127.0.0.1", "127.1.2.3", "::1", "localhost")))
    assert not any(map(_is_local, ("0.0.0.0", "::", "192.168.1.2", "example.org")))


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    run = CliRunner().invoke(cli.cli, ["demo", "--port", "0"])
    assert isinstance(run.exception, InputError)
    assert "pip install 'witt[demo]'" in str(run.exception)
