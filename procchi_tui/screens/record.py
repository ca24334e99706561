"""Which of a pet's care logs: that of its hatching, or of one of its last meals."""

from __future__ import annotations

from engine import PastMeal
from procchi_tui.errands import send
from procchi_tui.messages import MealsRead
from procchi_tui.pages.care import Record
from procchi_tui.screens.choice import Choice, ChoiceScreen
from procchi_tui.session import Session


class RecordScreen(ChoiceScreen[Record]):
    """Its hatching can be chosen at once, the meals when the nest has named them."""

    def __init__(self, session: Session, pet: str, now: int | None = None) -> None:
        hatching = Choice(Record(pet), "hatched", "how it was made")
        super().__init__(f"A care log of {pet}", [hatching], Record(pet, now))
        self._engine, self._pet_name = session.engine, pet

    def on_mount(self) -> None:
        """Ask what it was fed."""
        send(self, lambda: MealsRead(self._engine.meals(self._pet_name)))

    def on_meals_read(self, message: MealsRead) -> None:
        """Offer them, newest first."""
        self.offer([self._choice(meal) for meal in reversed(message.meals)])

    def _choice(self, meal: PastMeal) -> Choice[Record]:
        record = Record(self._pet_name, meal.number)
        return Choice(record, f"meal {meal.number}", " ".join(meal.command))
