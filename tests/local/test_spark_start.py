"""How the stack starts its local AWS, and that Spark: the archive of its classes, how many jobs at once, chaos."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sluicegate.local.aws.archive import KEPT, Archives
from sluicegate.local.aws.plan import Fault, Plan
from sluicegate.local.aws.spark import Place, local_command, parse
from sluicegate.local.stack.aws import component, slots
from sluicegate.local.stack.settings import Settings
from sluicegate.local.stack.state import Ports, Secrets, State

CLASSES = "java/lang/Object\norg/apache/spark/sql/execution/SparkPlan\n"
DUMP = """#!/bin/sh
for word; do case $word in
-XX:SharedClassListFile=*) list=${word#*=};;
-XX:SharedArchiveFile=*) cp "$list" "${word#*=}";;
esac; done
"""


@pytest.fixture
def java(tmp_path: Path) -> Path:
    return java_of(tmp_path / "java", DUMP)


@pytest.fixture
def spark(tmp_path: Path) -> Path:
    (tmp_path / "spark/jars").mkdir(parents=True)
    return tmp_path / "spark"


@pytest.fixture
def archives(tmp_path: Path) -> Iterator[Archives]:
    made = Archives(tmp_path / "cache")
    yield made
    made.close()


def java_of(home: Path, program: str, version: str = "17.0.9") -> Path:
    (home / "bin").mkdir(parents=True)
    (home / "bin/java").write_text(program)
    (home / "bin/java").chmod(0o755)
    (home / "release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{version}"\n')
    return home


def make(archives: Archives, java: Path, spark: Path, classes: str = CLASSES) -> None:
    listed = spark / "classes"
    listed.write_text(classes)
    if thread := archives.make(java, spark, listed):
        thread.join(180)


def test_the_classes_of_a_job_become_the_archive_of_the_next(archives: Archives, java: Path, spark: Path) -> None:
    assert archives.find(java, spark) is None
    make(archives, java, spark, CLASSES + "of/The/Job id: 1 super: 2 source: /gone.jar\n")
    made = archives.find(java, spark)
    assert made is not None
    assert "of/The/Job" not in made.read_text()
    assert "java/lang/Object\n" in made.read_text()
    (spark / "jars/newer.jar").touch()
    assert archives.find(java, spark) is None


def test_what_an_ended_server_left_half_made_is_removed(
    archives: Archives, java: Path, spark: Path, tmp_path: Path
) -> None:
    (tmp_path / "cache/draft-x").mkdir(parents=True)
    make(archives, java, spark)
    assert not list((tmp_path / "cache").glob("draft-*"))


def test_a_truncated_archive_is_not_used(archives: Archives, java: Path, spark: Path) -> None:
    make(archives, java, spark)
    made = archives.find(java, spark)
    assert made is not None
    made.write_text("short")
    assert archives.find(java, spark) is None


def test_a_job_without_sql_is_no_example(archives: Archives, java: Path, spark: Path) -> None:
    make(archives, java, spark, "java/lang/Object\n")
    assert archives.find(java, spark) is None
    assert archives.can_make(java)


def test_an_older_java_is_asked_for_nothing(archives: Archives, tmp_path: Path) -> None:
    assert not archives.can_make(java_of(tmp_path / "eleven", DUMP, "11.0.2"))
    assert not archives.can_make(tmp_path / "none")


def test_an_archive_that_cannot_be_made_is_not_tried_again(archives: Archives, tmp_path: Path, spark: Path) -> None:
    broken = java_of(tmp_path / "broken", "#!/bin/sh\nexit 1\n")
    make(archives, broken, spark)
    assert archives.find(broken, spark) is None
    assert not archives.can_make(broken)


def test_old_archives_go(archives: Archives, java: Path, spark: Path, tmp_path: Path) -> None:
    for number in range(KEPT + 1):
        (spark / f"jars/{number}.jar").touch()
        make(archives, java, spark)
    assert len(list((tmp_path / "cache").glob("*.jsa"))) == KEPT
    assert archives.find(java, spark)


def test_spark_is_started_with_the_archive_or_lists_its_classes() -> None:
    def started(**more: Path) -> tuple[str, str]:
        made = local_command(parse(["j.py"]), Place(Path("/work"), {}, **more), str)
        (java,) = (word for word in made.argv if word.startswith("spark.driver.extraJavaOptions="))
        return java, made.env["SPARK_LAUNCHER_OPTS"]

    java, launcher = started(archive=Path("/cache/a.jsa"))
    assert '"-XX:SharedArchiveFile=/cache/a.jsa"' in java
    assert launcher.endswith(" -XX:SharedArchiveFile=/cache/a.jsa")
    java, launcher = started(archive=Path("/my cache/a.jsa"))
    assert '"-XX:SharedArchiveFile=/my cache/a.jsa"' in java
    assert "SharedArchiveFile" not in launcher  # a shell would split it
    java, launcher = started(classes=Path("/work/classes"))
    assert '"-XX:DumpLoadedClassList=/work/classes"' in java
    assert "DumpLoadedClassList" not in launcher


@pytest.mark.parametrize(
    ("cores", "gib", "at_once"), [(2, 6, 2), (2, 64, 2), (1, 64, 1), (2, 5, 1), (2, 1, 1), (16, 64, 4)]
)
def test_as_many_clusters_run_at_once_as_there_are_cores_and_memory(cores: int, gib: int, at_once: int) -> None:
    assert slots(cores, gib << 30) == at_once


def test_the_local_aws_of_a_stack_is_given_the_plan_of_its_chaos(tmp_path: Path) -> None:
    state = State(tmp_path)
    settings = Settings.parse(Settings(state, tmp_path, chaos="capacity=1,seed=7").command()[-1])
    made = component(state, Ports(1, 2, 3), Secrets(), {}, settings.chaos)
    at = made.command.index("--chaos")
    assert Plan.parse(made.command[at + 1]) == Plan({Fault.CAPACITY: 1.0}, 7)
    assert "--chaos" not in component(state, Ports(1, 2, 3), Secrets(), {}, "").command
