"""Numbers as the stepper prints them in a terminal: signed in cells, in brackets as negative factors, never wider than asked."""

from __future__ import annotations

import re

EXPONENT = re.compile(r"e([+-])0*(\d)")


def signed(value: float, digits: int = 6) -> str:
    """ "+0.75", "-0.125", "0", "+1.5e-7": read back by float() to `digits` digits."""
    return _plus(value) + plain(value, digits)


def plain(value: float, digits: int = 6) -> str:
    """The same without a plus."""
    return "0" if value == 0 else _short(f"{value:.{digits}g}")


def bracketed(value: float, digits: int = 6) -> str:
    """As a further factor in a product: 0.25, (-0.5)."""
    text = plain(value, digits)
    return f"({text})" if text.startswith("-") else text


def fitted(value: float, *, width: int = 7, sign: bool = True) -> str:
    """At most `width` characters (of 7 or more), with as many of 4 digits as they hold."""
    plus = _plus(value) if sign else ""
    forms = (form for digits in (4, 3, 2, 1) for form in (plain(value, digits), _short(f"{value:.{digits - 1}e}")))
    return next((plus + form for form in forms if len(plus + form) <= width), plain(value, 1))


def _plus(value: float) -> str:
    return "+" if value > 0 else ""


def _short(text: str) -> str:
    """Without what an exponent can do without: 1e-05 is 1e-5."""
    return EXPONENT.sub(lambda found: f"e{found[1].replace('+', '')}{found[2]}", text)
