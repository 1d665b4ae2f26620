"""Any OpenAI-compatible server: the prompt as one user turn, the answer's text back."""

from __future__ import annotations

from typing import Any

from dmoa_calibration.backends.http_client import HttpClient, RefusedError, key_from_environment
from dmoa_calibration.testbed.config import BackendConfig
from dmoa_calibration.testbed.engines.generate import TextAnswer
from dmoa_theory.errors import CalibrationError, InputError

__all__ = ["OpenAiText", "load"]

_TEMPERATURE = 0.7  # Mitra2024, section V


def load(config: BackendConfig, *, seed: int) -> OpenAiText:
    """Find the server's model."""
    if config.url is None:
        raise InputError("backend.url", InputError.MISSING, "where the server is, such as http://127.0.0.1:8080")
    client = HttpClient(config.url, key=key_from_environment(config.api_key_env), timeout=config.timeout)
    return OpenAiText(client, config.model or _only_model(client))


def _only_model(client: HttpClient) -> str:
    told = client.get(f"{_root(client)}/models")
    names = [str(each.get("id")) for each in told.get("data", []) if isinstance(each, dict)] if isinstance(told, dict) else []
    if len(names) != 1:
        raise InputError("backend.model", InputError.MISSING, f"one of the server's models: {', '.join(names) or 'none'}")
    return names[0]


def _root(client: HttpClient) -> str:
    return client.path if client.path.endswith("/v1") else f"{client.path}/v1"


class OpenAiText:
    """Asks ``/v1/chat/completions``.

    Parameters
    ----------
    client : HttpClient
    model : str
    name, random_weights : optional
        For the description, where more is known than what the server says.
    """

    def __init__(self, client: HttpClient, model: str, *, name: str | None = None, random_weights: bool | None = None) -> None:
        self._client, self._model = client, model
        self._about = {"backend": "openai_http", "model": name or client.clean(model), "random_weights": random_weights}
        self._exact_is_known = True

    def generate(self, prompt: str, *, max_tokens: int, exact: bool) -> TextAnswer:
        """Ask for one answer."""
        body: dict[str, Any] = {
            "model": self._model,
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": max_tokens,
            "temperature": _TEMPERATURE,
        }
        if exact and self._exact_is_known:
            try:
                return self._ask(body | {"ignore_eos": True})
            except RefusedError as error:
                if error.status not in (400, 422):
                    raise
                answer = self._ask(body)  # it works without, so it was this that the server refused
                self._exact_is_known = False
                return answer
        return self._ask(body)

    def _ask(self, body: dict[str, Any]) -> TextAnswer:
        told = self._client.post(f"{_root(self._client)}/chat/completions", body)
        try:
            text = told["choices"][0]["message"]["content"]
            usage = told.get("usage") or {}
            counts = int(usage.get("prompt_tokens", 0)), int(usage.get("completion_tokens", 0))
        except (KeyError, IndexError, TypeError, ValueError, AttributeError):
            raise CalibrationError(f"{self._client.shown} answered with no chat completion") from None
        if not isinstance(text, str):
            raise CalibrationError(f"{self._client.shown} answered without text")
        return TextAnswer(text=text, prompt_tokens=counts[0], output_tokens=counts[1])

    def describe(self) -> dict[str, Any]:
        """Server and model."""
        return dict(self._about)

    def close(self) -> None:
        """Nothing to end: every request had a connection of its own."""
