"""What one sitting before the screen shares among its parts."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from engine import Event
from procchi_tui.carer import Carer
from procchi_tui.feed_history import FeedHistory
from procchi_tui.nest_engine import Engine
from procchi_tui.nursery import Nursery
from procchi_tui.widgets.host_bar import HostFacts
from procchi_tui.widgets.pulls import Pulling

Clock = Callable[[], datetime]
DIARY_LINES = 200


@dataclass
class Session:
    """Handed to every screen."""

    engine: Engine
    carer: Carer
    clock: Clock
    """The present moment, UTC."""
    feed_history: FeedHistory
    nursery: Nursery = field(default_factory=Nursery)
    diary: deque[Event] = field(default_factory=lambda: deque(maxlen=DIARY_LINES))
    """What happened, oldest first."""
    facts: HostFacts = field(default_factory=lambda: HostFacts({}))
    """What the header says."""
    trouble: str = ""
    """What is wrong for as long as it lasts; empty when all is well."""
    pulls: dict[int, Pulling] = field(default_factory=dict)
    """Pulls under way, by their number."""
