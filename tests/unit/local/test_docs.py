"""The generated pages are up to date, and every page names only what exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from local.docs import DOCS, PAGES
from runtime.api.endpoints import ENDPOINTS
from runtime.tables import ALL_TABLES

ROOT = DOCS.parent


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_up_to_date(name: str) -> None:
    written = (DOCS / name).read_text("utf-8")
    assert written == PAGES[name](), f"docs/{name} is stale: run make docs"


def test_the_data_model_page_names_every_table_index_and_expiry() -> None:
    page = PAGES["data-model.md"]()
    for schema in ALL_TABLES:
        section = page.partition(f"\n## {schema.name}\n")[2].partition("\n## ")[0]
        assert all(f"| `{index.name}` |" in section for index in schema.indexes)
        assert all(f"| `{name}` |" in section for name in schema.model.model_fields)
        if schema.ttl_attribute is not None:
            assert "expiry, epoch seconds" in section


def test_the_api_page_names_every_route() -> None:
    page = PAGES["api.md"]()
    assert all(f"`{endpoint.method} {endpoint.path}`" in page for endpoint in ENDPOINTS)


FOLDERS = (
    "runtime",
    "stacks",
    "local",
    "operations",
    "permissions",
    "simulation",
    "tests",
    "benchmarks",
    "clients",
    "console",
    "docs",
)
PLACEHOLDERS = re.compile(r"[<{*…]")

# Prefixes in buckets, and a file of another repository.
NOT_IN_THE_TREE = {
    "console/config.json",
    "converted/",
    "rejected/",
    "reports/",
    "shared/",
    "tests/tier3/error-messages/transactGetItems.test.ts",
}


def pages() -> list[Path]:
    generated = {DOCS / name for name in PAGES}
    guides = [*ROOT.glob("*.md"), *(DOCS.rglob("*.md")), *(ROOT / "tests").rglob("*.md")]
    return sorted(page for page in guides if page not in generated)


def paths_of_the_tree() -> set[str]:
    """Files and folders of the repository, relative to its root."""
    below = {
        path.relative_to(ROOT).as_posix()
        for folder in FOLDERS
        for path in (ROOT / folder, *(ROOT / folder).rglob("*"))
        if "__pycache__" not in path.parts and (path.is_file() or any(path.rglob("*.*")))
    }
    return below | {path.name for path in ROOT.iterdir()}


def missing_paths(text: str, tree: set[str]) -> set[str]:
    """Paths below a source folder, and `….py` in a code span, that the repository lacks.

    In a code span a path may begin below `runtime/`, or be the end of a path.
    """
    below = "|".join(FOLDERS[:-1])
    rooted = set(re.findall(rf"(?<![\w/.-])(?:{below})/[^\s`\]),;:|]+", text))
    wrong = {path for path in rooted if path.strip("/.") not in tree}
    endings = set(re.findall(r"`([\w/-]+\.py)`", text)) - rooted
    wrong |= {end for end in endings if not any(f"/{path}".endswith(f"/{end}") for path in tree)}
    folders = set(re.findall(r"`([a-z_]+/[a-z_/]*)`", text)) - rooted
    wrong |= {
        path
        for path in folders
        if not any(f"/{each}/".endswith(f"/{path.strip('/')}/") for each in tree)
    }
    return {path for path in wrong - NOT_IN_THE_TREE if not PLACEHOLDERS.search(path)}


@pytest.fixture(scope="module")
def tree() -> set[str]:
    return paths_of_the_tree()


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_paths_commands_and_links_of_a_page_exist(page: Path, tree: set[str]) -> None:
    text = page.read_text("utf-8")
    assert missing_paths(text, tree) == set()

    targets = set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text("utf-8"), re.M))
    assert set(re.findall(r"(?:^|`)make ([a-z][\w-]*)", text, re.M)) - targets == set()

    modules = set(re.findall(rf"-m ((?:{'|'.join(FOLDERS)})[\w.]*\w)", text))
    files = {name: name.replace(".", "/") for name in modules}
    assert {
        name for name, file in files.items() if not tree & {f"{file}.py", f"{file}/__main__.py"}
    } == set()

    links = set(re.findall(r"\]\(([^)#\s:]+)(?:#[^)]*)?\)", text))
    assert {link for link in links if not (page.parent / link).exists()} == set()


def test_a_page_that_names_a_test_names_one_that_exists() -> None:
    tests = {
        f"{path.stem}::{name}"
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text("utf-8"), re.M)
    }
    named = {
        name
        for page in pages()
        for name in re.findall(r"`(test_\w+::test_\w+)`", page.read_text("utf-8"))
    }
    assert named - tests == set()


def test_a_link_to_a_section_names_one_that_exists() -> None:
    assert {
        f"{page.name}: {link}"
        for page in pages()
        for file, link in re.findall(r"\]\(([\w./-]*\.md)?#([^)]+)\)", page.read_text("utf-8"))
        if link not in anchors((page.parent / file if file else page).read_text("utf-8"))
    } == set()


def anchors(text: str) -> set[str]:
    """Names that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_architecture_page_shows_every_folder_and_the_import_order() -> None:
    page = (DOCS / "architecture.md").read_text("utf-8")
    tree = page.partition("```\nruntime/")[2].partition("\n```")[0]
    capabilities = [
        path for path in (ROOT / "runtime").iterdir() if (path / "__init__.py").exists()
    ]
    assert {path.name for path in capabilities if f"\n  {path.name}/ " not in tree} == set()

    layers = re.search(
        r"^layers = \[(.+?)\]", (ROOT / "pyproject.toml").read_text("utf-8"), re.M | re.S
    )
    assert layers
    order = " → ".join(re.findall(r'"(\w+)"', layers[1]))
    assert order in " ".join(page.split())


def test_the_glossary_is_alphabetical() -> None:
    page = (DOCS / "glossary.md").read_text("utf-8")
    terms = re.findall(r"^\| ([^|]+) \|", page, re.M)[1:]
    terms = [term.lower().replace("-", " ") for term in terms if not term.startswith("---")]
    assert terms == sorted(terms)
