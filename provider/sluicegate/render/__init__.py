"""A built DAG as text: as JSON to compare, as a Python file that needs neither the factory nor a pipeline file."""

from __future__ import annotations

from sluicegate.render.literal import NotPythonError
from sluicegate.render.plain import plain_dag
from sluicegate.render.python import python_of
from sluicegate.render.rendered import Rendered, rendered

__all__ = ["NotPythonError", "Rendered", "plain_dag", "python_of", "rendered"]
