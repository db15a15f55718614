"""What is found about one function, question or bug of a student's file."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Finding:
    """`state` is right, wrong, or blank (not written yet). `said` is what is wrong and where; `likely` the mistake; `hints` one by one."""

    name: str
    state: str
    said: list[str] = field(default_factory=list)
    likely: str = ""
    hints: list[str] = field(default_factory=list)
    checked: str = ""  # of what is right: how it is known

    @property
    def right(self) -> bool:
        """Whether there is nothing to say."""
        return self.state == "right"


def listed(words: list[str]) -> str:
    """A and B; A, B and C."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
