"""Shared by all tests: shapes in signatures are checked, and one demo store is made per session."""

from __future__ import annotations

import os
from pathlib import Path

# Before torch is loaded: see precompute/cli.py.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from jaxtyping import install_import_hook

# Before the packages are imported: every call in every test then has its shapes and types checked.
install_import_hook(["backend.pairs", "backend.clip", "precompute.stages"], "beartype.beartype")

import pytest
from typer.testing import CliRunner

from precompute.application import app


@pytest.fixture(scope="session")
def demo_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's store, made by the command that people run."""
    path = tmp_path_factory.mktemp("stores") / "demo"
    made = CliRunner().invoke(app, ["precompute", "--model", "demo", "--out", str(path), "--quiet"])
    assert made.exit_code == 0, made.output
    return path
