# ruff: noqa: E501 - a table of bad clusters
"""What contradicts itself in a cluster, or AWS does not take, is refused at its place `▸`, with what to do."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from textwrap import indent

import pytest

from sluicegate.emr.names import RunKey
from sluicegate.emr.sizing import sized
from sluicegate.emr.tags import ENDED_BY, own_tags
from sluicegate.pipeline.check.cluster import cluster_errors
from sluicegate.pipeline.file import read_draft
from sluicegate.pipeline.keys.cluster import Cluster
from sluicegate.pipeline.keys.model import SparkStep
from tests.pipeline.conftest import Dags

GROUPS = "instances: {primary: m7g.xlarge, core: m7g.xlarge}\n"
FLEETS = "fleets: {primary: m7g.xlarge, core: {types: m7g.xlarge, on_demand: 2}}\n"
PIPELINE = """\
sluicegate: 1
steps:
  a:
    spark: s3://code/a.py
    reads: {x: s3://in/x.csv}
    cluster:
      release: emr-7.13.0
"""
ARN = "arn:aws:iam::123456789012:role/data"


@pytest.mark.parametrize(
    ("cluster", "message"),
    [
        (GROUPS + "▸fleets: {primary: m7g.xlarge}\n", "groups or fleets, never both"),
        ("tags: {}\n", "`instances` is missing, or `fleets`"),
        ("instances: {primary: {type: m7g.xlarge, market: ▸spot}}\n", "leave it on demand, or say `interruptible: true`"),
        ("fleets: {primary: {types: m7g.xlarge, on_demand: 0, spot: ▸1}}\n", "say `interruptible: true`"),
        ("fleets: {▸primary: {types: m7g.xlarge, spot: 1}}\n", "one primary node, not 1 on demand and 1 spot"),
        ("fleets: {primary: {types: [m, {type: n, ▸weight: 4}]}}\n", "leave `weight` out here"),
        ("fleets: {▸primary: [m, {type: n, weight: 4}]}\n", "leave `weight` out here"),
        ("instances: {primary: m7g.xlarge, ▸task: m7g.xlarge}\n", "say `core` too"),
        ("fleets: {primary: m, core: {types: ▸[a, a], spot: 1}}\n", "a is there twice"),
        (f"fleets: {{primary: m, core: {{spot: 1, types: ▸{[f't{n}' for n in range(31)]}}}}}\n", "takes 30 types"),
        ("fleets: {primary: m, ▸core: {types: a}}\n", "say `on_demand: 2`"),
        ("fleets: {primary: m, core: {types: a, spot: 1, spot_timeout: ▸4m}}\n", "from 5m to 24h here, not 4m"),
        ("fleets: {primary: m, core: {types: a, spot: 1, spot_timeout: ▸25h}}\n", "from 5m to 24h"),
        ("fleets: {primary: m, core: {types: a, spot: 1, spot_timeout: ▸5m30s}}\n", "whole minutes"),
        (GROUPS + "scaling: {min: 4, max: ▸3}\n", "`max: 3` is below `min: 4`"),
        (GROUPS + "scaling: {min: 1, max: 3, max_core: ▸4}\n", "`max_core: 4` is above `max: 3`"),
        (GROUPS + "scaling: {min: 1, max: 3, max_on_demand: ▸4}\n", "`max_on_demand: 4` is above"),
        ("▸instances: {primary: m}\nscaling: {min: 1, max: 3}\n", "say `core` here"),
        ("▸instances: {primary: m, core: {type: m, count: 4}}\nscaling: {min: 1, max: 3}\n", "begins with 4 core and task"),
        ("▸instances: {primary: m, core: {type: m, count: 4}}\nscaling: {min: 1, max: 9, max_core: 3}\n", "4 core nodes"),
        ("▸fleets: {primary: m, core: {types: m, on_demand: 4}}\nscaling: {min: 1, max: 9, max_on_demand: 3}\n", "4 on demand"),
        (GROUPS + "by_input: [{from: ▸1GB, core: 2}]\n", "what holds below 1GB? let the first say `from: 0`"),
        (GROUPS + "by_input: [{from: 0, core: 2}, {from: 2GB, core: 3}, {from: ▸1GB, core: 4}]\n", "expected more than 2GB"),
        (GROUPS + "by_input: [{from: 0, core: 2}, {from: ▸50G, core: 3}]\n", "expected bytes such as 0, 500MB, 50GB"),
        (GROUPS + "by_input: [▸{from: 0}]\n", "expected `core`, `task` or `max`"),
        (GROUPS + "by_input: [{from: 0, core: 1}, {from: 1GB, ▸task: 4}]\n", "the cluster has no `task`"),
        (GROUPS + "by_input: [{from: 0, core: 1}, {from: 1GB, ▸max: 4}]\n", "which the cluster does not have"),
        (
            "fleets: {primary: m, core: {types: m, on_demand: 2, spot: 2}}\n"
            "by_input: [{from: 0, core: ▸4}, {from: 1GB, core: 9}]\n",
            "units on demand and spot, and 4 does not say of which",
        ),
        (
            GROUPS + "scaling: {min: 1, max: 3}\nby_input: [{from: 0, core: 1}, ▸{from: 1GB, core: 4}]\n",
            "with this size it begins with 4 core and task nodes",
        ),
        (GROUPS + "subnets: [subnet-1, subnet-2, ▸subnet-1]\n", "subnet-1 is there already"),
        (GROUPS + "subnets: ▸vpc-1\n", "expected the id of a subnet"),
        (GROUPS + "log_uri: ▸/mnt/logs\n", "expected s3://<bucket>/"),
        (GROUPS + "log_uri: ▸https://logs.s3.amazonaws.com/\n", "expected s3://<bucket>/"),
        (GROUPS + "service_role: ▸role/data\n", "expected the name of a role or its ARN"),
        (GROUPS + "job_flow_role: ▸arn:aws:iam::12:role/data\n", "expected the name of a role or its ARN"),
        (GROUPS + "configurations: ▸[{Classification: spark-defaults}]\n", "expected keys and values, not a list"),
        (GROUPS + "configurations: {spark-defaults: {a: ▸[1]}}\n", "expected text, a number, true or false"),
        (GROUPS + "configurations: {spark-env: {export: {A: ▸{b: c}}}}\n", "expected text, a number, true or false"),
        (GROUPS + "configurations: {▸spark-default: {a: b}}\n", "did you mean spark-defaults?"),
        (GROUPS + "bootstrap_actions: ▸https://h/x.sh\n", "a file below the dags root or an s3:// URI"),
        (GROUPS + "bootstrap_actions: ▸boot/missing.sh\n", "there is no file 'boot/missing.sh'"),
        ("instances: {primary: {type: m, volume: {size: 9, type: ▸io1}}}\n", "needs `iops`"),
        ("instances: {primary: {type: m, volume: {size: 9, type: gp2, ▸iops: 4000}}}\n", "for `type: gp3` or `io1`"),
        ("instances: {primary: {type: m, volume: {size: 9, throughput: ▸100}}}\n", "from 125 to 1000 MiB/s"),
        ("fleets: {primary: {types: m, volume: {size: 9, type: gp2, ▸throughput: 200}}}\n", "for `type: gp3`"),
        (
            "run_job_flow: {Instances: {InstanceGroups: [{InstanceRole: MASTER, InstanceCount: ▸3}]}}\n",
            "keeps it alive",
        ),
        ("run_job_flow: {Instances: {InstanceGroups: []}}\n▸by_input: {from: 0, core: 2}\n", "not those of `run_job_flow`"),
        (GROUPS + "run_job_flow: {Instances: {▸EmrManagedMasterSecurityGroup: sg-1}}\n", "say both"),
        (GROUPS + "job_flow_role: ▸rôle\n", "expected the name of a role or its ARN"),
        (GROUPS + "tags: {▸'': y}\n", "a tag needs a key"),
        (GROUPS + "tags: {▸aws:x: y}\n", "AWS's own"),
        (GROUPS + "tags: {▸\"sluicegate:run\": y}\n", "is Sluicegate's own"),
        (GROUPS + "tags: {team: ▸\"a;b\"}\n", "write it with those"),
        (GROUPS + f"tags: {{team: ▸{'x' * 257}}}\n", "values of 256"),
        (GROUPS + "run_job_flow: {Instances: {▸KeepJobFlowAliveWhenNoSteps: true}}\n", "a cluster ends with its jobs"),
        (GROUPS + "run_job_flow: {Instances: {▸TerminationProtected: false}}\n", "would outlive its jobs"),
        (GROUPS + "run_job_flow: {▸Name: mine}\n", "found again"),
        (GROUPS + "run_job_flow: {▸Steps: []}\n", "the jobs of the step"),
        (GROUPS + "run_job_flow: {▸Tags: []}\n", "say `tags:`"),
        (GROUPS + "run_job_flow: {▸StepConcurrencyLevel: 2}\n", "one after the other"),
        (GROUPS + "run_job_flow: {▸ReleaseLabel: emr-7.0.0}\n", "`release` says this already"),
        (GROUPS + "log_uri: s3://logs/\nrun_job_flow: {▸LogUri: s3://more/}\n", "`log_uri` says this already"),
        (GROUPS + "run_job_flow: {Instances: {▸InstanceFleets: []}}\n", "EMR takes one of both"),
        ("run_job_flow: {Instances: {InstanceGroups: [], ▸InstanceFleets: []}}\n", "never both"),
        (
            "run_job_flow: {Instances: {InstanceGroups: [▸{InstanceRole: MASTER, Market: SPOT}]}}\n",
            "say it in `instances`",
        ),
        (
            "run_job_flow: {Instances: {InstanceFleets: [{InstanceFleetType: CORE, "
            "▸InstanceTypeConfigs: [{}, {}, {}, {}, {}, {}]}]}}\n",
            "takes 5 types in a fleet without an AllocationStrategy, not 6",
        ),
        (GROUPS + "run_job_flow: {AutoTerminationPolicy: {IdleTimeout: ▸30}}\n", "from 60 seconds"),
    ],
)  # fmt: skip
def test_a_contradiction_is_refused_at_its_place(dags: Dags, cluster: str, message: str) -> None:
    text = PIPELINE + indent(cluster, "      ")
    line = next((number for number, line in enumerate(text.splitlines(), 1) if "▸" in line), 0)
    first = next(each for each in dags.diagnostics(text.replace("▸", "")) if each.is_error)
    assert message in first.message
    if not line:
        assert (first.line, first.where) == (6, "steps.a.cluster")
        return
    assert (first.line, first.column) == (line, text.splitlines()[line - 1].index("▸") + 1)


@pytest.mark.parametrize("package", ["lib", "lib/", "lib/one.py"])
def test_a_package_that_leads_out_of_the_dags_root_is_refused(dags: Dags, tmp_path: Path, package: str) -> None:
    outside = tmp_path / "outside.py"
    outside.write_text("X = 1")
    (dags.root / "lib").mkdir()
    (dags.root / "lib" / "one.py").symlink_to(outside)
    job = f"{{path: s3://code/a.py, py_files: [{package}]}}"
    text = PIPELINE.replace("s3://code/a.py\n", job + "\n") + indent(GROUPS, "      ")
    [error] = [each for each in dags.diagnostics(text) if each.is_error]
    assert (error.code, error.message) == ("missing-file", "'lib/one.py' leads out of the dags root")
    (dags.root / "lib" / "one.py").unlink()
    (dags.root / "lib" / "two.py").write_text("X = 1")
    (dags.root / "lib" / "one.py").symlink_to(dags.root / "lib" / "two.py")
    dags.read(text)


def test_as_many_tags_and_bootstrap_actions_are_taken_as_leave_room_for_ours() -> None:
    def errors(**more: object) -> list[str]:
        said = {"release": "emr-7.13.0", "instances": {"primary": "m"}} | more
        return [wrong.message for wrong in cluster_errors(Cluster.model_validate(said))]

    key = RunKey("d", "dag", "run", "step")
    own = own_tags(key, attempt=1, pipeline="p", cluster="c", not_after=datetime.now(UTC))
    cluster = Cluster.model_validate(
        {"release": "emr-7.13.0", "instances": {"primary": "m", "core": "m"}, "by_input": {"from": 0, "core": 1}}
    )
    most = 50 - len({*own, *sized(cluster, {}, lambda uri: 0)[1], ENDED_BY})
    assert errors(tags={str(number): "x" for number in range(most)}) == []
    assert errors(tags={str(number): "x" for number in range(most + 1)}) != []
    actions = [f"s3://code/{number}.sh" for number in range(16)]
    assert errors(bootstrap_actions=actions[:15]) == []
    assert errors(bootstrap_actions=actions) != []
    assert errors(bootstrap_actions=actions, watchdog=False) == []


def test_what_goes_together_is_taken(dags: Dags) -> None:
    dags.write("boot/install.sh", "#!/bin/sh\n")
    text = f"""\
instances:
  - {{primary: m7g.xlarge, core: {{type: m7g.xlarge, count: 2, market: spot}}, task: {{type: m7g.xlarge, count: 4}}}}
  - {{primary: {{type: m6g.xlarge, market: spot, interruptible: true}}, core: {{type: m6g.xlarge, count: 2}}, task: m6g.xlarge}}
by_input: [{{from: 0, core: 2}}, {{from: 50GB, core: 10, task: 10, max: 40}}]
scaling: {{min: 2, max: 20, max_on_demand: 20, max_core: 10}}
service_role: {ARN}
subnets: [subnet-1, subnet-2]
bootstrap_actions: [boot/install.sh, {{path: s3://code/x.sh, args: [1], name: x}}]
configurations: {{spark-defaults: {{spark.sql.adaptive.enabled: true}}, my-own: {{a: 1}}}}
run_job_flow: {{Instances: {{UnhealthyNodeReplacement: true}}}}
"""
    step = dags.read(PIPELINE + indent(text, "      ")).steps["a"]
    assert isinstance(step, SparkStep)
    assert len(step.cluster.instances) == 2


@pytest.mark.parametrize("release", ["7.13.0", "emr-7.13", "emr_7.13.0"])
def test_a_release_is_called_as_emr_calls_it(dags: Dags, release: str) -> None:
    text = PIPELINE.replace("emr-7.13.0", release) + indent(GROUPS, "      ")
    [found] = [each for each in dags.diagnostics(text) if each.is_error]
    assert (found.line, found.column) == (7, 16)
    assert f"such as emr-7.13.0 or emr-spark-8.0.0, not '{release}'" in found.message


def test_the_size_of_the_input_needs_an_input(dags: Dags) -> None:
    text = PIPELINE.replace("    reads: {x: s3://in/x.csv}\n", "") + indent(
        GROUPS + "by_input: [{from: 0, core: 2}]\n", "      "
    )
    [found] = [each for each in dags.diagnostics(text) if each.is_error]
    assert "it reads nothing" in found.message


def test_a_table_in_the_input_is_a_warning_because_the_cluster_is_always_the_largest(dags: Dags) -> None:
    cluster = indent(GROUPS + "by_input: [{from: 0, core: 2}]\n", "      ")
    file = dags.write("orders.yaml", PIPELINE.replace("s3://in/x.csv", "table://wh/t") + cluster)
    [found] = read_draft(file, dags.root).diagnostics
    assert (found.code, found.severity, found.line, found.column) == ("unmeasured", "warning", 5, 16)


def test_what_is_wrong_with_a_named_cluster_is_in_the_defaults_and_there_once(dags: Dags) -> None:
    dags.write(
        "defaults.yaml",
        "clusters:\n  small:\n    release: emr-7.13.0\n    instances: {primary: m}\n    log_uri: logs/\n",
    )
    step = "{spark: s3://code/a.py, cluster: small}"
    [found] = [each for each in dags.diagnostics(f"sluicegate: 1\nsteps: {{a: {step}, b: {step}}}\n") if each.is_error]
    assert (found.file.name, found.line, found.where) == ("defaults.yaml", 5, "clusters.small.log_uri")


JOBS = """\
sluicegate: 1
steps:
  a:
    cluster: {release: emr-7.13.0, instances: {primary: m}}
    spark: %s
"""


@pytest.mark.parametrize(
    ("job", "message"),
    [
        ("{path: s3://c/a.py, ▸command: [ls]}", "not both"),
        ("{command: [ls], ▸py_files: lib/}", "`py_files` is for a spark-submit"),
        ("{command: [ls, ▸[x]]}", "expected text or a number, not a list"),
        ("{command: [ls, '{{ ▸dss }}']}", "dss"),
        ("{path: s3://c/a.py, py_files: ▸nothere/}", "there is no file 'nothere/'"),
        ("{path: s3://c/a.py, py_files: [lib, ▸gs://c/x.zip]}", "a file or folder below the dags root or an s3:// URI"),
        ("{path: s3://c/a.py, jars: ▸x.jar}", "there is no file 'x.jar'"),
        ("{path: s3://c/a.py, py_files: [s3://c/x.zip, ▸s3://d/x.zip]}", "two of these are called x.zip"),
        ("{path: s3://c/a.py, py_files: [lib, ▸s3://d/lib.zip]}", "two of these are called lib.zip"),
        ("{path: s3://c/a.py, py_files: ▸s3://c/x-1-py3-none-any.whl}", "no wheel in S3"),
        ("{path: s3://c/a.py, py_files: ▸s3://c/lib/}", "no folder in S3"),
        ("{path: s3://c/a.py, files: [▸'s3://c/{{ ds }}/a b.csv']}", "there is no space"),
        ("{path: ▸s3://c/a job.py}", "there is no space"),
        ("▸s3:///a.py", "an s3:// URI, not 's3:///a.py'"),
        ("{command: ▸[]}", "expected the words of a command"),
        ("{command: [▸' ']}", "expected the name of a command"),
        ("{path: s3://c/a.py, files: [▸'s3://c/a,b.csv']}", "by commas"),
        ("{path: s3://c/a.py, py_files: ▸s3://c/x-1-cp311-cp311-linux_x86_64.whl}", "by one of `bootstrap_actions`"),
        ("{path: s3://c/a.py, py_files: ▸s3://c/x.tar}", "expected a folder or one of .py, .zip, .egg, .whl"),
        ("{path: s3://c/a.py, packages: ▸spark-avro}", "expected <group>:<artifact>:<version>"),
        ("{path: s3://c/a.py, conf: {a: '{{ ▸dss }}'}}", "dss"),
        ("{path: s3://c/a.py, conf: {a: ▸[1]}}", "expected text, a number, true or false"),
        ("{path: s3://c/a.py, options: {▸deploy-mode: cluster}}", "runs in client mode"),
        ("{path: s3://c/a.py, options: {▸py-files: x.zip}}", "`py_files` is a key of its own"),
        ("{path: s3://c/a.py, options: {▸executor-memroy: 4g}}", "did you mean executor-memory?"),
        ("{path: s3://c/a.py, options: {verbose: ▸1}}", "expected true or false"),
        (f"{{path: s3://c/a.py, args: ▸[{'x' * 10_241}]}}", "`args` have 10,241 characters, and EMR takes 10,240"),
        (f"{{command: ▸[{'x' * 5000}, {'y' * 5241}]}}", "`command` have 10,241 characters"),
        (f"▸[{', '.join(['s3://c/a.py'] * 257)}]", "EMR takes 256 steps in a cluster, not 257"),
        ("[s3://c/a.py, {path: s3://c/b.py, packages: [g:a:1, ▸x]}]", "expected <group>"),
    ],
)
def test_what_is_wrong_with_a_job_is_refused_at_its_place(dags: Dags, job: str, message: str) -> None:
    dags.write("lib/x.py", "")
    first = next(each for each in dags.diagnostics(JOBS % job.replace("▸", "")) if each.is_error)
    assert message in first.message
    assert (first.line, first.column) == (5, len("    spark: ") + job.index("▸") + 1)


def test_a_spark_job_needs_spark_and_a_command_does_not(dags: Dags) -> None:
    hive = JOBS.replace("release: emr-7.13.0,", "release: emr-7.13.0, applications: Hive,")
    assert "do not have Spark" in dags.diagnostic(hive % "s3://c/a.py").message
    assert dags.read(hive % "{command: [hive, -e, SELECT 1]}")


def test_numbers_get_to_jobs_as_the_file_writes_them(dags: Dags) -> None:
    dags.write(
        "defaults.yaml",
        """\
clusters:
  small:
    release: emr-7.13.0
    instances: {primary: m}
    configurations: {spark-defaults: {spark.a: 1.10, spark.b: 4}, spark-env: {export: {LEVEL: 0o7}}}
    bootstrap_actions: [{path: s3://code/x.sh, args: [007, 1.10]}]
""",
    )
    step = dags.read("""\
sluicegate: 1
steps:
  a:
    cluster: small
    spark:
      - {path: s3://code/a.py, args: [007, 1.10, 1e3, 0x1F, 5], conf: {spark.v: 2.0, spark.n: 0200}}
      - command: 1.50
""").steps["a"]
    assert isinstance(step, SparkStep)
    assert step.jobs[0].args == ("007", "1.10", "1e3", "0x1F", "5")
    assert step.jobs[0].conf == {"spark.v": 2.0, "spark.n": "0200"}
    assert step.jobs[1].command == ("1.50",)
    assert step.cluster.configurations == {
        "spark-defaults": {"spark.a": "1.10", "spark.b": 4}, "spark-env": {"export": {"LEVEL": "0o7"}},
    }  # fmt: skip
    assert step.cluster.bootstrap_actions[0].args == ("007", "1.10")
