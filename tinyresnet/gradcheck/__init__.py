"""Is this gradient right? A hand-written backward pass against slopes measured from its forward pass."""

from .directional import Comparison, compare_gradients
from .shipped import SHIPPED, Shipped

__all__ = ["SHIPPED", "Comparison", "Shipped", "compare_gradients"]
