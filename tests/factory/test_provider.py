from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import airflow
import jsonschema

import sluicegate
from tests.fresh import FreshAirflow

IMPORTS = """
import sys
before = set(sys.modules)
import sluicegate, sluicegate.factory
light = {name.partition(".")[0] for name in set(sys.modules) - before}
print(sorted(light - set(sys.stdlib_module_names) - {"sluicegate"}))
"""
BUILDING = """
import sys
import sluicegate.factory.attempt, sluicegate.discovery.stubs, sluicegate.wait.trigger
heavy = "duckdb pandas pyarrow boto3 botocore great_expectations psycopg psycopg2 moto pyspark".split()
print([name for name in heavy if name in sys.modules])
"""


def test_the_provider_info_is_what_airflow_asks_for() -> None:
    schema = Path(airflow.__file__).parent / "provider_info.schema.json"
    info = sluicegate.get_provider_info()
    jsonschema.validate(info, json.loads(schema.read_text()))
    assert info["package-name"] == "airflow-provider-sluicegate"


def test_the_package_imports_nothing_and_the_factory_nothing_that_only_tasks_need(
    fresh: FreshAirflow,
) -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]"]
    done = fresh.run(BUILDING)
    done.check_returncode()
    assert done.stdout.splitlines()[-1:] == ["[]"]
