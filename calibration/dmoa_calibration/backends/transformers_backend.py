"""torch and transformers: a model folder with safetensors weights, or random weights of a named shape."""

from __future__ import annotations

import gc
import json
import os
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

from dmoa_calibration.backends import Timing
from dmoa_calibration.memory import Memory, kv_bytes_per_token, peak_rss_bytes
from dmoa_calibration.synthetic import Shape, find_shape, split_name
from dmoa_theory.errors import BackendUnavailableError, CalibrationError, InputError

if TYPE_CHECKING:
    import torch

__all__ = ["TransformersBackend", "load"]

_DTYPES = ("float32", "bfloat16", "float16")


def load(
    *,
    model: str | None,
    synthetic: str | None,
    n_threads: int,
    dtype: str | None,
    seed: int,
    device: str | None = None,
    **_: object,
) -> TransformersBackend:
    """Load a model folder, or build a synthetic model; see :func:`dmoa_calibration.backends.open_backend`."""
    if dtype is not None and dtype not in _DTYPES:
        raise InputError("dtype", dtype, f"one of {', '.join(_DTYPES)}")
    shape, dtype = _shape(synthetic, dtype) if synthetic is not None else (None, dtype)
    folder = _checked_folder(model) if model is not None else None
    with _quiet():
        torch, transformers = _engine()
        place = _device(torch, device)
        threads_before = torch.get_num_threads()
        torch.set_num_threads(n_threads)
        started = time.perf_counter()
        try:
            if shape is not None:
                network = _build(torch, transformers, shape, dtype or shape.dtype, seed, place)
            else:
                network = _moved(_read(torch, transformers, folder, dtype), place)
        except BaseException:
            torch.set_num_threads(threads_before)
            raise
        _synchronise(torch, place)
        load_time = time.perf_counter() - started
    return TransformersBackend(
        network.eval(),
        name=synthetic or folder.resolve().name,  # type: ignore[union-attr]
        random_weights=shape is not None,
        n_threads=n_threads,
        threads_before=threads_before,
        load_time=load_time,
        seed=seed,
    )


class TransformersBackend:
    """A causal language model in this process; prefill and decode are told apart by the first call of a logits processor."""

    def __init__(
        self,
        network: Any,
        *,
        name: str,
        random_weights: bool,
        n_threads: int,
        threads_before: int,
        load_time: float,
        seed: int,
    ) -> None:
        torch, transformers = _engine()
        self._network = network
        self._name = name
        self._random_weights = random_weights
        self._n_threads = n_threads
        self._threads_before = threads_before
        self._device = network.device
        self._load_time = load_time
        self._generator = torch.Generator().manual_seed(seed)
        # the model's own defaults (stop tokens, sampling, penalties) must not leak into a timed run
        self._network.generation_config = transformers.GenerationConfig(do_sample=False, use_cache=True, pad_token_id=0)
        self._config = network.config.get_text_config()

    def infer(self, prompt_tokens: int, output_tokens: int) -> Timing:
        """Time one greedy generation of exactly ``output_tokens`` from a prompt of random token ids."""
        torch, transformers = _engine()
        longest = self._n_ctx()
        if prompt_tokens < 1 or output_tokens < 1 or (longest is not None and prompt_tokens + output_tokens > longest):
            asked = f"{prompt_tokens} + {output_tokens}"
            fits = "" if longest is None else f", in all at most {longest}, the model's context"
            raise InputError("prompt_tokens + output_tokens", asked, f"1 or more each{fits}")
        drawn = torch.randint(0, self._config.vocab_size, (1, prompt_tokens), generator=self._generator)
        prompt = drawn.to(self._device)
        stamps = _Stamps(lambda: _synchronise(torch, self._device))
        with _quiet(), torch.inference_mode(), _no_garbage_collection():
            _synchronise(torch, self._device)
            wall, cpu = time.perf_counter(), time.process_time()
            answer = self._network.generate(
                prompt,
                attention_mask=torch.ones_like(prompt),
                logits_processor=transformers.LogitsProcessorList([stamps]),
                min_new_tokens=output_tokens,
                max_new_tokens=output_tokens,
            )
            _synchronise(torch, self._device)
            end_wall, end_cpu = time.perf_counter(), time.process_time()
        made = int(answer.shape[-1]) - prompt_tokens
        if made != output_tokens or stamps.calls != output_tokens:
            raise CalibrationError(
                f"the engine made {made} tokens in {stamps.calls} passes where {output_tokens} were asked for"
                f" (prompt of {prompt_tokens} tokens): its times cannot be used"
            )
        return Timing(
            prompt_tokens=prompt_tokens,
            output_tokens=output_tokens,
            prefill_s=stamps.wall - wall,
            decode_s=end_wall - stamps.wall,
            prefill_cpu_s=stamps.cpu - cpu,
            decode_cpu_s=end_cpu - stamps.cpu,
        )

    def continue_ids(self, ids: list[int], most: int, *, end: int | None = None, temperature: float = 0.0) -> list[int]:
        """Tokens that the model writes after those, at most so many, up to the end token if there is one; not timed.

        Parameters
        ----------
        ids : list of int
            Token ids of the prompt.
        most : int
            Tokens to write; exactly so many without an end token.
        end : int, optional
            Token after which the text is over.
        temperature : float
            Of the sampling; 0 takes the likeliest token always.
        """
        torch, transformers = _engine()
        prompt = torch.tensor([ids], device=self._device)
        sampling = {"do_sample": True, "temperature": temperature} if temperature > 0 else {"do_sample": False}
        length = {"max_new_tokens": most} | ({"min_new_tokens": most} if end is None else {})
        settings = transformers.GenerationConfig(use_cache=True, pad_token_id=0, eos_token_id=end, **sampling, **length)
        try:
            with _quiet(), torch.inference_mode():
                answer = self._network.generate(prompt, attention_mask=torch.ones_like(prompt), generation_config=settings)
        except (RuntimeError, IndexError, ValueError, MemoryError) as error:
            reason = (" ".join(str(error).split()) or type(error).__name__)[:160]
            raise CalibrationError(f"the engine failed: {reason}") from error
        return [int(i) for i in answer[0, len(ids) :].tolist()]

    def describe(self) -> dict[str, dict[str, Any]]:
        """Give the ``runtime`` and ``model`` parts of a profile."""
        torch, transformers = _engine()
        dtype = str(self._network.dtype).removeprefix("torch.")
        n_layers, n_kv_heads, head_dim = self._kv_shape()
        about: dict[str, dict[str, Any]] = {
            "runtime": {
                "backend": "transformers",
                "backend_version": f"transformers {transformers.__version__}, torch {torch.__version__}",
                "n_threads": self._n_threads,
                "dtype": dtype,
                "kv_type": dtype,
                "n_ctx": self._n_ctx(),
            },
            "model": {
                "name": self._name,
                "arch": str(self._config.model_type),
                "n_params": sum(p.numel() for p in self._network.parameters()),
                "weight_bytes": self._weight_bytes(),
                "random_weights": self._random_weights,
                "n_layers": n_layers,
                "n_kv_heads": n_kv_heads,
                "head_dim": head_dim,
            },
        }
        accelerator = _accelerator(torch, self._device)
        return about | ({"hardware": {"accelerator": accelerator}} if accelerator else {})

    def memory(self) -> Memory:
        """Say what the model needs."""
        return Memory(
            weight_bytes=self._weight_bytes(),
            kv_bytes_per_token=kv_bytes_per_token(*self._kv_shape(), self._network.dtype.itemsize),
            peak_rss_bytes=peak_rss_bytes(),
            load_time_s=self._load_time,
        )

    def kv_bytes_held(self, prompt_tokens: int) -> int:
        """Bytes of key-value cache after a prompt of that many tokens, as the engine really holds them."""
        torch, _ = _engine()
        with _quiet(), torch.inference_mode():
            prompt = torch.zeros((1, prompt_tokens), dtype=torch.long, device=self._device)
            cache = self._network(prompt, use_cache=True, logits_to_keep=1).past_key_values
        return sum(t.numel() * t.element_size() for layer in cache.layers for t in (layer.keys, layer.values))

    def close(self) -> None:
        """Let the weights go, and give the engine back its threads."""
        _engine()[0].set_num_threads(self._threads_before)
        self._network = None
        gc.collect()

    def _n_ctx(self) -> int | None:
        return getattr(self._config, "max_position_embeddings", None)

    def _weight_bytes(self) -> int:
        return sum(p.numel() * p.element_size() for p in self._network.parameters())  # a tied matrix is listed once

    def _kv_shape(self) -> tuple[int, int, int]:
        config = self._config
        heads = config.num_attention_heads
        head_dim = getattr(config, "head_dim", None) or config.hidden_size // heads
        return config.num_hidden_layers, getattr(config, "num_key_value_heads", None) or heads, head_dim


class _Stamps:
    """A logits processor that changes nothing: called once a forward pass, it notes the end of the first one, prefill.

    An accelerator works on while the program goes on: ``synchronise`` waits for it before the clock is read.
    """

    def __init__(self, synchronise: Callable[[], None]) -> None:
        self.calls = 0
        self._synchronise = synchronise
        self.wall = self.cpu = 0.0

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        if self.calls == 0:
            self._synchronise()
            self.wall, self.cpu = time.perf_counter(), time.process_time()
        self.calls += 1
        return scores


def _engine() -> tuple[ModuleType, ModuleType]:
    os.environ["HF_HUB_OFFLINE"] = "1"  # read when the library is first imported: nothing is ever downloaded
    try:
        import torch
        import transformers
    except ImportError:
        raise BackendUnavailableError("transformers", "transformers") from None
    return torch, transformers


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the engine's notices (deprecations, load reports, progress bars) off the user's terminal."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, transformers = _engine()
        logging = transformers.utils.logging
        level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        try:
            yield
        finally:
            logging.set_verbosity(level)
            if bars:
                logging.enable_progress_bar()


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Collect now rather than at a random moment of the timed span."""
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _shape(name: str, dtype: str | None) -> tuple[Shape, str | None]:
    """Shape and number type of a synthetic name; of the quantised ones, torch has none."""
    shape, suffix = split_name(name)
    if suffix is None:
        return find_shape(name), dtype
    find_shape(shape)
    if suffix != "f16":
        raise InputError("synthetic", name, f"{shape} or {shape}-f16 with transformers; {suffix} needs --backend llama_cpp")
    if dtype not in (None, "float16"):
        raise InputError("dtype", dtype, f"float16, as the name {name} says, or a name without it")
    return find_shape(shape), "float16"


def _device(engine: ModuleType, asked: str | None) -> torch.device:
    """Device to compute on; refused where torch does not offer it."""
    offered = ["cpu"] + [f"cuda:{i}" for i in range(engine.cuda.device_count())]
    offered += ["mps"] if engine.backends.mps.is_available() else []
    name = asked or "cpu"
    if name not in offered and not (name == "cuda" and "cuda:0" in offered):
        raise InputError("device", name, f"one that torch offers here: {', '.join(offered)}")
    return cast("torch.device", engine.device(name))


def _synchronise(torch: ModuleType, device: torch.device) -> None:
    """Wait until the device has done all it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _accelerator(torch: ModuleType, device: torch.device) -> str | None:
    """Name of the device; None for the processor."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    return None if device.type == "cpu" else device.type


def _moved(network: Any, device: torch.device) -> Any:
    """The network on its device; one line where it does not fit."""
    try:
        return network.to(device)
    except (RuntimeError, MemoryError) as error:
        raise _no_memory(error) from error


def _no_memory(error: BaseException) -> CalibrationError:
    reason = (" ".join(str(error).split()) or type(error).__name__)[:160]
    return CalibrationError(f"the model could not be built, most likely because memory ran out; take a smaller one: {reason}")


def _build(torch: ModuleType, transformers: ModuleType, shape: Shape, dtype: str, seed: int, device: torch.device) -> Any:
    """Draw a model of that shape at random; the caller's random state and default number type stay as they were."""
    family = {"llama": transformers.LlamaConfig, "qwen2": transformers.Qwen2Config}[shape.arch]
    config = family(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.n_layers,
        num_attention_heads=shape.n_heads,
        num_key_value_heads=shape.n_kv_heads,
        max_position_embeddings=shape.n_ctx,
        tie_word_embeddings=shape.tied,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=0,
    )
    before = torch.get_default_dtype()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), device:
        torch.manual_seed(seed)
        torch.set_default_dtype(getattr(torch, dtype))  # before building, or every matrix would be held twice
        try:
            return transformers.AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype))
        except (RuntimeError, MemoryError) as error:
            raise _no_memory(error) from error
        finally:
            torch.set_default_dtype(before)


def _read(torch: ModuleType, transformers: ModuleType, folder: Path | None, dtype: str | None) -> Any:
    try:
        return transformers.AutoModelForCausalLM.from_pretrained(
            str(folder),
            dtype=getattr(torch, dtype) if dtype else "auto",
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
        )
    except Exception as error:  # whatever a broken folder makes the library raise, the user gets one line
        reason = (" ".join(str(error).split()) or type(error).__name__)[:200]
        raise CalibrationError(f"the model in {folder} could not be loaded: {reason}") from error


def _checked_folder(model: str) -> Path:
    """Accept a folder with config.json and safetensors weights only; pickle files can run code when they are read."""
    folder = Path(model)
    allowed = "a folder with config.json and *.safetensors weights"
    if not folder.is_dir():
        raise InputError("model", model, f"{allowed} (nothing is downloaded)")
    if not (folder / "config.json").is_file():
        raise InputError("model", model, f"{allowed}; there is no config.json")
    if not any(folder.glob("*.safetensors")):
        pickles = sorted(p.name for p in folder.iterdir() if p.suffix in {".bin", ".pt", ".pth", ".ckpt", ".pkl"})
        found = f"; {pickles[0]} is a pickle file, which can run code when read, and is refused" if pickles else ""
        raise InputError("model", model, allowed + found)
    for index in folder.glob("*.safetensors.index.json"):
        try:
            shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise InputError("model", model, f"{allowed}; {index.name} cannot be read") from None
        outside = sorted(s for s in map(str, shards) if not s.endswith(".safetensors") or Path(s).name != s)
        if outside:
            raise InputError("model", model, f"{allowed}; {index.name} points to {outside[0]}")
    return folder
