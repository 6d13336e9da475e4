"""A source was late and has come: reset what waited for it, and what waited for that.

    python playbooks/late_source.py [PIPELINE...]

Shows the plan and changes nothing before you have typed its id.
"""

import sys

from sluicegate.cli.fix import fix
from sluicegate.recovery import Request

fix(Request(pipelines=tuple(sys.argv[1:]), faults=("SOURCE_MISSING", "UPSTREAM_LATE", "UPSTREAM_FAILED")))
