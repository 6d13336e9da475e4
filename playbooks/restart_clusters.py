"""Spark steps hang: end the clusters of those that began that long ago, and start them again on new ones.

    python playbooks/restart_clusters.py 3h [PIPELINE...]

Shows the plan and changes nothing before you have typed its id.
"""

import sys
from datetime import UTC, datetime

from sluicegate.cli.fix import fix
from sluicegate.recovery import Request, moment

if len(sys.argv) < 2:
    sys.exit(__doc__)
age, *pipelines = sys.argv[1:]
began = moment(age, datetime.now(UTC))
fix(Request(tuple(pipelines), kinds=("spark",), started_before=began, include_running=True, force=True))
