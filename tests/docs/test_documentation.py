"""What holds of all pages: listed, titled as questions, linked without a gap, light; and the reader that follows them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pages import DOCS, GROUPS, PAGES, ROOT, Reader, commands, is_plain, made_pictures, missing, read_blocks

GUIDES = [page for page in PAGES if page.parent.name == "guides" and page.stem != "testbed"]
#: Bytes of a picture.
LARGEST = 70_000

every_page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
every_guide = pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.stem)


def anchors(page: Path) -> set[str]:
    """What headings can be linked by, as code hosts make it of them."""
    heads = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


@every_page
def test_links_lead_somewhere(path: Path) -> None:
    """Relative links: the file is there, and so is the heading."""
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", path.read_text(encoding="utf-8")):
        name, _, anchor = target.partition("#")
        there = (path.parent / name).resolve() if name else path
        assert there.exists(), target
        if anchor:
            assert anchor in anchors(there), target


@every_guide
def test_guide_is_titled_by_its_question_and_listed(path: Path) -> None:
    title = path.read_text(encoding="utf-8").splitlines()[0]
    assert re.fullmatch(r"# .+\?", title)
    assert f"| {title[2:]} | [" in (DOCS / "README.md").read_text(encoding="utf-8")
    assert f"(guides/{path.name})" in (DOCS / "README.md").read_text(encoding="utf-8")


@every_guide
def test_guide_says_how_sure_and_what_next(path: Path) -> None:
    assert {"how-sure-is-that", "what-next"} <= anchors(path) or path.stem == "how-long-will-users-wait"
    assert read_blocks(path)


def test_modules_and_studies_that_formulas_name_are_there() -> None:
    """Paths in the page are below dmoa_theory, or in the tests."""
    named = set(re.findall(r"`((?:[a-z_]+/)+[a-z_]+(?:\.py)?)`", (DOCS / "theory" / "formulas.md").read_text(encoding="utf-8")))
    assert len(named) > 30
    assert [name for name in named if not ((ROOT / "dmoa_theory" / name).exists() or (ROOT / name).exists())] == []


def test_pictures_are_light_and_shown() -> None:
    """Every picture is made by the commands of the page that shows it, and none lies about."""
    shown = {picture for page in PAGES for picture, _ in made_pictures(page)}
    assert shown == set((DOCS / "guides" / "pictures").iterdir())
    assert [picture.name for picture in shown if picture.stat().st_size > LARGEST] == []


def test_groups_name_pages_that_are_there() -> None:
    assert [name for names in GROUPS.values() for name in names if not (DOCS / name).is_file()] == []


# -- the reader itself -------------------------------------------------------------------------------------------------


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A page to be written."""
    path = tmp_path / "page.md"
    path.touch()
    return path


@pytest.mark.parametrize(
    ("stated", "printed", "lacking"),
    [
        ("load 29.3 %\n...\nstable", "load 29.3 % and\nmore\n stable", None),
        ("load 29.3 %", "load\n  29.4 %", None),  # one unit of the last digit
        ("load 29.3 %", "load 29.9 %", "load 29.3 %"),
        ("1,000 prompts", "1015 prompts", None),
        ("p95 of 60 s", "p99 of 60 s", "p95 of 60 s"),
        ("first\n...\nsecond", "second first", "second"),
        ("it holds", "it does not hold", "it holds"),
        ("5e-4 s", "5.05e-4 s", None),
        ("5e-4 s", "8e-4 s", "5e-4 s"),
    ],
)
def test_outputs_are_compared(stated: str, printed: str, lacking: str | None) -> None:
    assert missing(stated, printed) == lacking


def test_commands_are_told_from_scripts() -> None:
    text = "dmoa plan \\\n  --json   # exit code 0 or 3\n# a remark\ndmoa region   # why\n"
    assert list(commands(text)) == [("dmoa plan  --json", {0, 3}), ("dmoa region   # why", {0})]
    assert is_plain('dmoa whatif --lose-link "a->b"')
    assert not any(
        map(is_plain, ["dmoa plan | head", "dmoa plan --json > x", "dmoa region || echo no", "cat x", "dmoa plan $X"])
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("```sh\ndmoa region nowhere.toml\n```\n", "exit code 2"),
        ("```sh\ndmoa --version\n```\n\n```text\n17.4\n```\n", "not printed"),
        ("```toml\nx = 1\n```\n", "nothing to follow"),
        ("```text\nfrom nowhere\n```\n", "an output of nothing"),
        ("<!-- tested with: b for x -->\n```sh\ndmoa --version\n```\n", "is not in the block"),
        ("```sh\npip install -e '.[nothing]'\n```\n", "no such extra"),
    ],
)
def test_a_page_that_errs_is_found_out(text: str, complaint: str, tmp_path: Path, reader: Reader, page: Path) -> None:
    page.write_text(text, encoding="utf-8")
    with pytest.raises(AssertionError, match=complaint):
        reader.follow(page)
