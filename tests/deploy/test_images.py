"""The Dockerfile and .dockerignore, checked by parsers: what goes into the images, and who runs them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from docker.utils.build import exclude_paths
from dockerfile_parse import DockerfileParser

STATE = "/var/lib/sluicegate"

Stage = list[tuple[str, str]]


@pytest.fixture(scope="module")
def stages(root: Path) -> dict[str, Stage]:
    """Each stage's instructions, its `FROM` first."""
    found: dict[str, Stage] = {}
    with (root / "Dockerfile").open("rb") as file:
        for one in DockerfileParser(fileobj=file, env_replace=False).structure:
            if one["instruction"] == "FROM":
                current = found.setdefault(one["value"].split()[-1], [])
            if one["instruction"] != "COMMENT":
                current.append((one["instruction"], one["value"]))
    return found


def values(stage: Stage, instruction: str) -> list[str]:
    return [value for name, value in stage if name == instruction]


def sources(stage: Stage) -> set[str]:
    """What a stage copies from the repository."""
    return {word for value in values(stage, "COPY") if "--from" not in value for word in value.split()[:-1]}


def sent(repository: Path, folder: Path) -> set[str]:
    """The files below `folder` that a build is sent, by Docker's own rules for .dockerignore."""
    lines = (line.strip() for line in (repository / ".dockerignore").read_text().splitlines())
    patterns = [line for line in lines if line and not line.startswith("#")]
    return {path for path in exclude_paths(str(folder), patterns) if (folder / path).is_file()}


def test_the_build_gets_what_it_copies_and_no_more(root: Path, stages: dict[str, Stage]) -> None:
    files = sent(root, root) - {".dockerignore", "Dockerfile"}  # Docker sends these two itself
    copied = sources(stages["build"])
    for source in copied:
        assert any(path == source or path.startswith(f"{source}/") for path in files), source
    assert {path.split("/")[0] for path in files} == {source.split("/")[0] for source in copied}
    assert not [path for path in files if path.endswith(".pyc")]


def test_secrets_reach_neither_git_nor_an_image(root: Path, tmp_path: Path) -> None:
    assert ".env" in (root / ".gitignore").read_text().split()
    for name in (
        ".env",
        ".sluicegate/secrets.json",
        ".git/config",
        "dags/orders.yaml",
        "provider/sluicegate/a.py",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert sent(root, tmp_path) == {"provider/sluicegate/a.py"}


def test_the_build_has_what_the_project_says_it_needs(root: Path, stages: dict[str, Stage]) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    needed = {project["project"]["readme"], *project["project"]["license-files"]}
    assert needed | {package.split("/")[0] for package in wheel} <= sources(stages["build"])
    script = " ".join(value for stage in stages.values() for value in values(stage, "RUN"))
    assert set(re.findall(r"--group (\w+)", script)) == {"samples"} <= set(project["dependency-groups"])
    assert set(re.findall(r"--extra (\w+)", script)) == {"local"} <= set(project["project"]["optional-dependencies"])


def test_the_images_are_of_the_locked_versions(stages: dict[str, Stage]) -> None:
    runs = [value for stage in stages.values() for value in values(stage, "RUN")]
    syncs = [value for value in runs if "uv sync" in value]
    assert len(syncs) == 3
    assert all("uv sync --frozen --no-dev" in value for value in syncs)
    [uv] = [value for value in runs if "pip install" in value]
    assert re.search(r"\buv==\d+\.\d+\.\d+$", uv)


def test_a_folder_that_is_only_copied_is_installed_as_a_wheel(stages: dict[str, Stage]) -> None:
    # An editable install would point into a stage that is not in the image.
    for stage in ("build", "build-local"):
        assert "--no-editable" in [value for value in values(stages[stage], "RUN") if "uv sync" in value][-1]


def test_compose_builds_stages_that_exist(services: dict[str, Any], stages: dict[str, Stage]) -> None:
    builds = [service["build"] for service in services.values() if "build" in service]
    assert {build["target"] for build in builds} == {"airflow", "local"} <= set(stages)
    known = {value.partition("=")[0] for value in values(stages["build"], "ARG")}
    assert {name for build in builds for name in build.get("args", {})} <= known


def test_the_images_run_as_an_ordinary_user(stages: dict[str, Stage]) -> None:
    for target in ("airflow", "local"):
        stage = stages[target]
        assert stage[0] == ("FROM", f"base AS {target}")
        after = [name for name, _ in stage][[name for name, _ in stage].index("USER") :]
        assert values(stage, "USER") == ["sluicegate"]
        assert set(after) == {"USER", "WORKDIR", "CMD"}  # nothing that would still have run as root
    assert "useradd --uid 10001 " in values(stages["base"], "RUN")[0]


def test_base_images_are_pinned_and_the_same(stages: dict[str, Stage]) -> None:
    # An environment runs only on the very Python that it was made with.
    bases = {values(stage, "FROM")[0].split()[0] for stage in stages.values()} - set(stages)
    assert bases == {"python:3.11-slim-bookworm"}


def test_the_environment_is_copied_to_where_it_was_made(stages: dict[str, Stage]) -> None:
    [place] = re.findall(r"UV_PROJECT_ENVIRONMENT=(\S+)", " ".join(values(stages["build"], "ENV")))
    for target, origin in (("airflow", "build"), ("local", "build-local")):
        assert values(stages[target], "COPY") == [f"--from={origin} {place} {place}"]
    assert f"PATH={place}/bin:$PATH" in " ".join(values(stages["base"], "ENV"))


def test_volumes_belong_to_the_user_of_the_images(services: dict[str, Any], stages: dict[str, Stage]) -> None:
    assert f"--owner=sluicegate --group=sluicegate {STATE}" in " ".join(values(stages["base"], "RUN"))
    for name, service in services.items():
        if "build" in service and "volumes" in service:
            own = [volume.split(":")[1] for volume in service["volumes"] if not volume.startswith(".")]
            assert own == [STATE], name
