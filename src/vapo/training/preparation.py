"""What a run needs, looked at before its folder is opened: packages, a split, a model that can end."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import torch
from huggingface_hub.errors import HTTPError
from transformers import AutoConfig, AutoModelForImageTextToText, TrainerCallback
from transformers.integrations import INTEGRATION_TO_CALLBACK, get_available_reporting_integrations

from vapo.errors import ConfigError, ModelError, suggest_nearest
from vapo.models.image_features import name_language_layers
from vapo.models.policy.checkpoint import load_processor
from vapo.models.policy.checkpoint_embeddings import opened_embeddings
from vapo.models.think_tags import decide_think_tags
from vapo.training.options import RunOptions
from vapo.training.rewards import load_rewards

NEEDED_PACKAGES = (
    ("use_peft", "peft", "peft"),
    ("load_in_4bit", "bitsandbytes", "qlora"),
    ("load_in_8bit", "bitsandbytes", "qlora"),
)

PACKAGES_OF_TRACKERS = {"comet_ml": "comet-ml", "dagshub": "dagshub mlflow"}
"""Where another package is installed than a tracker's name says."""


def prepare_run(options: RunOptions) -> None:
    """Refuse what a run would stop at, choose tags and layers of adapters, and tell TRL how to load the weights.

    Raises:
        ConfigError: a package, a split or a reward function that the options need is not there.
        ModelError: there is no such model, or its tokenizer cannot end a completion.
    """
    model, training = options.model, options.training
    for option, package, extra in NEEDED_PACKAGES:
        if getattr(model, option) and find_spec(package) is None:
            raise ConfigError(f"{option} needs {package}, which is not installed: pip install 'vapo[{extra}]'")
    _check_reports(training.report_to)
    load_rewards(training.reward_funcs or ())
    if training.eval_strategy != "no" and options.data.eval_split is None:
        raise ConfigError(
            f"eval_strategy={str(getattr(training.eval_strategy, 'value', training.eval_strategy))!r} needs data to "
            "evaluate on; name a split with eval_split, or set eval_strategy to 'no'"
        )
    trust = training.trust_remote_code
    try:
        config = AutoConfig.from_pretrained(options.model_name, revision=model.model_revision, trust_remote_code=trust)
    except (OSError, ValueError) as error:
        raise ModelError(f"the model {options.model_name!r} cannot be loaded: {error}") from error
    processor: Any = load_processor(options.model_name, trust, model.model_revision)
    if processor.tokenizer.eos_token is None:
        raise ModelError(
            f"the tokenizer of {options.model_name!r} has no end-of-sequence token, so no completion could end; set "
            "one (processor.tokenizer.eos_token = ...) and save the processor again"
        )
    training.think_tags = decide_think_tags(
        training.think_tags,
        processor.tokenizer,
        lambda: opened_embeddings(options.model_name, trust, model.model_revision),
    )
    if model.use_peft and not (model.lora_target_modules or model.lora_target_parameters):
        with setting_up(), torch.device("meta"):
            model_shape = AutoModelForImageTextToText.from_config(config, trust_remote_code=trust)
        model.lora_target_modules = name_language_layers(model_shape)  # pyright: ignore[reportAttributeAccessIssue]
    given = training.model_init_kwargs
    training.model_init_kwargs = {
        "revision": model.model_revision,
        "attn_implementation": model.attn_implementation,
        "dtype": model.dtype,
        "use_safetensors": True,
        **(given if isinstance(given, dict) else {}),
    }


class Beginning(TrainerCallback):
    """Tells whether a run was set up and has come to its steps."""

    has_come = False

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self.has_come = True


@contextmanager
def setting_up(beginning: Beginning | None = None) -> Generator[None]:
    """Turn what libraries raise for options, or for a model, that they cannot work with into a sentence.

    Args:
        beginning: behind it, errors are left as they are: they may be those of a reward function, for example.

    Raises:
        ConfigError: it tells what they say.
    """
    try:
        yield
    except (HTTPError, ImportError, KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
        if beginning is not None and beginning.has_come:
            raise
        raise ConfigError(f"the run cannot be set up: {_say(error)}; change the option or the model") from error


@contextmanager
def explaining_out_of_memory() -> Generator[None]:
    """Tell what to do where the memory of a GPU does not suffice.

    Raises:
        ConfigError: it did not.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise ConfigError(
            f"the memory of the GPU does not suffice: {_say(error)}; lower per_device_train_batch_size (with "
            "update_batch_size the update stays as it is), use adapters (use_peft) or shard the model "
            "(--accelerate_config fsdp2); `vapo plan` tells what a run needs"
        ) from error


def _check_reports(report_to: Any) -> None:
    # Of the last three transformers does not say it, and tells what they lack when the trainer is made.
    available = {*get_available_reporting_integrations(), "azure_ml", "flyte", "kubeflow"}
    for name in report_to:
        if name not in INTEGRATION_TO_CALLBACK:
            raise ConfigError(
                f"report_to={name!r} must be one of none, all, {', '.join(INTEGRATION_TO_CALLBACK)}"
                f"{suggest_nearest(name, INTEGRATION_TO_CALLBACK)}"
            )
        if name not in available:
            package = PACKAGES_OF_TRACKERS.get(name, name)
            raise ConfigError(f"report_to={name!r} needs {package}, which is not installed: pip install {package}")


def _say(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".;")
