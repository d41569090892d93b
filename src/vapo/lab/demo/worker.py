"""`python -m vapo.lab.demo.worker JOB`: one of the demo's processes.

It writes how far it is to its standard output, a line of JSON for each message; what libraries print goes to its
standard error. It ends when its standard input is closed, which happens when the process that started it ends in any
way.
"""

from __future__ import annotations

import json
import os
import sys
import threading

from vapo.errors import VapoError
from vapo.lab.demo.jobs import Job

REFUSED = 1


def main() -> int:
    """Do the job that the command line names."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    job = Job.from_json(sys.argv[1])
    messages = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)

    def tell(**message: object) -> None:
        messages.write(json.dumps(message) + "\n")

    try:
        from vapo.lab.demo.work import do_job  # a second or two: by now somebody watches the parent

        do_job(job, lambda stage, done, total: tell(stage=stage, done=done, total=total))
    except VapoError as error:
        tell(error=str(error))
        return REFUSED
    return 0


def _end_with_parent() -> None:
    # Not through sys.stdin, whose lock the interpreter would wait for at its end.
    while os.read(0, 1):
        pass
    os._exit(REFUSED)


if __name__ == "__main__":
    sys.exit(main())
