"""A run on verl, looked through before the first GPU is taken: its files, its tokenizers, its data, its machines."""

# verl and Ray are in an environment of their own.
# pyright: reportMissingImports=false

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from vapo.errors import ConfigError, DataError, ModelError
from vapo.verl.cluster import check_installed, check_nodes, look_at_nodes
from vapo.verl.files import AGENT_LOOP, CONFIG
from vapo.verl.sampling_formats import find_sampling_format
from vapo.verl.settings import AGENT_NAME, LoopSettings, read_settings


@dataclass(frozen=True, slots=True)
class Checked:
    """What a look-through found: rows to train on, and machines."""

    num_rows: int
    num_nodes: int


def check_run(folder: Path, *, trust_remote_code: bool = False) -> Checked:
    """Check a run's folder, its data and model, and the machines of the Ray cluster, or this one where there is none.

    Args:
        folder: of the run.
        trust_remote_code: whether code that comes with the model may run; that the folder says so is not enough.

    Raises:
        ConfigError: something is not installed, a file is missing or says what cannot be had.
        DataError: the data was not made by `vapo verl convert`.
        ModelError: the model cannot be probed, or trainer and servers would not speak of the same tokens.
    """
    check_installed()
    config = compose(folder)
    settings = read_agent_loop(folder / AGENT_LOOP)
    rollout = config.actor_rollout_ref.rollout
    find_sampling_format(rollout.name, rollout.get("logprobs_mode"))
    num_rows = check_data(Path(config.data.train_files), settings)
    if config.data.val_files != config.data.train_files:
        check_data(Path(config.data.val_files), settings)
    check_model(config.actor_rollout_ref.model, settings, trust_remote_code=trust_remote_code)
    nodes = _look_around([rollout.agent.agent_loop_config_path])
    return Checked(num_rows, nodes)


def compose(folder: Path) -> Any:
    """Return verl's configuration of a run, composed by verl's own Hydra tree.

    Raises:
        ConfigError: there is no such file, or it names what verl does not have.
    """
    from hydra import compose as compose_by_hydra
    from hydra import initialize_config_dir
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    if not (folder / CONFIG).is_file():
        raise ConfigError(f"there is no {folder / CONFIG}; write it with `vapo verl config RECIPE --out {folder}`")
    try:
        with initialize_config_dir(str(folder.absolute()), version_base=None):
            return compose_by_hydra(
                CONFIG.removesuffix(".yaml"), overrides=["hydra.searchpath=[pkg://verl.trainer.config]"]
            )
    except (HydraException, OmegaConfBaseException, yaml.YAMLError) as error:
        raise ConfigError(f"verl does not take {folder / CONFIG}: {str(error).splitlines()[0]}") from error


def read_agent_loop(path: Path) -> LoopSettings:
    """Return the settings that an agent-loop file gives to the loop `vapo`.

    Raises:
        ConfigError: there is no such file or no such loop in it, or a setting is wrong.
    """
    if not path.is_file():
        raise ConfigError(f"there is no {path}; `vapo verl config` writes it beside {CONFIG}")
    entries: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    named = [entry for entry in entries or [] if isinstance(entry, dict) and entry.get("name") == AGENT_NAME]
    if not named:
        raise ConfigError(f"{path} names no agent loop {AGENT_NAME!r}; write it with `vapo verl config`")
    try:
        return read_settings({name: value for name, value in named[0].items() if name not in ("name", "_target_")})
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def check_data(path: Path, settings: LoopSettings) -> int:
    """Return how many rows there are.

    Raises:
        DataError: the file is not there, is none of `vapo verl convert`, or lacks the claims that are trained on.
    """
    import pyarrow.parquet as parquet

    if not path.is_file():
        raise DataError(f"there is no {path}; make it with `vapo verl convert DATA --out {path}`")
    file = parquet.ParquetFile(path)
    missing = {"prompt", "images", "reward_model", "extra_info"} - set(file.schema_arrow.names)
    if missing:
        raise DataError(f"{path} has no column {sorted(missing)[0]!r}; make it with `vapo verl convert`")
    if settings.make_algorithm().needs.claims:
        rows = (row for batch in file.iter_batches(columns=["extra_info"]) for row in batch.to_pylist())
        for number, row in enumerate(rows):
            if not row["extra_info"].get("claims"):
                raise DataError(
                    f"{path}, row {number}: it has no claims, and VAPO trains on them; attach some to the data "
                    "(`vapo data attach`) and convert it again, or set algorithm: grpo in agent_loop.yaml"
                )
    return file.metadata.num_rows


def check_model(model: Any, settings: LoopSettings, *, trust_remote_code: bool = False) -> None:
    """Check that the model can be probed, and that its trainer and servers have one tokenizer.

    Raises:
        ConfigError: the run lets code of the model run, and the user has not said so.
        ModelError: they cannot, or have not.
    """
    trust = bool(model.get("trust_remote_code"))
    if trust and not trust_remote_code:
        raise ConfigError(
            f"{CONFIG} lets code run that comes with {model.get('path')!r} (its model.trust_remote_code is true); if "
            "you trust that model, pass --trust-remote-code"
        )
    from huggingface_hub.errors import HTTPError
    from transformers import AutoProcessor, AutoTokenizer
    from verl.utils import hf_processor

    from vapo.verl.worker import open_worker

    try:
        processor: Any = AutoProcessor.from_pretrained(model.path, trust_remote_code=trust)
    except (OSError, HTTPError, ValueError) as error:
        raise ModelError(f"the processor of {model.path!r} cannot be loaded: {error}") from error
    if not hasattr(processor, "tokenizer"):
        raise ModelError(f"{model.path!r} has a tokenizer but no processor, so it cannot see; take a VLM")
    if hf_processor(model.path, trust_remote_code=trust) is None:
        raise ModelError(
            f"verl does not take models whose processor is a {type(processor).__name__}, and {model.path!r} is one: "
            "it would train without images; use Qwen2-VL, Qwen2.5-VL or Qwen3-VL"
        )
    vocabulary = processor.tokenizer.get_vocab()  # a worker may give the tokens of think tags other names
    open_worker(processor, model.path, settings, trust)
    if model.get("tokenizer_path"):
        own: Any = AutoTokenizer.from_pretrained(model.tokenizer_path, trust_remote_code=trust)
        if own.get_vocab() != vocabulary:
            raise ModelError(
                f"the trainer's tokenizer ({model.tokenizer_path}) is not the servers' ({model.path}), so probes "
                "would ask in other tokens than the policy reads; leave actor_rollout_ref.model.tokenizer_path out"
            )


def _look_around(files: list[str]) -> int:
    import ray

    started = not ray.is_initialized()
    if started:
        try:
            ray.init(address="auto", logging_level="ERROR", log_to_driver=False)
        except ConnectionError:  # no cluster: verl will start one on this machine
            return 1
    try:
        nodes = look_at_nodes(files)
        check_nodes(nodes)
        return len(nodes)
    finally:
        if started:
            ray.shutdown()
