"""How long a message's bytes take over the scenario's links, beside the link's delay; no message waits for another."""

from __future__ import annotations

from pydantic import BaseModel

from dmoa_calibration.testbed.config import NodeConfig
from dmoa_calibration.testbed.protocol.messages import KINDS, InferenceRequest, InferenceResponse

__all__ = ["LinkTimes"]


class LinkTimes:
    """Seconds that prompts and responses take at the scenario's link rate; all else takes none.

    In modes paced and padded, whose texts are not the scenario's, a message has the bytes that the scenario says; in mode real
    those of its text.

    Parameters
    ----------
    config : NodeConfig

    Examples
    --------
    >>> config = NodeConfig(name="a", data_dir="nodes/a", moa={"M": 1, "k": 1}, mode="paced", link_rate=1000,
    ...                     message_bytes={"prompt": [500, 1500, 1500], "response": 250},
    ...                     service={"1": {"law": "deterministic", "mean": [0.1, 0.1, 0.1], "scv": [0, 0, 0]}})
    >>> LinkTimes(config).seconds(InferenceResponse(job="a:q:0:b", query="q", stage=0, device="b", text="yes"))
    0.25
    """

    def __init__(self, config: NodeConfig) -> None:
        self._rate, self._bytes = config.link_rate, config.message_bytes

    def seconds(self, message: BaseModel) -> float:
        """How much longer than the link's delay a message is on its way.

        Parameters
        ----------
        message : BaseModel
        """
        if self._rate is None:
            return 0.0
        if isinstance(message, InferenceRequest):
            said = None if self._bytes is None else self._bytes.prompt[KINDS.index(message.kind)]
            return _size(message.prompt, said) / self._rate
        if isinstance(message, InferenceResponse):
            return _size(message.text, None if self._bytes is None else self._bytes.response) / self._rate
        return 0.0


def _size(text: str | None, said: float | None) -> float:
    return len((text or "").encode()) if said is None else said
