"""Is this gradient right? A hand-written backward pass against slopes measured from its forward pass: where it is wrong, and why."""

from .check import Report, check, check_subject
from .network import ModelReport, check_model
from .shipped import SHIPPED, Shipped

__all__ = ["SHIPPED", "ModelReport", "Report", "Shipped", "check", "check_model", "check_subject"]
