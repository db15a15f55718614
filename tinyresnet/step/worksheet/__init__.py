"""Problems on paper from a trace in hand numbers, and a separate key."""

from .write import write_worksheets

__all__ = ["write_worksheets"]
