from __future__ import annotations

from importlib.metadata import entry_points

from airflow import plugins_manager

from sluicegate.plugin.register import SluicegatePlugin
from tests.fresh import FreshAirflow

IMPORT = """
import sys
import airflow.plugins_manager
before = set(sys.modules)
import sluicegate.plugin.register
print(sorted(name for name in set(sys.modules) - before if not name.startswith("sluicegate.plugin")))
"""


def test_every_component_of_airflow_may_import_it_for_nothing(fresh: FreshAirflow) -> None:
    done = fresh.run(IMPORT)
    done.check_returncode()
    assert done.stdout.splitlines()[-1] in ("[]", "['sluicegate']")


def test_airflow_finds_it_by_its_entry_point_and_mounts_it() -> None:
    (entry,) = entry_points(group="airflow.plugins", name="sluicegate")
    assert entry.load() is SluicegatePlugin
    apps, _ = plugins_manager.get_fastapi_plugins()
    assert "/sluicegate" in {each["url_prefix"] for each in apps}
