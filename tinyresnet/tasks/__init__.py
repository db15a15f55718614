"""What a network can be trained to do: one file a task. Training itself (`train.py`) is the same for all."""

from .classify import Classify
from .task import Learned, Task, task_of

__all__ = ["Classify", "Learned", "Task", "task_of"]
