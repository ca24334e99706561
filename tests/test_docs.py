"""The documents say what the program does, and in the same order."""

from __future__ import annotations

import pathlib
import re
from typing import Any

import pytest

from engine import feeding, hatching
from engine.steps import Step
from procchi_tui.cli.program import ALIASES, program

ROOT = pathlib.Path(__file__).parents[1]
STEPS: dict[str, list[Step[Any]]] = {"hatch": hatching.STEPS, "feed": feeding.STEPS}
DOCUMENTS = [
    "README.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "docs/DESIGN.md",
    "docs/syscalls.md",
    "docs/screens.md",
]


def section(document: str, title: str) -> str:
    """What stands under a heading, to the next one of the same level."""
    text = (ROOT / document).read_text()
    _, found, rest = text.partition(f"\n## {title}\n")
    assert found, f"{document} has no section {title!r}"
    return rest.partition("\n## ")[0]


@pytest.mark.parametrize("command", STEPS)
def test_syscalls_md_tells_every_step_in_its_order_and_words(command: str) -> None:
    rows = re.findall(r"^\| \d+ \|.*", section("docs/syscalls.md", command), re.MULTILINE)
    assert [row.replace("[", "").replace("]", "") for row in rows] == [
        f"| {number} | {step.name} | {step.side} | {step.syscalls} | {step.why} |"
        for number, step in enumerate(STEPS[command], 1)
    ]


def test_syscalls_md_links_every_manual_page_that_it_names() -> None:
    text = (ROOT / "docs/syscalls.md").read_text()
    named = set(re.findall(r"\[(\w+\(\d\))\]", text))
    linked = set(re.findall(r"^\[(\w+\(\d\))\]: https://", text, re.MULTILINE))
    assert named == linked


@pytest.mark.parametrize(("title", "command"), [("Hatching", "hatch"), ("Feeding", "feed")])
def test_design_md_names_every_step_in_its_order(title: str, command: str) -> None:
    names = [step.name for step in STEPS[command]]
    bold = re.findall(r"\*\*([^*]+)\*\*", section("docs/DESIGN.md", title))
    assert [word for word in bold if word in names] == names


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_in_the_documents_exist(document: str) -> None:
    text = (ROOT / document).read_text()
    code = re.findall(r"^```.*?^```|^(?: {4}|\t).+|`[^`\n]+`", text, re.MULTILINE | re.DOTALL)
    known = {*program.commands, *ALIASES}
    for word in re.findall(r"\bprocchi ([a-z]+)\b", "\n".join(code)):
        assert word in known, f"{document} speaks of `procchi {word}`"


def test_the_readme_tells_of_every_command() -> None:
    told = section("README.md", "The command line")
    for name in program.commands:
        assert f"`{name}" in told or f"procchi {name}" in told, name


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_within_the_project_lead_somewhere(document: str) -> None:
    text = (ROOT / document).read_text()
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", text):
        assert (ROOT / document).parent.joinpath(target).exists(), f"{document}: {target}"
