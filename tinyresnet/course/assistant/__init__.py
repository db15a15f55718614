"""`lesson check`: what a good teaching assistant says of a student's file. Never the answer."""

from .file import Review, review

__all__ = ["Review", "review"]
