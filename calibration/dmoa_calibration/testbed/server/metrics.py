"""Metrics in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from dmoa_calibration.testbed.node import Node

__all__ = ["add_metrics"]

_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)


class _StateOf(Collector):
    """Reads a node's counters when it is asked for them, so that counting costs the node nothing more."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def collect(self) -> Iterator[Any]:
        status = self._node.status()
        queue, queries, jobs = status["queue"], status["queries"], status["jobs"]
        gauges = {
            "queue_waiting": ("Jobs that wait, without the one in service", queue["waiting"]),
            "in_service": ("Whether an inference is being made", int(queue["in_service"] is not None)),
            "held_bytes": ("Bytes of texts held in memory", queue["held_bytes"]),
            "queries_open": ("Queries under way", queries["open"]),
            "peer_jobs_open": ("Jobs of other nodes, waiting, in service or with a response under way", jobs["peer_jobs_open"]),
            "uptime_seconds": ("Since the process began", status["uptime_s"]),
            "healthy": ("Whether the journal can be written", int(status["healthy"])),
        }
        for name, (text, value) in gauges.items():
            yield GaugeMetricFamily(f"dmoa_{name}", text, value=value)
        yield _labelled(
            "queries", "Queries by what became of them", "state", queries, ("accepted", "done", "failed", "degraded")
        )
        yield _labelled("jobs", "Inferences", "result", jobs, ("served", "failed", "overruns", "duplicates", "abandoned"))
        refused = {"query": queries["refused"], "job": jobs["refused"], "request": status["requests_refused"]}
        yield _labelled("refused", "What was not let in or not taken on", "what", refused, tuple(refused))
        text = "Entries of the journal that could not be read and were set aside"
        yield _labelled("unreadable", text, "what", status["unreadable"], tuple(status["unreadable"]))
        yield CounterMetricFamily("dmoa_busy_seconds", "Time spent on inferences", value=jobs["busy_s"])
        members = GaugeMetricFamily("dmoa_members", "Other nodes by state", labels=["state"])
        for state in ("alive", "suspect", "dead", "left"):
            members.add_metric([state], sum(member["state"] == state for member in status["members"]))
        yield members


def _labelled(name: str, text: str, label: str, values: dict[str, Any], keys: tuple[str, ...]) -> CounterMetricFamily:
    family = CounterMetricFamily(f"dmoa_{name}", text, labels=[label])
    for key in keys:
        family.add_metric([key], values[key])
    return family


def add_metrics(app: web.Application, node: Node) -> None:
    """``/metrics``."""
    registry = CollectorRegistry()
    registry.register(_StateOf(node))
    service = Histogram("dmoa_service_seconds", "Time of an inference", ["kind"], buckets=_BUCKETS, registry=registry)
    node.queue.totals.watchers.append(lambda kind, seconds: service.labels(kind).observe(seconds))
    latency = Histogram("dmoa_latency_seconds", "From a prompt to its answer", buckets=_BUCKETS, registry=registry)
    node.home.watchers.append(latency.observe)

    async def metrics(request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": _TYPE})

    app.router.add_get("/metrics", metrics, allow_head=False)
