"""Weak classifiers of handwritten digits that answer, vote and aggregate as the models of a distributed Mixture-of-Agents do.

A stand-in to measure with: it has agents of different strength, answers drawn at a temperature, layers and an aggregator. It
says nothing about language models.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

#: Weight of one vote beside an agent's own log-posterior, and what of a posterior is spread evenly so that no agent is certain.
VOTE, DOUBT = 1.0, 0.02
#: Training images and pixels of a weak agent, and training images of the strong one, which sees all pixels.
WEAK_IMAGES, WEAK_PIXELS, STRONG_IMAGES = 80, 14, 150
TEST_IMAGES = 1197


@dataclass(frozen=True)
class Agents:
    """What every agent believes of every test image.

    Attributes
    ----------
    log_posterior : ndarray, shape (n_agents, n_images, 10)
        The weak agents, and the strong one as the last.
    label : ndarray, shape (n_images,)
    """

    log_posterior: Any
    label: Any

    @property
    def weak(self) -> int:
        """Number of weak agents."""
        return len(self.log_posterior) - 1

    def right_when_sure(self) -> Any:
        """Share of images that each agent has right when it gives its likeliest answer, shape (n_agents,)."""
        return (self.log_posterior.argmax(axis=2) == self.label).mean(axis=1)


def train_agents(seed: int, images: int = TEST_IMAGES) -> Agents:
    """Six weak agents and a strong one, each trained on images of its own; tested on others.

    Parameters
    ----------
    seed : int
        Of the split, the pixels that each weak agent sees, and its training images.
    images : int
        Test images.
    """
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression
    from sklearn.naive_bayes import GaussianNB
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.tree import DecisionTreeClassifier

    rng = np.random.default_rng(seed)
    pixels, label = load_digits(return_X_y=True)
    pixels = pixels / 16
    order = rng.permutation(len(label))
    test, pool = order[:images], order[TEST_IMAGES:]
    kinds = [
        LogisticRegression(C=1.0, max_iter=300),
        GaussianNB(var_smoothing=0.05),
        KNeighborsClassifier(9),
        DecisionTreeClassifier(max_depth=6, min_samples_leaf=3, random_state=seed),
        LogisticRegression(C=0.2, max_iter=300),
        GaussianNB(var_smoothing=0.2),
    ]
    seen = [np.sort(rng.choice(pixels.shape[1], WEAK_PIXELS, replace=False)) for _ in kinds] + [np.arange(pixels.shape[1])]
    kinds.append(LogisticRegression(C=1.0, max_iter=300))
    beliefs = []
    for kind, columns in zip(kinds, seen, strict=True):
        size = STRONG_IMAGES if kind is kinds[-1] else WEAK_IMAGES
        own = rng.choice(pool, size, replace=False)
        kind.fit(pixels[np.ix_(own, columns)], label[own])
        believed = np.zeros((images, 10))
        believed[:, kind.classes_] = kind.predict_proba(pixels[np.ix_(test, columns)])
        beliefs.append(np.log((1 - DOUBT) * believed + DOUBT / 10))
    return Agents(log_posterior=np.array(beliefs), label=label[test])


def answer(log_posterior: Any, votes: Any, temperature: float, rng: np.random.Generator) -> Any:
    """Answers drawn with probability proportional to ``exp((own log-posterior + votes) / temperature)``.

    Parameters
    ----------
    log_posterior : ndarray, shape (..., 10)
    votes : ndarray, shape (..., 10)
        How many of the answers that it was shown say each digit.
    temperature : float
    rng : Generator
    """
    score = (log_posterior + VOTE * votes) / temperature
    return (score + rng.gumbel(size=score.shape)).argmax(axis=-1)


def ask(devices: Any, user: int, M: int, k: int, temperature: float, rng: np.random.Generator) -> Any:
    """Final answers to every image, asked by one user under (M, k), shape (n_images,).

    Parameters
    ----------
    devices : ndarray, shape (n_devices, n_images, 10)
        Log-posterior of the agent on each device.
    user : int
        Whose device draws k others anew for every image and layer, and aggregates in the end.
    M, k : int
    temperature : float
    rng : Generator
    """
    n, images, _ = devices.shape
    others = np.delete(np.arange(n), user)
    every = np.arange(images)[:, None]
    votes = np.zeros((images, 10))
    for _ in range(M):
        drawn = others[rng.random((images, n - 1)).argsort(axis=1)[:, :k]]
        proposers = np.concatenate([np.full((images, 1), user), drawn], axis=1)
        answers = answer(devices[proposers, every], votes[:, None, :], temperature, rng)
        votes = (answers[:, :, None] == np.arange(10)).sum(axis=1)
    return answer(devices[user], votes, temperature, rng)


def right(devices: Any, label: Any, users: list[int], M: int, k: int, temperature: float, rng: np.random.Generator) -> Any:
    """Share of the users that get each image right, shape (n_images,)."""
    return np.mean([ask(devices, user, M, k, temperature, rng) == label for user in users], axis=0)
