"""How serious each mood is. The engine says which mood a pet is in, and why."""

from typing import Literal

Tone = Literal["calm", "effort", "alarm", "quiet"]

TONES: dict[str, Tone] = {
    "happy": "calm",
    "full": "calm",
    "busy": "effort",
    "tired": "effort",
    "hungry": "effort",
    "crowded": "effort",
    "queasy": "effort",
    "choking": "alarm",
    "panicked": "alarm",
    "sick": "alarm",
    "asleep": "quiet",
    "ghost": "quiet",
}


def tone(mood: str) -> Tone:
    """The tone of `mood`; one that is new here is calm."""
    return TONES.get(mood, "calm")
