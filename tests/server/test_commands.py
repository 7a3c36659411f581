"""``pairscope serve``: one clear sentence for what cannot work, an address when everything does."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import typer
from typer.testing import CliRunner

from backend.server.commands import serve

COMMAND = "import typer; from backend.server.commands import serve; typer.run(serve)"


def refused(*arguments: object) -> str:
    """The one line on stderr."""
    app = typer.Typer()
    app.command()(serve)
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("pairscope: ")
    return line


def test_what_cannot_work_is_one_sentence(store: Path, tmp_path: Path) -> None:
    data = ("--data", tmp_path / "data")
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    assert "nowhere" in refused(tmp_path / "nowhere", *data)
    assert "no finished store" in refused(tmp_path / "empty", *data)
    assert "two stores are named demo" in refused(store, store, *data)
    assert "--public-url" in refused(store, *data, "--public-url", "example.org")
    assert "65535" in refused(store, *data, "--port", 65536)
    assert "potato" in refused(store, *data, "--device", "potato")
    assert "does not exist" in refused(store, *data, "--checkpoint", tmp_path / "nowhere")
    assert "cannot be written" in refused(store, "--data", tmp_path / "file" / "x")


def test_a_port_in_use_is_one_sentence(store: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refused(store, "--data", tmp_path, "--port", port)
        assert f"127.0.0.1:{port}" in said
        assert "--port, or with PORT= under make" in " ".join(said.split())


def test_a_damaged_store_is_named(store: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "manifest.json").write_text("{")
    assert "broken" in refused(broken, "--data", tmp_path / "data")


@pytest.fixture
def command(store: Path, tmp_path: Path) -> list[str]:
    given = [store, "--data", tmp_path / "data", "--port", "0", "--device", "cpu"]
    return [sys.executable, "-c", COMMAND, *map(str, given)]


def test_the_address_is_printed_when_everything_answers(
    command: list[str], checkpoint: Path
) -> None:
    with subprocess.Popen(
        [*command, "--checkpoint", str(checkpoint)], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            line = process.stdout.readline()
            url = re.fullmatch(r"PairScope is ready at (http://127\.0\.0\.1:\d+)\n", line)[1]
            assert httpx.get(f"{url}/readyz").status_code == 200
            assert "server" not in httpx.get(f"{url}/demo").headers
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(20) in {0, -signal.SIGTERM}


def test_a_server_that_cannot_start_says_so_and_fails(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "shares.sqlite").write_bytes(b"no database, " * 100)
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "file is not a database" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("pairscope: the server could not start")


def test_without_live_answers_a_checkpoint_is_not_asked_for(
    command: list[str], checkpoint: Path
) -> None:
    given = [*command, "--no-live", "--checkpoint", str(checkpoint)]
    with subprocess.Popen(given, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline().startswith("PairScope is ready at ")
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(20) in {0, -signal.SIGTERM}


def test_a_checkpoint_that_fits_no_store_is_refused(command: list[str], tmp_path: Path) -> None:
    useless = tmp_path / "useless.pt"
    useless.write_bytes(b"nonsense")
    done = subprocess.run(
        [*command, "--checkpoint", str(useless)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "useless.pt" in done.stderr
    assert "Traceback" not in done.stderr
