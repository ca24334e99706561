"""One pet seen through: its portrait, and a page for each thing that there is to see."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.widget import Widget
from textual.widgets import ContentSwitcher, Input, Static, Tab, Tabs

from engine import Pet
from procchi_tui.bindings import keys
from procchi_tui.errands import send
from procchi_tui.messages import PageRead
from procchi_tui.nursery import News
from procchi_tui.pages import KEYS, PAGES
from procchi_tui.pages.care import Care, Record
from procchi_tui.pages.page import Block, Page, Sight
from procchi_tui.screens.care import CareScreen
from procchi_tui.screens.choice import Choice, ChoiceScreen
from procchi_tui.screens.record import RecordScreen
from procchi_tui.session import Session
from procchi_tui.widgets.feed_panel import FeedPanel
from procchi_tui.widgets.panel import FoldingPanel, Panel, holding, search_prompt
from procchi_tui.widgets.portrait import Portrait

READ_SECONDS = 1.0
FIRST = next(iter(PAGES))
NOBODY = Choice("", "nobody", "show it alone again")


class LookScreen(CareScreen):
    """A portrait, and the pages about the pet; the one in front is read again and again."""

    CSS_PATH = "look.tcss"
    AUTO_FOCUS = f"#{FIRST}"
    BINDINGS: ClassVar[list[BindingType]] = keys("look.*")
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]  # noqa: RUF012 (as in the app)
    PARTS: ClassVar[tuple[type[Widget], ...]] = (*CareScreen.PARTS, Portrait, Panel)
    HELP = (
        "One pet up close, as an X-ray: its walls, processes, files and limits are read from the "
        "kernel while you look, and each page says where its lines stand."
    )

    def __init__(self, session: Session, name: str) -> None:
        super().__init__(session)
        self._pet_name = name
        self._pages = dict(PAGES)
        self._seen: dict[Page, Any] = {}
        self._unread: dict[Page, str] = {}
        self._reading: set[Page] = set()

    def view(self) -> Iterable[Widget]:
        """The portrait beside the pages."""
        yield Horizontal(
            Portrait(self.session.nursery, self.session.clock, self._pet_name),
            _Pages(),
            id="look",
        )

    def on_mount(self) -> None:
        """Show what is known, and read the rest."""
        self._show_page()
        self._read_page()
        self.set_interval(READ_SECONDS, self._read_page)

    def pet(self) -> Pet | None:
        """The one looked at."""
        return self.session.nursery.pets.get(self._pet_name)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Looking is what this screen does already."""
        if action in ("fold", "record", "compare"):
            return isinstance(self.page, Care)
        return False if action == "look" else super().check_action(action, parameters)

    def news(self, news: News, *, moved: bool) -> None:
        """Show how the pet is now; go back when it was released."""
        if self._pet_name in news.gone or self.pet() is None:
            self._leave_if_gone()
        elif self._pet_name in news.pets or self._pet_name in news.readings or news.events:
            self._show_page()
            self.offer_verbs()

    def on_screen_resume(self) -> None:
        """The pet may have been released under a dialogue."""
        self._leave_if_gone()

    def _leave_if_gone(self) -> None:
        if self.pet() is None and self.app.screen is self:
            self.dismiss()

    def beat(self, *, moving: bool) -> None:
        """Draw the portrait."""
        self.query_one(Portrait).beat(moving=moving)

    # -- getting about

    @property
    def page(self) -> Page:
        """The one in front."""
        return self._pages[self.query_one(ContentSwitcher).current or FIRST]

    def action_back(self) -> None:
        """To the nest; from a search, out of it first."""
        search = self.query_one("#search", Input)
        if search.display:
            search.value = ""
            search.display = False
            self.query_one(f"#{self.page.id}").focus()
            self._show_page()
        else:
            self.dismiss()

    def action_page(self, page: str) -> None:
        """Show a page."""
        self.query_one(Tabs).active = f"tab-{page}"

    def action_turn(self, step: int) -> None:
        """Show the page beside this one."""
        pages = list(PAGES)
        self.action_page(pages[(pages.index(self.page.id) + step) % len(pages)])

    def action_search(self) -> None:
        """Ask for what the lines shall hold."""
        search = self.query_one("#search", Input)
        search.display = True
        self.set_focus(search)

    def action_fold(self) -> None:
        """Close all steps, or open them."""
        panel = self.query_one(f"#{self.page.id}")
        if isinstance(panel, FoldingPanel):
            panel.fold(closed=not panel.folded)

    def action_record(self) -> None:
        """Ask what its care log shall be of."""
        care = self.page
        assert isinstance(care, Care)

        def answered(record: Record | None) -> None:
            if record is not None:
                self._keep_to(Care(record.meal, care.beside))

        self.app.push_screen(RecordScreen(self.session, self._pet_name, care.meal), answered)

    def action_compare(self) -> None:
        """Ask which other care log it shall be held against: whose, and then which of those."""
        care = self.page
        assert isinstance(care, Care)

        def answered(record: Record | None) -> None:
            if record is not None:
                self._keep_to(Care(care.meal, record))

        def whose(name: str | None) -> None:
            if name == NOBODY.value:
                self._keep_to(Care(care.meal))
            elif name is not None:
                self.app.push_screen(RecordScreen(self.session, name), answered)

        names = sorted(self.session.nursery.pets, key=lambda name: name != self._pet_name)
        choices = [Choice(name, name, self.session.nursery.pets[name].egg) for name in names]
        choices[0] = choices[0]._replace(about="another of its own")
        if care.beside is not None:
            choices.insert(0, NOBODY)
        self.app.push_screen(ChoiceScreen("Compare with a care log of", choices), whose)

    def _keep_to(self, page: Page) -> None:
        """Read and show that page in the place of the one with its id."""
        self._pages[page.id] = page
        self._show_page()
        self._read_page()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Show what holds it so far."""
        if event.input.id == "search":
            self._show_page()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Back to the lines that were found."""
        if event.input.id == "search":
            self.query_one(f"#{self.page.id}").focus()

    def on_tabs_tab_activated(self, event: Tabs.TabActivated) -> None:
        """Bring the page of that tab to the front."""
        page = (event.tab.id or f"tab-{FIRST}").removeprefix("tab-")
        self.query_one(ContentSwitcher).current = page
        if not self.query_one(FeedPanel).display:
            self.query_one(f"#{page}").focus()
        self.refresh_bindings()
        self._show_page()
        self._read_page()

    def on_feed_panel_left(self, message: FeedPanel.Left) -> None:
        """Back to the page."""
        self.query_one(f"#{self.page.id}").focus()

    # -- reading and showing

    def _read_page(self) -> None:
        pet, page, engine = self.pet(), self.page, self.session.engine
        if pet is None or self.app.screen is not self or page in self._reading:
            return
        if pet.pid is None and not page.of_ghosts:
            return

        def read() -> PageRead:
            try:
                return PageRead(page, page.read(engine, pet.name))
            except Exception as error:  # or the page would be read no more
                return PageRead(page, None, str(error) or type(error).__name__)

        self._reading.add(page)  # a nest that hangs is asked once
        send(self, read)

    def on_page_read(self, message: PageRead) -> None:
        """Keep it, and show it if it is in front."""
        self._reading.discard(message.page)
        if message.trouble:
            self._unread[message.page] = message.trouble
        else:
            self._unread.pop(message.page, None)
            self._seen[message.page] = message.seen
        if message.page is self.page:
            self._show_page()

    def _show_page(self) -> None:
        pet = self.pet()
        if pet is None:
            return
        panel = self.query_one(f"#{self.page.id}")
        assert isinstance(panel, Panel | FoldingPanel)
        wanted = self.query_one("#search", Input).value
        panel.show(holding(self._blocks(pet), wanted))

    def _blocks(self, pet: Pet) -> list[Block]:
        page = self.page
        if pet.pid is None and not page.of_ghosts:
            return [Block("a ghost", "has none of this any more: its process has ended.", [])]
        trouble = self._unread.get(page)
        blocks = [Block("cannot be read now", trouble, [])] if trouble else []
        if page not in self._seen and page.id != FIRST:
            return blocks or [Block("", "reading…", [])]
        nursery = self.session.nursery
        sight = Sight(
            pet=pet,
            readings=nursery.readings.get(pet.name),
            history=nursery.history(pet.name),
            events=[event for event in self.session.diary if event.pet == pet.name],
            now=self.session.clock(),
            eaten=partial(self.session.table.tail, pet.name),
        )
        return [*blocks, *page.blocks(self._seen.get(page), sight)]


class _More(Static):
    """How many tabs are out of sight on one side, over the line below them."""

    def __init__(self, step: int) -> None:
        super().__init__(markup=False, id="after" if step > 0 else "before")
        self._step = step
        self.display = False

    def tell(self, hidden: int) -> None:
        """Show it, if there are any."""
        self.display = hidden > 0
        self.update(f"{hidden} more ›" if self._step > 0 else f"‹ {hidden} more")

    async def on_click(self) -> None:
        """To the page beside this one."""
        await self.screen.run_action(f"turn({self._step})")


class _Pages(Widget):
    """The tabs, and under them the page in front."""

    def compose(self) -> ComposeResult:
        tabs = Tabs(
            *(Tab(f"{KEYS[page.id]} {page.title}", id=f"tab-{page.id}") for page in PAGES.values())
        )
        tabs.can_focus = False
        yield tabs
        yield _More(-1)
        yield _More(1)
        yield search_prompt("search this page")
        with ContentSwitcher(initial=FIRST):
            for page in PAGES.values():
                if page.folds:
                    yield FoldingPanel(page.id)
                else:
                    yield Panel(page.id, follows=page.follows)

    def on_mount(self) -> None:
        """Tell of the tabs that are out of sight, wherever the others were moved to."""
        self.watch(self.query_one("#tabs-scroll"), "scroll_x", self._tell_of_more)

    def on_resize(self) -> None:
        """There is another number of them."""
        self.call_after_refresh(self._tell_of_more)

    def _tell_of_more(self) -> None:
        row = self.query_one("#tabs-scroll")
        start, end = row.scroll_offset.x, row.scroll_offset.x + row.size.width
        words = [tab.virtual_region.shrink(tab.styles.gutter) for tab in self.query(Tab)]
        self.query_one("#before", _More).tell(sum(word.x < start for word in words))
        self.query_one("#after", _More).tell(sum(word.right > end for word in words))
