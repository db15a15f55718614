"""`lesson grade`: submissions run in processes of their own, and are compared with the library's answers."""

from .judge import Answer, BadResult, Crashed, Missing, Refused, Student, StudentError, TimedOut, Unwritten
from .sandbox import Limits

__all__ = [
    "Answer",
    "BadResult",
    "Crashed",
    "Limits",
    "Missing",
    "Refused",
    "Student",
    "StudentError",
    "TimedOut",
    "Unwritten",
]
