"""Any OpenAI-compatible server (llama-server, Ollama, vLLM, LM Studio), timed by its own clock or from here."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dmoa_calibration.backends import Timing
from dmoa_calibration.backends.http_client import HttpClient, key_from_environment
from dmoa_calibration.backends.http_prompts import Prompts
from dmoa_calibration.backends.http_ways import Answer, find_server, find_way
from dmoa_calibration.memory import Memory
from dmoa_theory.errors import CalibrationError, InputError

__all__ = ["OpenAiHttpBackend", "load"]

_LEAST_CONTEXT = 2048  # asked of Ollama, which cuts longer prompts off without a word
_TRIES = 3  # an answer of another length is asked for again, with another prompt


def load(
    *,
    url: str | None = None,
    model: str | None = None,
    api_key_env: str | None = None,
    n_ctx: int | None = None,
    seed: int = 0,
    timeout: float = 300.0,
    **_: object,
) -> OpenAiHttpBackend:
    """Find out how the server wants to be asked; see :func:`dmoa_calibration.backends.open_backend`."""
    if url is None:
        raise InputError("url", InputError.MISSING, "where the server is, such as http://127.0.0.1:8080")
    client = HttpClient(url, key=key_from_environment(api_key_env), timeout=timeout)
    return OpenAiHttpBackend(client, model, n_ctx=n_ctx, seed=seed)


class OpenAiHttpBackend:
    """A model at a server, asked one prompt at a time.

    Its machine is taken for this one if the address is local, and for unknown if not. CPU seconds are unknown always.
    """

    def __init__(self, client: HttpClient, model: str | None, *, n_ctx: int | None, seed: int) -> None:
        self._client = client
        self._server = find_server(client, model)
        if self._server.kind.startswith("ollama"):
            self._server = replace(self._server, n_ctx=max(n_ctx or 0, _LEAST_CONTEXT))
        self._way = find_way(client, self._server)
        self._prompts = Prompts(seed, self._server.vocabulary)

    def prompt_lengths(self, asked: tuple[int, ...]) -> tuple[int, ...]:
        """Prompt lengths that can be had in place of those asked for.

        The same where the server takes token ids. Where it takes text only, its tokenizer decides: a text is fitted to each
        length, and the nearest that can be reached is used, at most 5 % or 2 tokens off.

        Raises
        ------
        CalibrationError
            When no text comes that near.
        """
        return asked if self._way.takes_ids else tuple(self._prompts.fit(length, self._count) for length in asked)

    def infer(self, prompt_tokens: int, output_tokens: int) -> Timing:
        """Time one greedy answer of exactly ``output_tokens`` to a random prompt of exactly ``prompt_tokens``."""
        longest = self._server.n_ctx
        if prompt_tokens < 1 or output_tokens < 1 or (longest is not None and prompt_tokens + output_tokens > longest):
            fits = "" if longest is None else f", in all at most {longest}, the server's context"
            raise InputError("prompt_tokens + output_tokens", f"{prompt_tokens} + {output_tokens}", f"1 or more each{fits}")
        if not self._way.takes_ids and (nearest := self._prompts.fit(prompt_tokens, self._count)) != prompt_tokens:
            raise CalibrationError(
                f"{self._client.shown} takes texts only, and none of exactly {prompt_tokens} tokens was found, but of {nearest}"
            )
        for _ in range(_TRIES):
            answer = self._ask(prompt_tokens, output_tokens)
            exact = (answer.prompt_tokens, answer.output_tokens) == (prompt_tokens, output_tokens)
            if exact and (answer.decode_s > 0 or output_tokens == 1):
                return answer.timing()
        raise self._wrong(answer, prompt_tokens, output_tokens)

    def describe(self) -> dict[str, dict[str, Any]]:
        """Give the ``runtime`` and ``model`` parts of a profile, and of ``hardware`` that another machine is unknown."""
        server, way = self._server, self._way
        name = server.model.rsplit("/", 1)[-1] if server.model.endswith(".gguf") else server.model
        about: dict[str, dict[str, Any]] = {
            "runtime": {
                "backend": "openai_http",
                "backend_version": f"{server.kind}, {way.describe()}, {'its own' if way.server_clock else 'our'} clock",
                "n_threads": None,
                "dtype": server.dtype,
                "kv_type": "unknown",
                "n_ctx": server.n_ctx,
                "timed_by": "server" if way.server_clock else "client",
                "url": self._client.shown,
            },
            "model": {
                "name": self._client.clean(name),
                "arch": "unknown",
                "n_params": server.n_params,
                "weight_bytes": server.weight_bytes,
                "random_weights": False,
                "n_layers": None,
                "n_kv_heads": None,
                "head_dim": None,
            },
        }
        if not self._client.is_local:
            about["hardware"] = {"cpu_model": f"unknown, at {self._client.host}", "n_cores": None, "isa": []}
            about["hardware"] |= {"mem_total_bytes": None, "accelerator": None}
        return about

    def memory(self) -> Memory:
        """Say what the server tells of the model's memory; most is unknown."""
        return Memory(weight_bytes=self._server.weight_bytes, kv_bytes_per_token=None, peak_rss_bytes=None, load_time_s=None)

    def close(self) -> None:
        """Nothing to end: every request had a connection of its own."""

    def _ask(self, prompt_tokens: int, output_tokens: int) -> Answer:
        prompt = self._prompts.ids(prompt_tokens) if self._way.takes_ids else self._prompts.text(prompt_tokens)
        return self._way.ask(self._client, self._server, prompt, output_tokens)

    def _count(self, text: str) -> int:
        return self._way.ask(self._client, self._server, text, 2).prompt_tokens

    def _wrong(self, answer: Answer, prompt_tokens: int, output_tokens: int) -> CalibrationError:
        if answer.prompt_tokens != prompt_tokens:
            what = f"counts {answer.prompt_tokens} prompt tokens where {prompt_tokens} were sent: its times cannot be used"
        elif answer.output_tokens != output_tokens:
            what = f"wrote {answer.output_tokens} tokens where {output_tokens} were asked for: its times cannot be used"
            what += "; only servers that honour ignore_eos, as llama.cpp and vLLM do, write on after the end of a text"
        else:
            what = "sends its answers in one piece: the time to the first token cannot be told from the rest"
        return CalibrationError(f"{self._client.shown} {what}")
