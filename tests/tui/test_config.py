"""The configuration file, and the words of `procchi-tui`."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import pytest
from click import UsageError
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from textual.widgets import Input, Static

from procchi_tui import config, keymap, web
from procchi_tui.app import ProcchiApp
from procchi_tui.bindings import ACTIONS
from procchi_tui.cli.screen import screen
from procchi_tui.config import Config, Hatching
from procchi_tui.places import config_file
from procchi_tui.screens.help import HelpScreen
from procchi_tui.widgets.banner import Banner
from tests.tui.conftest import seen, until
from tests.tui.fixed_nest import FixedNest, fixed_clock, fixed_host, pet


def write(text: str) -> Path:
    file = config_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def run(*words: str) -> Result:
    return CliRunner().invoke(screen, list(words), standalone_mode=False)


def test_without_a_file_the_defaults_hold() -> None:
    assert config.load(config_file()) == (Config(), ())


def test_every_kind_of_key_is_read() -> None:
    file = write(
        """
        theme = "nord"
        art = "16"
        calm = true
        readings = 2
        hatch = { memory = "80M", cpu = 1, pids = "unlimited" }
        keys.pet.hatch = "h"
        keys."pet.feed" = "x,f5"
        [snacks]
        "who am i" = "id"
        """
    )
    assert config.load(file) == (
        Config(
            theme="nord",
            art="16",
            calm=True,
            readings=2,
            hatch=Hatching("80M", "1", "unlimited"),
            keys={"pet.hatch": "h", "pet.feed": "x,f5"},
            snacks={"who am i": "id"},
        ),
        (),
    )


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("clam = true", 'clam: there is no such key: "calm" perhaps'),
        ("xyz = 1", "xyz: there is no such key (there are theme, art, "),
        ('calm = "yes"', 'calm = "yes": it must be true or false; false is used'),
        ("readings = 300", "readings = 300: it must be a number from 0.2 to 20; 4.0 is used"),
        ("readings = nan", "it must be a number from 0.2 to 20"),
        ("readings = true", "it must be text in quotes or a number"),
        ('art = "oil"', 'it must be one of "auto", "rgb", "16", "ascii"; "auto" is used'),
        ("theme = 3", "theme = 3: it must be text in quotes"),
        ("hatch.cpu = -1", "hatch.cpu = -1: CPU limit -1 cannot be enforced: choose 0.001 to"),
        ('hatch.memory = "x"', "hatch.memory"),
        ("hatch.disk = 1", "hatch.disk: there is no such key (there are memory, cpu, pids)"),
        ("hatch = 1", "it must be a table: [hatch]"),
        ("snacks = [1]", "it must be a table of texts in quotes"),
        ("keys.pet.hatch = 1", "it must be a table of texts in quotes"),
        ("calm =", "Invalid value (at line 2"),
        ("theme = 2020-01-01", 'theme = "2020-01-01": it must be text in quotes'),
    ],
)
def test_what_is_wrong_is_told_in_one_line_and_the_rest_holds(line: str, told: str) -> None:
    file = write(f"bell = true\n{line}\n")
    loaded = config.load(file)
    [trouble] = loaded.troubles
    assert trouble.startswith(f"{file}: ") and told in trouble and "\n" not in trouble
    assert loaded.config == (Config() if "Invalid" in told else Config(bell=True))


def test_a_file_that_cannot_be_read_is_told() -> None:
    file = write("")
    file.write_bytes(b"theme = '\xff'")
    assert "can't decode" in config.load(file).troubles[0]
    assert "Is a directory" in config.load(file.parent).troubles[0]


@given(st.binary(max_size=60))
def test_no_bytes_are_too_strange(tmp_path_factory: pytest.TempPathFactory, text: bytes) -> None:
    file = tmp_path_factory.mktemp("config") / "config.toml"
    file.write_bytes(text)
    loaded = config.load(file)
    assert isinstance(loaded.config, Config)


def test_the_printed_file_explains_every_key_and_means_the_same() -> None:
    settings = Config(
        calm=True,
        hatch=Hatching(pids="10"),
        keys={"pet.feed": "x"},
        snacks={'a "b"': "echo 'c' \\ $D"},
    )
    printed = config.document(settings, keymap.default_keys())
    assert config.load(write(printed)) == (settings, ())
    lines = printed.splitlines()
    for key in [*fields(Config), *fields(Hatching)]:
        place = next(
            index
            for index, line in enumerate(lines)
            if line.removeprefix("# ").startswith((f"{key.name} = ", f"[{key.name}]"))
        )
        assert lines[place - 1].startswith("# "), f"{key.name} is not explained"
    for action in ACTIONS:
        assert any(f'"{action}" = ' in line for line in lines)


def test_what_is_commented_out_is_the_default() -> None:
    printed = config.document(Config(), keymap.default_keys())
    said = tomllib.loads(printed)
    assert said == {"hatch": {}, "keys": {}, "snacks": {}}
    bare = "\n".join(
        line.removeprefix("# ") for line in printed.splitlines() if " = " in line or line[:1] == "["
    )
    loaded = config.load(write(bare.partition("[keys]")[0]))
    assert loaded == (Config(), ())


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"pet.hach": "x"}, 'there is no such action: "pet.hatch" perhaps'),
        ({"pet.hatch": "banana"}, '"banana" is no key'),
        ({"pet.hatch": ""}, '"" is no key'),
        ({"pet.hatch": "h"}, '"h" is move.left\'s key already; "n" is used'),
        ({"pet.hatch": "x", "pet.feed": "x"}, '"x" is pet'),
    ],
)
def test_keys_that_cannot_be_had(keys: dict[str, str], told: str) -> None:
    good, troubles = keymap.checked(keys)
    assert not good
    assert told in troubles[0]


def test_keys_may_be_swapped_and_written_in_any_way() -> None:
    wanted = {"pet.hatch": "f", "pet.feed": "n, ctrl+f ,?x"[:9], "session.quit": "Q,f10"}
    good, troubles = keymap.checked(wanted)
    assert not troubles
    assert good == {"pet.hatch": "f", "pet.feed": "n,ctrl+f", "session.quit": "Q,f10"}


async def test_a_moved_key_works_and_the_help_knows() -> None:
    nest = FixedNest([pet("moka")])
    settings = Config(keys={"pet.feed": "x"})
    app = ProcchiApp(nest, config=settings, clock=fixed_clock, read_host=fixed_host)
    async with app.run_test(size=(100, 40)) as pilot:
        await seen(pilot, nest)
        await pilot.press("f")
        assert app.screen.query_one("FeedPanel").display is False
        await pilot.press("question_mark")
        assert isinstance(app.screen, HelpScreen)
        told = " ".join(str(text.render()) for text in app.screen.query(Static))
        assert "x  Run a command" in told
        await pilot.press("escape", "x")
        assert app.screen.query_one("FeedPanel").display is True


async def test_the_settings_reach_the_session() -> None:
    nest = FixedNest([pet("moka")])
    settings = Config(hatch=Hatching("70M", "2", "9"), readings=2.0, calm=True)
    app = ProcchiApp(
        nest,
        config=settings,
        troubles=[f"line {number}" for number in range(5)],
        clock=fixed_clock,
        read_host=fixed_host,
    )
    async with app.run_test(size=(100, 40)) as pilot:
        await seen(pilot, nest)
        told = str(app.screen.query_one(Banner).render())
        assert told == "line 0\nline 1\n… and 3 more: see procchi-tui --print-config"
        await pilot.press("n")
        values = [field.value for field in app.screen.query(Input)]
        assert values[1:4] == ["70M", "2", "9"]
        assert app.screen.query_one("#name", Input).cursor_blink is False
        assert app.animation_level == "none"


async def test_the_theme_chosen_is_remembered() -> None:
    def app(theme: str = "") -> ProcchiApp:
        settings = Config(theme=theme)
        return ProcchiApp(FixedNest(), config=settings, clock=fixed_clock, read_host=fixed_host)

    first = app()
    async with first.run_test() as pilot:
        assert first.theme == "procchi-night"
        first.theme = "nord"
        await until(pilot, lambda: "nord" in str(first.remembered._read()))
    assert app().theme == "nord"
    assert app("procchi-day").theme == "procchi-day"


@pytest.mark.parametrize("theme", ["textual-dark", "textual-light", "nord", "ansi-dark"])
async def test_textuals_themes_have_our_colours_too(theme: str) -> None:
    nest = FixedNest([pet("moka")])
    app = ProcchiApp(nest, config=Config(theme=theme), clock=fixed_clock, read_host=fixed_host)
    async with app.run_test(size=(100, 40)) as pilot:
        await seen(pilot, nest)
        assert {"muted", "line", "track"} <= app.get_css_variables().keys()
        await pilot.press("question_mark")


def test_the_words_of_procchi_tui() -> None:
    assert "there is no such theme (there are procchi-night" in str(run("--theme", "x").exception)
    assert "'oil' is not one of" in str(run("--art", "oil").exception)
    assert "draws on a terminal" in str(run("--calm").exception)
    write('theme = "x"\nkeys.pet.hatch = "h"\nfoo = 1')
    shown = run("--print-config")
    assert "# calm = false" in shown.stdout
    assert len(shown.stderr.splitlines()) == 3 and "theme" in shown.stderr
    assert sys.stdin is not None


def test_words_that_exclude_each_other() -> None:
    for words in (("--web", "--plain"), ("--web", "--record", "x"), ("--plain", "--record", "x")):
        refusal = run(*words).exception
        assert isinstance(refusal, UsageError) and "leave out" in str(refusal)


def test_a_page_is_a_screen_also_for_those_who_usually_want_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    served: list[Sequence[str]] = []
    monkeypatch.setattr(web, "serve", lambda options, host, port: served.append(options))
    write("plain = true")
    run("--web", "--calm")
    assert sorted(served[0]) == ["--calm", "--no-plain"]
