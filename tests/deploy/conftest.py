"""The compose file as a test sees it: with its variables replaced by what the doc's script generates."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]

# Compose: `$$`, or `${NAME}` with `:?message`, `?message`, `:-default` or `-default` behind the name.
_VARIABLE = re.compile(r"\$(?:\$|\{(?P<name>\w+)(?:(?P<operator>:?[?-])(?P<operand>[^}]*))?\})")


@dataclass(frozen=True)
class ComposeFile:
    text: str

    def read(self, environ: Mapping[str, str]) -> Any:
        """Its content with the variables replaced, as Compose does it: in values, after YAML.

        Raises KeyError with the file's own message for a variable that is needed and not there.
        """
        return _interpolated(yaml.safe_load(self.text), environ)

    def variables(self, *, optional: bool) -> set[str]:
        content = json.dumps(yaml.safe_load(self.text))
        found = [one for one in _VARIABLE.finditer(content) if one["name"]]
        return {one["name"] for one in found if (one["operator"] or "").endswith("-") == optional}

    def without_variables(self) -> str:
        return _VARIABLE.sub("", self.text)


def _interpolated(value: Any, environ: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _interpolated(one, environ) for key, one in value.items()}
    if isinstance(value, list):
        return [_interpolated(one, environ) for one in value]
    if not isinstance(value, str):
        return value
    return _VARIABLE.sub(lambda found: _replacement(found, environ), value)


def _replacement(found: re.Match[str], environ: Mapping[str, str]) -> str:
    name, operator, operand = found["name"], found["operator"] or "", found["operand"]
    if name is None:
        return "$"
    known = environ.get(name)
    if known is not None and (known or not operator.startswith(":")):
        return known
    if operator.endswith("-"):
        return str(operand)
    raise KeyError(f"{name}: {operand}")


def read_env(file: Path) -> dict[str, str]:
    """As Compose reads it, of which the script uses plain and single-quoted values."""
    pairs = dict(line.split("=", 1) for line in file.read_text().splitlines())
    return {name: value[1:-1] if value.startswith("'") else value for name, value in pairs.items()}


@dataclass(frozen=True)
class Generated:
    status: int
    errors: str
    file: Path

    @property
    def values(self) -> dict[str, str]:
        return read_env(self.file)


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def doc(root: Path) -> str:
    return (root / "docs" / "compose.md").read_text()


@pytest.fixture(scope="session")
def compose(root: Path) -> ComposeFile:
    return ComposeFile((root / "docker-compose.yaml").read_text())


@pytest.fixture(scope="session")
def generate(doc: str) -> Callable[[Path], Generated]:
    """Runs the doc's script that makes `.env`, in a folder."""
    blocks = re.findall(r"```sh\n(.*?)```", doc, re.DOTALL)
    [script] = [block for block in blocks if '".env"' in block]

    def run(folder: Path) -> Generated:
        environ = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        ran = subprocess.run(
            ["sh", "-e", "-c", script], cwd=folder, env=environ, capture_output=True, text=True, check=False
        )
        return Generated(ran.returncode, ran.stderr, folder / ".env")

    return run


@pytest.fixture(scope="session")
def generated(generate: Callable[[Path], Generated], tmp_path_factory: pytest.TempPathFactory) -> Generated:
    made = generate(tmp_path_factory.mktemp("compose"))
    assert made.status == 0, made.errors
    return made


@pytest.fixture(scope="session")
def env(generated: Generated) -> dict[str, str]:
    return generated.values


@pytest.fixture(scope="session")
def services(compose: ComposeFile, env: dict[str, str]) -> dict[str, dict[str, Any]]:
    content: dict[str, dict[str, dict[str, Any]]] = compose.read(env)
    return content["services"]
