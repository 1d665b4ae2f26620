"""torch and transformers with text in and out; a synthetic model reads and writes bytes, a trained one has its tokenizer."""

from __future__ import annotations

from typing import Any, Protocol

from dmoa_calibration.backends.transformers_backend import TransformersBackend
from dmoa_calibration.backends.transformers_backend import load as load_backend
from dmoa_calibration.testbed.config import BackendConfig
from dmoa_calibration.testbed.engines.generate import TextAnswer
from dmoa_theory.errors import CalibrationError, InputError

__all__ = ["TransformersText", "load"]

_TEMPERATURE = 0.7  # Mitra2024, section V


def load(config: BackendConfig, *, seed: int) -> TransformersText:
    """Load a model folder with its tokenizer, or build a synthetic model."""
    if (config.model is None) == (config.synthetic is None):
        raise InputError("backend", config.name, "exactly one of model, a folder, and synthetic, the name of a shape")
    backend = load_backend(
        model=config.model,
        synthetic=config.synthetic,
        n_threads=config.n_threads,
        dtype=config.dtype,
        seed=seed,
        device=config.device,
    )
    tokens: _Tokens = _Bytes() if config.model is None else _Tokenizer(config.model)
    return TransformersText(backend, tokens, seed=seed)


class _Tokens(Protocol):
    @property
    def end(self) -> int | None: ...

    def read(self, text: str) -> list[int]: ...

    def write(self, ids: list[int]) -> str: ...


class _Bytes:
    """For random weights: a byte a token, and printable gibberish back."""

    end = None

    def read(self, text: str) -> list[int]:
        return list(text.encode("utf-8", errors="replace"))

    def write(self, ids: list[int]) -> str:
        return "".join(chr(32 + i % 95) for i in ids)


class _Tokenizer:
    """That of a model folder, its chat template included."""

    def __init__(self, folder: str) -> None:
        from transformers import AutoTokenizer

        try:
            self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        except Exception as error:  # whatever a broken folder makes the library raise, the user gets one line
            reason = (" ".join(str(error).split()) or type(error).__name__)[:200]
            raise CalibrationError(f"the tokenizer in {folder} could not be loaded: {reason}") from error
        self.end: int | None = self._tokenizer.eos_token_id

    def read(self, text: str) -> list[int]:
        if self._tokenizer.chat_template is None:
            return list(self._tokenizer(text)["input_ids"])
        turn = [{"role": "user", "content": text}]
        asked = self._tokenizer.apply_chat_template(turn, add_generation_prompt=True, tokenize=False)
        return list(self._tokenizer(asked, add_special_tokens=False)["input_ids"])

    def write(self, ids: list[int]) -> str:
        return str(self._tokenizer.decode(ids, skip_special_tokens=True))


class TransformersText:
    """A causal language model in this process."""

    def __init__(self, backend: TransformersBackend, tokens: _Tokens, *, seed: int) -> None:
        self._backend, self._tokens = backend, tokens
        about = backend.describe()
        self._about = {"backend": "transformers", "model": about["model"]["name"]}
        self._about["random_weights"] = about["model"]["random_weights"]
        self._n_ctx: int | None = about["runtime"]["n_ctx"]
        self._seed = seed

    def generate(self, prompt: str, *, max_tokens: int, exact: bool) -> TextAnswer:
        """Sample one answer; of a prompt that the model's context cannot hold, the beginning is left out."""
        ids = self._tokens.read(prompt)
        if self._n_ctx is not None:
            room = self._n_ctx - max_tokens
            if room < 1:
                raise CalibrationError(f"answers of {max_tokens} tokens do not fit into the model's {self._n_ctx}")
            ids = ids[-room:]
        end = None if exact else self._tokens.end
        made = self._backend.continue_ids(ids, max_tokens, end=end, temperature=_TEMPERATURE)
        text = self._tokens.write(made)
        return TextAnswer(text=text, prompt_tokens=len(ids), output_tokens=len(made))

    def describe(self) -> dict[str, Any]:
        """The model."""
        return dict(self._about)

    def close(self) -> None:
        """Free the weights."""
        self._backend.close()
