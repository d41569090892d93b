"""What lmms-eval finds of vapo when both are installed: a model by entry point, and the suites' tasks.

The harness has an entry point for models and none for tasks: an environment variable is meant for those, and version
0.7.3 reads it after the tasks were listed. So this entry point, which runs before, adds a folder to where it looks.
"""

# pyright: reportMissingImports=false
# lmms-eval stands beside the environment that types are checked in.
from __future__ import annotations

from pathlib import Path
from typing import Any

from lmms_eval.models.registry_v2 import ModelManifest

TASKS = Path(__file__).parent / "tasks"
"""What `--include_path` would name."""


def register() -> list[ModelManifest]:
    """Return the model that the harness is to know, and let it find the tasks."""
    from lmms_eval.tasks import TaskManager

    _add_folder(TaskManager)
    return [ModelManifest(model_id="vapo", chat_class_path="vapo.evaluation.lmms_eval.model.VapoModel")]


def _add_folder(manager: Any) -> None:
    listed = manager.initialize_tasks

    def initialize_tasks(self: Any, include_path: Any = None, include_defaults: bool = True) -> Any:
        given = [include_path] if isinstance(include_path, str) else list(include_path or [])
        return listed(self, include_path=[*given, str(TASKS)], include_defaults=include_defaults)

    manager.initialize_tasks = initialize_tasks
