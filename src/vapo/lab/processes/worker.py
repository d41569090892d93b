"""`python -m vapo.lab.processes.worker MODULE:FUNCTION JOB`: one of several processes that work side by side.

It writes how far it is to its standard output, a line of JSON for each message; what libraries print goes to its
standard error. It ends when its standard input is closed, which happens when the process that started it ends in any
way.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from importlib import import_module

from vapo.errors import VapoError

REFUSED = 1


def main() -> int:
    """Do the job that the command line names."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    module, function = sys.argv[1].split(":")
    messages = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)

    def tell(**message: object) -> None:
        messages.write(json.dumps(message) + "\n")

    try:
        work = getattr(import_module(module), function)  # takes seconds: by now somebody watches the parent
        work(sys.argv[2], lambda stage, done, total: tell(stage=stage, done=done, total=total))
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
