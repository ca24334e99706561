"""What one sitting before the screen shares among its parts."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from engine import Event
from procchi_tui.arrangement import Arrangement
from procchi_tui.carer import Carer
from procchi_tui.config import Config
from procchi_tui.facts import HostFacts, Pulling
from procchi_tui.feed_history import FeedHistory
from procchi_tui.nest_engine import Engine
from procchi_tui.nursery import Nursery
from procchi_tui.table import Table
from procchi_tui.tour import Tour
from procchi_tui.undo import Undos

Clock = Callable[[], datetime]
DIARY_LINES = 500


@dataclass
class Session:
    """Handed to every screen."""

    engine: Engine
    carer: Carer
    clock: Clock
    """The present moment, UTC."""
    feed_history: FeedHistory
    table: Table
    """What is eaten."""
    config: Config = field(default_factory=Config)
    """The settings of this session."""
    nursery: Nursery = field(default_factory=Nursery)
    arrangement: Arrangement = field(default_factory=Arrangement)
    """Which pets are shown, and in which order."""
    marks: frozenset[str] = frozenset()
    """Names of the pets that the verbs are about, where it is not the one in hand."""
    undos: Undos = field(default_factory=Undos)
    diary: deque[Event] = field(default_factory=lambda: deque(maxlen=DIARY_LINES))
    """What happened, oldest first."""
    facts: HostFacts = field(default_factory=lambda: HostFacts({}))
    """What the header says."""
    trouble: str = ""
    """What is wrong for as long as it lasts; empty when all is well."""
    tour: Tour | None = None
    """The first steps, while somebody takes them."""
    pulls: dict[int, Pulling] = field(default_factory=dict)
    """Pulls under way, by their number."""
