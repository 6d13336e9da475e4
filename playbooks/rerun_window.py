"""A pipeline was wrong and is mended: do some days of it again, then those of everything that reads it.

    python playbooks/rerun_window.py flights 2013-02-11..2013-02-13

Shows the plan and changes nothing before you have typed its id. Steps of other pipelines that have effects outside are
shown and left alone; `sluicegate recover plan --from` can include them.
"""

import sys

from sluicegate.cli.fix import fix
from sluicegate.recovery import Request, window_of

if len(sys.argv) != 3:
    sys.exit(__doc__)
pipeline, window = sys.argv[1:]
fix(Request(source=pipeline, window=window_of(window), downstream=True, include=(f"{pipeline}.*",)))
