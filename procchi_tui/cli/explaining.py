"""How a pet was built, or a meal begun: each step as it was really made."""

from __future__ import annotations

from collections.abc import Sequence

import engine


def explain(steps: Sequence[engine.StepReport], *, stderr: bool = False) -> None:
    """Print the care log: each step, why it is done, and the system calls that it made."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, stderr=stderr)
    for number, step in enumerate(steps, 1):
        title = Text.assemble(
            f"{number:2} ", (step.name, "bold"), f"  {step.usec:.0f} µs  ", (step.why, "dim")
        )
        console.print(title, soft_wrap=True)
        for call in step.calls:
            line = Text(f"      {call}", "cyan")
            console.print(line.append(f"  {call.usec:.0f} µs", "dim"), soft_wrap=True)
