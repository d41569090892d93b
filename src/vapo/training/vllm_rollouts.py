"""TRL's rollouts on vLLM, fixed, and probes put to the same engine.

TRL 1.16 goes wrong in three places with images: it sends vLLM prompts that are expanded already (see `pads`), after
an update it empties the cache of keys and values but not that of encoded images, so that a trained vision tower goes
on seeing with its old weights, and it sends weights under names that vLLM need not know. All are fixed between TRL and
`vllm.LLM`, a public interface.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from importlib.util import find_spec
from typing import Any

from transformers import AutoConfig
from transformers.core_model_loading import revert_weight_conversion

from vapo.errors import ConfigError, ModelError
from vapo.models.media_tokens import find_vision_token_ids
from vapo.models.policy.generation import find_generator
from vapo.probing.vllm.local import EngineRanks, LocalEngine, generate_as_given
from vapo.probing.vllm.pads import check_vllm_family
from vapo.probing.vllm.prober import ImagePrompt, VLLMProber
from vapo.probing.vllm.server import ServerEngine
from vapo.training.config import VAPOConfig

NEVER = -100.0
"""Logit bias of a token that is not to be sampled; it travels as JSON, which has no infinity."""


def check_vllm(model: Any, args: VAPOConfig) -> None:
    """Refuse, before anything is loaded, what cannot be rolled out on vLLM.

    Raises:
        ConfigError: vLLM is missing, or probes are to be asked of an engine that is not there.
        ModelError: the model's family is not known to be the same in vLLM.
    """
    if args.probe_backend == "vllm" and not args.use_vllm:
        raise ConfigError("probe_backend='vllm' asks the engine that makes the rollouts; set use_vllm=True as well")
    if not args.use_vllm:
        return
    if isinstance(model, str):
        given: Any = args.model_init_kwargs  # TRL also takes it as JSON; the family does not change with revisions
        revision = given.get("revision") if isinstance(given, dict) else None
        wanted = {"revision": revision, "trust_remote_code": args.trust_remote_code}
        check_vllm_family(AutoConfig.from_pretrained(model, **wanted))
    else:
        check_vllm_family(model.config)
    if find_spec("vllm") is None:
        raise ConfigError("use_vllm=True needs vLLM, which is not installed: pip install 'vapo[vllm]'")


class PatchedLLM:
    """A `vllm.LLM` that takes prompts as TRL 1.16 makes them.

    Args:
        llm: the engine; whatever is not fixed here is passed on to it.
        image_token_id: what stands for images in prompts.
    """

    def __init__(self, llm: Any, image_token_id: int) -> None:
        self.unfixed = llm
        self._image_token_id = image_token_id
        self._model = llm.llm_engine.model_executor.driver_worker.model_runner.model
        self._reached: set[str] | None = set()
        self._load_weights = self._model.load_weights
        self._model.load_weights = self._load

    def __getattr__(self, name: str) -> Any:
        return getattr(self.unfixed, name)

    def generate(self, prompts: Sequence[dict[str, Any]], sampling_params: Any, use_tqdm: bool = False) -> list[Any]:
        """Generate from expanded prompts; raise ModelError if the engine would see others."""
        given = [ImagePrompt(tuple(prompt["prompt_token_ids"]), _list_images(prompt)) for prompt in prompts]
        return generate_as_given(self.unfixed, given, sampling_params, self._image_token_id)

    def reset_prefix_cache(self) -> Any:
        """Forget what was computed with other weights; TRL calls it after every update.

        Raises:
            ModelError: some of the engine's weights were not among those of the first update.
        """
        if self._reached:
            named = {name for name, _ in self._model.named_parameters()}
            if missed := sorted(named - self._reached):
                raise ModelError(
                    f"vLLM did not take {len(missed)} of its {len(named)} weights from the policy ({missed[0]}, ...), "
                    "so it would go on with those it started from; leave use_vllm at False"
                )
            self._reached = None
        self.unfixed.llm_engine.reset_encoder_cache()
        return self.unfixed.reset_prefix_cache()

    def _load(self, weights: Any) -> Any:
        loaded = self._load_weights(weights)
        if self._reached is not None:
            self._reached |= loaded or set()
        return loaded


def _list_images(prompt: dict[str, Any]) -> tuple[Any, ...]:
    images = prompt.get("multi_modal_data", {}).get("image", ())
    return tuple(images) if isinstance(images, (list, tuple)) else (images,)


def never_sample(generation: Any, token_ids: Sequence[int]) -> None:
    """Keep vLLM from sampling tokens, whatever else the user's generation options say.

    Args:
        generation: the trainer's `vllm_generation`.
        token_ids: ids that no completion may hold.
    """
    bias: dict[int, float] = generation.generation_kwargs.get("logit_bias") or {}
    bias = {**bias, **dict.fromkeys(token_ids, NEVER)}
    generation.generation_kwargs = {**generation.generation_kwargs, "logit_bias": bias}


def never_sample_vision_tokens(trainer: Any) -> None:
    """Keep a trainer's rollouts, wherever they are made, from holding tokens that stand for images."""
    ids = set(find_vision_token_ids(trainer.model.config, trainer.processing_class))
    if trainer.use_vllm:
        never_sample(trainer.vllm_generation, sorted(ids))
        return
    ids |= set(trainer.generation_kwargs.get("suppress_tokens") or [])
    trainer.generation_kwargs["suppress_tokens"] = sorted(ids)
    trainer.generation_config.suppress_tokens = sorted(ids)


def fix_rollouts(generation: Any, image_token_id: int) -> None:
    """Fix TRL's `VLLMGeneration`.

    In server mode TRL 1.16 pairs expanded prompts with features, which is right; only weights are named and encoded
    images forgotten here after an update.

    Args:
        generation: the trainer's `vllm_generation`.
        image_token_id: what stands for images in prompts.
    """
    name_weights_as_saved(generation)
    if generation.mode == "colocate":
        generation.llm = PatchedLLM(generation.llm, image_token_id)
    elif hasattr(generation, "vllm_client"):  # on the main process alone
        client = generation.vllm_client
        reset = client.reset_prefix_cache

        @wraps(reset)
        def reset_caches() -> Any:
            client.session.post(f"{client.base_url}/reset_encoder_cache").raise_for_status()
            return reset()

        client.reset_prefix_cache = reset_caches
        place = generation._place_features

        @wraps(place)
        def place_or_refuse(features: Any, prompt_ids: list[int]) -> Any:
            try:
                return place(features, prompt_ids)
            except ValueError as error:
                raise ModelError(
                    "a vLLM server takes an image's tokens in one piece only, and this model cuts images into tiles "
                    f"with marks between them ({error}); use vllm_mode='colocate'"
                ) from error

        generation._place_features = place_or_refuse


def name_weights_as_saved(generation: Any) -> None:
    """Send weights to vLLM as `save_pretrained` writes them: by the names of the checkpoint that it started from.

    TRL 1.16 sends them as the module calls them. vLLM does not know all of these names: transformers 5 calls the parts
    of CLIP's and SigLIP's towers otherwise than published checkpoints do.

    Args:
        generation: the trainer's `vllm_generation`.
    """
    iterate = generation._iter_named_params

    def iterate_as_saved() -> Iterator[tuple[str, Any]]:
        model = find_generator(generation.model)
        for name, weight in iterate():
            yield from revert_weight_conversion(model, {name: weight}).items()

    generation._iter_named_params = iterate_as_saved


def probes_on_vllm(args: VAPOConfig) -> bool:
    """Whether probes that are not asked along in the policy's own pass go to the engine that makes the rollouts.

    With "auto" they do, where that engine still has the rollouts in its cache. One that sleeps between rollouts has
    forgotten them and its weights: all of it would be moved once more for the probes, so they go to transformers.
    """
    if args.probe_backend == "auto":
        return args.use_vllm and not (args.vllm_mode == "colocate" and args.vllm_enable_sleep_mode)
    return args.probe_backend == "vllm"


def make_vllm_prober(trainer: Any) -> VLLMProber:
    """Return the prober that asks the engine of a trainer's rollouts."""
    args, image_token_id = trainer.args, trainer.model.config.image_token_id
    generation = trainer.vllm_generation
    if generation.mode == "server":
        url = args.vllm_server_base_url or f"http://{args.vllm_server_host}:{args.vllm_server_port}"
        engine = ServerEngine(url, image_token_id)
    else:
        ranks = _find_ranks(generation) if generation.tensor_parallel_size > 1 else None
        llm = generation.llm.unfixed  # probes come in vLLM's own form
        engine = LocalEngine(llm, image_token_id, ranks=ranks, awake=lambda: awake(generation))
    return VLLMProber(
        engine,
        trainer.processing_class.tokenizer,
        image_token_id,
        template=args.probe_template,
        on_cache_share=lambda share: trainer._log_metric("perception/prefix_cache_share", share),
    )


def _find_ranks(generation: Any) -> EngineRanks:
    import torch.distributed

    def gather(prompts: list[ImagePrompt]) -> list[list[ImagePrompt]]:
        everyones: list[Any] = [None] * generation.tensor_parallel_size
        torch.distributed.all_gather_object(everyones, prompts, group=generation.tp_group)
        return everyones

    return EngineRanks(gather, torch.distributed.get_rank(group=generation.tp_group))


@contextmanager
def awake(generation: Any) -> Iterator[None]:
    """Wake a sleeping engine, with the policy's present weights, and put it back to sleep.

    TRL lets it sleep at level 2, which throws the weights away: they are pushed again, as TRL does before a rollout.
    """
    if not generation.enable_sleep_mode:
        yield
        return
    if generation._llm_weights_sleeping:
        generation.sync_weights()
    generation.llm.wake_up(tags=["kv_cache"])
    try:
        yield
    finally:
        generation.llm.sleep(level=2)
        generation._llm_weights_sleeping = True
