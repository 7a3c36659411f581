"""What the README and the container file say is true of the code beside them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import typer
import yaml
from PIL import Image

from backend.server.app import create_app
from backend.server.settings import Settings
from precompute.application import app
from tests.server.conftest import serving

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def commands() -> dict[str, set[str]]:
    """Every command with its long options."""
    group = typer.main.get_command(app)
    return {
        name: {option for parameter in command.params for option in parameter.opts}
        for name, command in group.commands.items()  # type: ignore[attr-defined]
    }


def test_every_command_in_the_readme_exists() -> None:
    named = set(re.findall(r"pairscope ([a-z][a-z-]+)", README))
    assert named <= set(commands()), named - set(commands())
    assert set(commands()) <= named, "a command is missing from the README"


@pytest.fixture(scope="module")
def server(demo_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a server of the demo's stored pages."""
    data = tmp_path_factory.mktemp("data")
    with serving(create_app(Settings(stores=(demo_store,), data=data, live=False))) as address:
        yield address


@pytest.mark.parametrize("example", re.findall(r"```python\n(.*?)```", README, re.DOTALL))
def test_the_readmes_python_examples_run(
    example: str, demo_store: Path, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.effect_noise((120, 90), 60).convert("RGB").save(tmp_path / "photo.jpg")
    (tmp_path / "stores").mkdir()
    (tmp_path / "stores" / "demo").symlink_to(demo_store)
    monkeypatch.chdir(tmp_path)
    exec(compile(example.replace("http://127.0.0.1:8000", server), "README.md", "exec"), {})


def test_pages_that_the_readme_names_exist_and_are_worth_a_look(server: str) -> None:
    found = re.findall(r"(?:127\.0\.0\.1:8000|[\s`\"(])(/demo[^\s`\"')]*)", README)
    pages = {address.rstrip(".;,") for address in found}
    assert len(pages) > 8
    for address in pages:
        assert httpx.get(server + address).status_code == 200, address
    parts = set(re.findall(r"(?<![\d.])(\d{3,})\.(\d{1,2})(?![\d.])", README))
    parts |= set(re.findall(r"/demo/pairs/(\d+)/(\d+)", README))
    parts |= set(re.findall(r'"neuron": (\d+), "head": (\d+)', README))
    assert parts
    for neuron, head in parts:
        pair = httpx.get(f"{server}/api/v1/models/demo/pairs/{neuron}/{head}").json()
        assert pair["norm_percentile"] > 90
        assert pair["held_out"] > 0.3
    for number in set(re.findall(r"neurons?[/:](\d+)", README)):
        neuron = httpx.get(f"{server}/api/v1/models/demo/neurons/{number}").json()
        assert neuron["norm_percentile"] > 90
        assert neuron["held_out"] > 0.3


def test_links_to_files_in_the_readme_exist() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#\s]*[./][^)#\s]*)\)", README):
        assert (ROOT / target).exists(), target


def test_the_makefile_has_what_the_readme_names() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"make ([a-z]+)", README)) <= targets


def test_the_container_runs_a_command_that_exists() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    assert set(compose) == {"services", "volumes"}
    service = compose["services"]["pairscope"]
    command, *arguments = service["command"].split()
    assert {word for word in arguments if word.startswith("--")} <= commands()[command]
    copied = re.findall(r"^COPY (.+) \S+$", service["build"]["dockerfile_inline"], re.MULTILINE)
    assert all((ROOT / name).exists() for line in copied for name in line.split())
    volumes = {mount.split(":")[0] for mount in service["volumes"]}
    assert volumes == set(compose["volumes"])


def test_the_lock_names_no_host() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert "://" not in lock
    requirements = re.findall(r"^([a-z0-9-]+)==", lock, re.MULTILINE)
    assert len(requirements) == len(set(requirements)) > 50
    declared = re.findall(r'^    "([A-Za-z0-9_-]+)>=', (ROOT / "pyproject.toml").read_text(), re.M)
    assert {name.lower().replace("_", "-") for name in declared} <= set(requirements)
