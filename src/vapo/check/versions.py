"""Versions of packages, beside those that were tested."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from vapo.check.section import Section
from vapo.run_folder import list_versions
from vapo.training.preparation import NEEDED_PACKAGES
from vapo.versions import TESTED, find_untested


def look_at_versions(options: Any) -> Section:
    """Return the versions, and which packages the run needs that are not here.

    Args:
        options: of the run (`vapo.training.options.RunOptions`).
    """
    versions = list_versions()
    warnings = [f"newer than tested: {one}" for one in find_untested()]
    missing = {
        package: f"pip install 'vapo[{extra}]'"
        for option, package, extra in NEEDED_PACKAGES
        if getattr(options.model, option) and find_spec(package) is None
    }
    if options.training.use_vllm and find_spec("vllm") is None:
        missing["vllm"] = "pip install 'vapo[vllm]'"
    warnings += [f"{name} is not installed here, and the run needs it: {how}" for name, how in missing.items()]
    listed = ", ".join(f"{name} {version}" for name, version in versions.items())
    return Section("versions", {"installed": listed}, {"installed": versions, "tested": TESTED}, warnings=warnings)
