"""The wheel carries all that a verb needs: built, unpacked elsewhere, and run there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's content in a folder of its own."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = folder.glob("dmoa-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_the_wheel_plans_the_bundled_scenario(unpacked: Path, tmp_path: Path) -> None:
    """``dmoa plan`` runs from the wheel alone, outside the repository, and on its own data."""
    code = f"import sys; sys.path.insert(0, {str(unpacked)!r}); from dmoa_theory.cli import main; sys.exit(main())"
    command = [sys.executable, "-P", "-c", code, "plan", "--json", "--out", str(tmp_path / "plan")]
    alone = os.environ | {"PYTHONPATH": ""}
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=alone)
    assert ran.returncode == 0, ran.stderr
    answer = json.loads(ran.stdout)
    assert answer["choice"] is not None
    assert (tmp_path / "plan" / "plan.png").stat().st_size > 10_000


def test_the_wheel_holds_every_package_and_nothing_else(unpacked: Path) -> None:
    """Three packages with their data and type markers, and no tests."""
    assert {path.name for path in unpacked.iterdir() if not path.name.endswith(".dist-info")} == {
        "dmoa_theory",
        "dmoa_calibration",
        "dmoa_paper_figures",
    }
    assert (unpacked / "dmoa_theory" / "py.typed").exists()
    tracked = {path.relative_to(ROOT) for path in (ROOT / "dmoa_theory" / "data").rglob("*") if path.is_file()}
    assert tracked
    assert all((unpacked / path).exists() for path in tracked)
