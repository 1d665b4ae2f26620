"""Plain systems with 45 to 366 devices, twenty times those of the validation study, against the bands that it gives.

Whether the number of devices tells anything of an estimate's error: prints errors and bands, and asserts that eight in ten of
the errors are within that which 95 % of comparable small systems keep to. Some four minutes.
"""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np

from dmoa_theory import Network, ServiceTime, System, build_topology, latency
from dmoa_theory.delay.expected_error import QUANTITIES
from dmoa_theory.stability.loads import utilisation

STUDY = runpy.run_path(str(Path(__file__).with_name("latency_errors.py")))
SIMULATED, DRAWN = STUDY["SIMULATED"], STUDY["DRAWN"]
SEED, SYSTEMS = 11, 42
FAMILIES = ("regular", "watts_strogatz", "torus", "digraph", "complete", "ring", "barabasi_albert")


def draw(rng: np.random.Generator, family: str) -> System:
    """As in the study, but for the number of devices and a sparse digraph; loads 0.2 to 0.93."""
    network = _network(rng, family)
    n = network.n_devices
    mean = 2.0 ** rng.uniform(-1, 1, n) if rng.random() < 0.5 else np.ones(n)
    rate = [np.ones(n), rng.uniform(1, 5, n)][rng.integers(2)]
    later, aggregate = (1.0, 1.0) if rng.random() < 0.5 else rng.uniform(1, 2.5, 2)
    service = ServiceTime.from_law(**DRAWN["_law"](rng, n), mean=mean, later=later, aggregate=aggregate)
    moa = DRAWN["_moa"](rng, network, "plain", None)
    system = System(network=network, arrival_rate=rate * 1e-6, service=service, moa=moa)
    return system.with_rates(system.rates * (rng.uniform(0.2, 0.93) / utilisation(system).max()))


def _network(rng: np.random.Generator, family: str) -> Network:
    n = int(np.exp(rng.uniform(np.log(40), np.log(400))))
    seed = int(rng.integers(2**31))
    if family == "digraph":
        adjacency = rng.random((n, n)) < rng.uniform(3, 10) / n
        adjacency[np.arange(n), (np.arange(n) + 1) % n] = True
        np.fill_diagonal(adjacency, False)
        return Network.from_adjacency(adjacency)
    if family == "regular":
        return build_topology(family, n=n + n % 2, degree=int(rng.integers(3, 9)), seed=seed)
    side = int(np.sqrt(n))
    options: dict[str, dict[str, Any]] = {
        "watts_strogatz": {"n": n, "degree": 4, "p": 0.2, "seed": seed},
        "torus": {"rows": side, "cols": side},
        "barabasi_albert": {"n": n, "links": 2, "seed": seed},
        "complete": {"n": min(n, 100)},
        "ring": {"n": n},
    }
    return build_topology(family, **options[family])


def test_large_systems_keep_to_the_bands() -> None:
    """Mean absolute and largest error, bias, share within the 95 % band, and how many lie beyond the largest and the noise."""
    rng = np.random.default_rng(SEED)
    error, within, largest, noise = (np.empty((SYSTEMS, len(QUANTITIES))) for _ in range(4))
    for i in range(SYSTEMS):
        system = draw(rng, FAMILIES[i % len(FAMILIES)])
        case = DRAWN["Case"](name=f"large-{i}", kind="plain", system=system, seed=i)
        found = SIMULATED["simulated"](case, precision=0.01, fewest=8e6, most=3e7)
        off, bands = STUDY["relative_errors"](system, found), latency(system).expected_error
        error[i] = [off[name] for name in QUANTITIES]
        noise[i] = [found["half_width"][name] / found[name] for name in QUANTITIES]
        within[i], largest[i] = ([getattr(getattr(bands, name), part) for name in QUANTITIES] for part in ("within", "largest"))
    size = np.abs(error)
    print(f"\n{SYSTEMS} systems")
    for place, name in enumerate(QUANTITIES):
        print(
            f"{name:5s} mean {size[:, place].mean():.2%}, largest {size[:, place].max():.1%}, "
            f"bias {error[:, place].mean():+.2%}; "
            f"within the 95 % band {(size <= within)[:, place].mean():.1%}, "
            f"beyond the largest and the noise {(size > largest + noise)[:, place].sum()}"
        )
    assert ((size <= within + noise).mean(axis=0) >= 0.8).all()
