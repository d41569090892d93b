"""What a run file may say: it is made to be shared, so what runs code or changes the machine is not its to say."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from vapo.api.redaction import redact_settings
from vapo.errors import ConfigError
from vapo.training.launch import CONFIGURATIONS

RUNS_CODE = ("trust_remote_code", "allow_all_kernels", "use_kernels", "kernel_config", "custom_generate")
"""Options, at any depth, that let code run which comes with a model or from the hub; `false` may be said."""

UNSAFE_WEIGHTS = ("weights_only", "use_safetensors")
"""Options, at any depth, without which weights are read from formats that run code; `true` may be said."""

HARMLESS_VARIABLES = (
    *("CUDA_LAUNCH_BLOCKING", "CUDA_VISIBLE_DEVICES", "NCCL_DEBUG", "NCCL_IB_DISABLE", "NCCL_P2P_DISABLE"),
    *("NCCL_SOCKET_IFNAME", "OMP_NUM_THREADS", "PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"),
    *("TOKENIZERS_PARALLELISM", "TRANSFORMERS_VERBOSITY", "VLLM_LOGGING_LEVEL"),
    *("WANDB_MODE", "WANDB_NAME", "WANDB_PROJECT", "WANDB_RUN_GROUP", "WANDB_TAGS"),
)
"""Environment variables that lead to no other program, place, or account."""

LEADS_ELSEWHERE = (
    *("push_to_hub", "hub_model_id", "log_completions_hub_repo"),
    *("trackio_space_id", "trackio_bucket_id", "trackio_static_space_id"),
    *("vllm_server_base_url", "vllm_server_host", "main_process_ip"),
)
"""Options that send what is trained, or what it is trained on, to another machine or an account; they are told."""

_KERNEL = re.compile(r"[^/]+/[^/]+")
_VETTED_KERNELS = "kernels-community/"
_HERE = ("", "localhost", "127.0.0.1", "::1", "0.0.0.0")
_MOST_VALUES = 10_000


def check_run_file(path: Path, config: Mapping[str, Any]) -> None:
    """Refuse what a run file may not say, and tell of what it sets and where it leads.

    Args:
        path: the file, for messages.
        config: what it says.

    Raises:
        ConfigError: it lets code run, names a launcher's file of its own, or sets a variable of the environment that
            is none of the harmless ones.
    """
    for name, value in _walk(path, config):
        if (name in RUNS_CODE and not _is(value, "false")) or (name in UNSAFE_WEIGHTS and not _is(value, "true")):
            remedy = f"--{name} true" if name in config else "--model_init_kwargs, for example"
            raise ConfigError(
                f"{path} says {name}: {value!r}, which lets code run that comes with a model or from the hub; take it "
                f"out of the file, and if you trust where it comes from, say it on the command line ({remedy}; "
                f"--set {name}=true of `vapo plan` and `vapo verl config`)"
            )
        kernel = str(value or "") if name == "attn_implementation" else ""
        if _KERNEL.search(kernel) and not kernel.removeprefix("paged|").startswith(_VETTED_KERNELS):
            raise ConfigError(
                f"{path} says {name}: {value!r}, which runs a kernel of that repository; take it out of the file, and "
                f"if you trust it, say it on the command line (--{name} {value})"
            )
    launcher = config.get("accelerate_config")
    shipped = sorted(file.stem for file in CONFIGURATIONS.glob("*.yaml"))
    if launcher is not None and launcher not in shipped:
        raise ConfigError(
            f"{path} says accelerate_config: {launcher!r}; a run file may name {', '.join(shipped)}. A file of your "
            "own, which can start other programs, is named on the command line (--accelerate_config)"
        )
    _check_environment(path, config.get("env"))
    if ":" in str(config.get("algorithm", "")):
        _describe(f"{path} trains by {config['algorithm']!r}, a class of an installed package, whose code runs")
    rewards = config.get("reward_funcs") or []
    for name in [rewards] if isinstance(rewards, str) else rewards:
        if re.search(r"[/\\]", str(name)):
            raise ConfigError(
                f"{path} says reward_funcs: {name!r}, a file elsewhere, whose code would run; name a module, or a "
                "file of the current folder, or say it on the command line (--reward_funcs)"
            )
        if ":" in str(name):
            _describe(f"{path} rewards by {name!r}, whose code runs")
    outward = {name: redact_settings(config[name], name) for name in LEADS_ELSEWHERE if _leads_elsewhere(config, name)}
    if outward:
        _describe(f"{path} leads elsewhere: {', '.join(f'{name}: {value!r}' for name, value in outward.items())}")


def _walk(path: Path, config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield every name in the file with its value, at any depth, as often as anchors repeat it."""
    left: list[Any] = [config]
    count = 0
    while left:
        value = left.pop()
        count += 1
        if count > _MOST_VALUES:
            raise ConfigError(f"{path} holds more than {_MOST_VALUES} values; write its anchors (&, *) out")
        if isinstance(value, Mapping):
            yield from ((str(name), inner) for name, inner in value.items())
            left += value.values()
        elif isinstance(value, list | tuple | set):
            left += value


def _check_environment(path: Path, variables: Any) -> None:
    if variables is None:
        return
    if not isinstance(variables, Mapping):
        raise ConfigError(f"{path}: env must hold variables as 'NAME: value' lines")
    for name, value in variables.items():
        if name not in HARMLESS_VARIABLES:
            raise ConfigError(
                f"{path} sets the environment variable {str(name)!r}, which could lead programs and keys anywhere; "
                f"set it yourself before the command. A run file may set {', '.join(HARMLESS_VARIABLES)}"
            )
        if not isinstance(value, str | int | float) or "\0" in str(value):
            raise ConfigError(f"{path} sets {name} to {value!r}, which is no text; write it as 'NAME: value'")
        _describe(f"{path} sets {name}={str(value)!r}")


def _leads_elsewhere(config: Mapping[str, Any], name: str) -> bool:
    value = str(config.get(name) or "").strip()
    if name == "vllm_server_base_url":
        value = urlsplit(value).hostname or value
    return value.lower() not in (*_HERE, "false", "no", "0")


def _is(value: Any, word: str) -> bool:
    return value is None or str(value).strip().lower() in (word, {"true": "yes", "false": "no"}[word])


@lru_cache(maxsize=64)
def _describe(line: str) -> None:
    """Say a line, once, by the first of a machine's processes."""
    if os.environ.get("LOCAL_RANK", "0") == "0":
        print(f"vapo: {line}", file=sys.stderr)
