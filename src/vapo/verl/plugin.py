"""What verl loads from the entry-point group `verl.plugins`, in the driver and in every worker: the agent loop's name.

verl imports a plug-in at the end of its own import and says nothing when that fails, so there is little in here. It is
put into the registry by hand, as `register` does, because the decorator would have to import the agent loop itself.
"""

# verl and Ray are in an environment of their own.
# pyright: reportMissingImports=false

from __future__ import annotations

from verl.experimental.agent_loop.agent_loop import _agent_loop_registry

from vapo.verl.settings import AGENT_NAME, TARGET

_agent_loop_registry[AGENT_NAME] = {"_target_": TARGET}
