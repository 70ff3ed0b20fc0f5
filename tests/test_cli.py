"""The command line: how it starts, what it prints when something is wrong, and its exit codes."""

import errno
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import click
import pytest

import cli
from witt.errors import InputError

ROOT = Path(cli.__file__).parent


def run(*args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cli", *args]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture
def with_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[Callable[[], None]], tuple[int, str, str]]:
    """Run `witt try` with a body of the test's own: exit code, stdout, stderr."""

    def execute(body: Callable[[], None]) -> tuple[int, str, str]:
        command = click.Command("try", callback=body)
        monkeypatch.setattr(cli.LazyGroup, "get_command", lambda *_: command)
        with pytest.raises(SystemExit) as stop:
            cli.main(["try"])
        out, err = capsys.readouterr()
        return stop.value.code, out, err

    return execute


def test_help_needs_no_heavy_import() -> None:
    """Help in half a second: nothing but click is loaded, whichever way it is asked for."""
    script = (
        "import sys, cli\n"
        "try: cli.main(['-h'])\n"
        "except SystemExit as stop: assert stop.code == 0\n"
        "heavy = {'torch', 'numpy', 'PIL', 'rich', 'matplotlib', 'witt', 'channels'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert all(entry.name in done.stdout for entry in cli.COMMANDS)


def test_module_and_version() -> None:
    done = run("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("witt ")
    assert run("--help").stdout.startswith("Usage: witt ")


def test_no_command_prints_the_help() -> None:
    done = run()
    assert done.returncode == 2
    assert "transmit" in done.stderr


@pytest.mark.parametrize("entry", cli.COMMANDS, ids=lambda entry: entry.name)
def test_commands_are_what_the_help_says(entry: cli.Entry) -> None:
    command = cli.LazyGroup().get_command(click.Context(cli.cli), entry.name)
    assert command is not None
    assert command.name == entry.name
    assert command.get_short_help_str(200) == entry.help


@pytest.mark.parametrize("entry", cli.COMMANDS, ids=lambda entry: entry.name)
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_of_each_command(
    entry: cli.Entry, flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main([entry.name, flag])
    out, err = capsys.readouterr()
    assert (stop.value.code, err) == (0, "")
    assert out.startswith(f"Usage: witt {entry.name}")


@pytest.mark.parametrize("entry", cli.COMMANDS, ids=lambda entry: entry.name)
def test_help_of_a_command_without_its_group(entry: cli.Entry) -> None:
    """Click keeps the names that it first saw, so a command alone must know -h as well."""
    command = cli.LazyGroup().get_command(click.Context(cli.cli), entry.name)
    assert command is not None
    with click.Context(command, **command.context_settings) as context:
        assert set(command.get_help_option_names(context)) == {"-h", "--help"}


@pytest.mark.parametrize("entry", cli.COMMANDS, ids=lambda entry: entry.name)
def test_output_is_the_same_option_everywhere(entry: cli.Entry) -> None:
    command = cli.LazyGroup().get_command(click.Context(cli.cli), entry.name)
    assert command is not None
    names = {option for parameter in command.params for option in parameter.opts}
    ways = {"-o", "--out", "--output"}
    assert names & ways in (set(), ways)


def test_input_error_is_one_line(with_command: Callable[..., tuple[int, str, str]]) -> None:
    def body() -> None:
        raise InputError("photo.png: is damaged\n(at byte 7)")

    expected = (2, "", "Error: photo.png: is damaged (at byte 7)\n")
    assert with_command(body) == expected


def test_full_disk_is_one_line(with_command: Callable[..., tuple[int, str, str]]) -> None:
    def body() -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "out/x.png")

    assert with_command(body) == (2, "", "Error: out/x.png: No space left on device\n")


def test_interrupt(with_command: Callable[..., tuple[int, str, str]]) -> None:
    def body() -> None:
        raise KeyboardInterrupt

    code, out, err = with_command(body)
    assert (code, out, err.strip()) == (130, "", "Interrupted.")


def test_a_bug_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only InputError is the user's; any other ValueError keeps its traceback."""

    def body() -> None:
        raise ValueError("a bug")

    monkeypatch.setattr(
        cli.LazyGroup, "get_command", lambda *_: click.Command("try", callback=body)
    )
    with pytest.raises(ValueError, match="a bug"):
        cli.main(["try"])


def test_warnings_are_plain_lines_said_once(
    with_command: Callable[..., tuple[int, str, str]],
) -> None:
    def body() -> None:
        for text in ("small picture", "small picture", "other\nthing"):
            warnings.warn(text, stacklevel=1)
        warnings.warn("for developers", DeprecationWarning, stacklevel=1)

    expected = (0, "", "Warning: small picture\nWarning: other thing\n")
    assert with_command(body) == expected


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (["nothing"], "'nothing'"),
        (["transmit"], "IMAGE"),
        (["transmit", "x.png", "--nothing"], "--nothing"),
        (["transmit", "x.png", "--snr"], "--snr"),
    ],
)
def test_usage_errors_are_one_line(
    args: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(args)
    out, err = capsys.readouterr()
    assert (stop.value.code, out) == (2, "")
    assert err.startswith("Error: ")
    assert err.count("\n") == 1
    assert named in err


def test_a_reader_that_leaves_is_quiet() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", "--help"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    with process.stderr as stderr:
        assert stderr.read() == b""
    process.wait()


def complete(*words: str) -> subprocess.CompletedProcess[str]:
    """What the Tab key offers after these words; the last one is not finished."""
    told = {"_WITT_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(("witt", *words))}
    told["COMP_CWORD"] = str(len(words))
    script = (
        "import sys, cli\n"
        "try: cli.main([])\n"
        "except SystemExit as stop: assert stop.code == 0\n"
        "print('torch' in sys.modules, file=sys.stderr)\n"
    )
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ, **told},
        capture_output=True,
        text=True,
        check=True,
    )


def test_tab_completes_commands_at_once() -> None:
    done = complete("tra")
    assert done.stdout.split() == ["plain,transmit", "plain,train"]
    assert done.stderr.strip() == "False"  # it waited for no import
    names = [line.partition(",")[2] for line in complete("").stdout.split()]
    assert names == [entry.name for entry in cli.COMMANDS]


def test_tab_completes_options_and_choices() -> None:
    assert {"plain,--snr", "plain,--seed"} <= set(complete("transmit", "--s").stdout.split())
    assert complete("info", "--he").stdout.split() == ["plain,--help"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes(shell: str, tmp_path: Path) -> None:
    """Its script is there; and where the shell is, it offers what we answer."""
    program = tmp_path / "witt"
    program.write_text(f'#!/bin/sh\ncd "{ROOT}" && exec "{sys.executable}" -m cli "$@"\n')
    program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    source = {**environment, "_WITT_COMPLETE": f"{shell}_source"}
    done = subprocess.run([program], env=source, capture_output=True, text=True, check=True)
    assert f"_WITT_COMPLETE={shell}_complete" in done.stdout
    if shutil.which(shell) is None:
        return
    asks = {
        "bash": f"{done.stdout}\nCOMP_WORDS=(witt tra); COMP_CWORD=1; _witt_completion witt\n"
        "printf '%s\\n' \"${COMPREPLY[@]}\"",
        "zsh": f"{done.stdout}",  # it answers to a keyboard only: that it parses
        "fish": f"{done.stdout}\ncomplete -C 'witt tra'",
    }
    answer = subprocess.run(
        [shell, "-c", asks[shell]], env=environment, capture_output=True, text=True, check=False
    )
    if shell != "zsh":
        offered = {line.split()[0] for line in answer.stdout.splitlines()}
        assert offered == {"transmit", "train"}
    assert "parse error" not in answer.stderr
