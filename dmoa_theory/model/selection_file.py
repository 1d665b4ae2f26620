"""Selection weights from a CSV of inclusion probabilities: who asks whom how often (columns from, to, probability)."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import BoolArray, FloatArray
from dmoa_theory.model.moa import MoA
from dmoa_theory.model.network import Network
from dmoa_theory.model.selection import weights_from_inclusion
from dmoa_theory.text_files import refuse_workbook

__all__ = ["read_selection"]


def read_selection(path: Path, network: Network, moa: MoA, idle: BoolArray) -> FloatArray:
    """Weights of the links whose inclusion probabilities a CSV gives; users without prompts may be left out.

    Parameters
    ----------
    path : Path
    network : Network
    moa : MoA
        Whose k the probabilities of each user sum to.
    idle : ndarray of bool, shape (n,)
        Users without prompts.

    Returns
    -------
    ndarray, shape (n_links,)

    Raises
    ------
    InputError
        One line naming file, line and value.
    """
    file = str(path)
    place = network.positions()
    inclusion = np.zeros(network.n_links)
    listed: set[int] = set()
    for line, row in _rows(path):
        try:
            u, v = place[row["from"].strip()], place[row["to"].strip()]
        except KeyError as error:
            who = error.args[0]
            raise InputError(f"line {line}", who, network.known_devices(who), file=file) from None
        link = int(network.indptr[u] + np.searchsorted(network.neighbours(u), v))
        if link >= network.indptr[u + 1] or network.indices[link] != v:
            raise InputError(f"line {line}", f"{row['from']} to {row['to']}", "a link of the network", file=file)
        if link in listed:
            raise InputError(f"line {line}", f"{row['from']} to {row['to']}", "each link once", file=file)
        listed.add(link)
        try:
            inclusion[link] = float(row["probability"])
        except ValueError:
            inclusion[link] = np.nan
        if not 0 <= inclusion[link] <= 1:
            raise InputError(f"line {line}", row["probability"], "a probability from 0 to 1", file=file)
    M, k, _ = moa.per_user(network.n_devices)
    weight = np.ones(network.n_links)
    for u in np.flatnonzero((M > 0) & (k > 0)).tolist():
        links = slice(int(network.indptr[u]), int(network.indptr[u + 1]))
        total = inclusion[links].sum()
        if idle[u] and total == 0:
            continue
        if not abs(total - k[u]) <= 1e-6 * (1 + links.stop - links.start):  # entries may be written with six digits
            allowed = f"probabilities that sum to k = {k[u]} over the neighbours that it asks"
            raise InputError(f"device {network.name(u)}", f"a sum of {total:.6g}", allowed, file=file)
        try:
            weight[links] = weights_from_inclusion(inclusion[links], field=f"device {network.name(u)}")
        except InputError as error:
            raise error.located(file=file) from None
    return weight


def _rows(path: Path) -> Iterator[tuple[int, Mapping[str, str]]]:
    file = str(path)
    refuse_workbook(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (FileNotFoundError, IsADirectoryError):
        raise InputError("moa.selection", path, "an existing CSV with columns from,to,probability") from None
    except (OSError, UnicodeDecodeError):
        raise InputError("", InputError.MISSING, "cannot be read as UTF-8 text", file=file) from None
    reader = csv.DictReader(text.splitlines(), skipinitialspace=True)
    if reader.fieldnames is None or not {"from", "to", "probability"} <= set(reader.fieldnames):
        raise InputError("columns", ",".join(reader.fieldnames or ()) or "none", "from,to,probability", file=file)
    for row in reader:
        if None in row.values() or None in row:
            raise InputError(f"line {reader.line_num}", "too few or too many columns", "from,to,probability", file=file)
        yield reader.line_num, row
