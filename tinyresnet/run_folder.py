"""A training run on disk: last.safetensors (all that resuming needs), best.safetensors (weights alone), log.jsonl, curves.png."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .errors import InputError
from .files import write
from .layers import Dropout, Layer
from .optim import Optimiser
from .weights import Header, read_arrays, write_arrays

Record = dict[str, Any]


@dataclass
class Progress:
    """How far a run is: everything that the next step depends on beside weights and optimiser state."""

    step: int = 0
    sums: dict[str, float] = field(default_factory=dict)  # of each figure, over the pictures of the epoch so far
    count: int = 0  # of these pictures
    best: float = -1.0  # the task's figure of the best weights
    blas_threads: int = 0  # sums depend on it to the last bit
    rng_states: dict[str, Any] = field(default_factory=dict)  # of the dropout layers, by path

    def add(self, figures: Mapping[str, float], count: int) -> None:
        """Take in a batch's figures, each a mean over `count` pictures."""
        self.count += count
        for name, value in figures.items():
            self.sums[name] = self.sums.get(name, 0.0) + value * count

    def means(self) -> dict[str, float]:
        """Each figure's mean over the epoch's pictures; the sums start again from nothing."""
        means = {name: total / self.count for name, total in self.sums.items()}
        self.sums, self.count = {}, 0
        return means


class RunFolder:
    """The files of one run. Every file is replaced as a whole, so a kill at any moment leaves the last good one."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.last, self.best = self.path / "last.safetensors", self.path / "best.safetensors"
        self.log, self.curves = self.path / "log.jsonl", self.path / "curves.png"

    @property
    def started(self) -> bool:
        """Whether a run lives here."""
        return self.last.exists()

    def save(self, model: Layer, optimiser: Optimiser, progress: Progress, header: Header) -> None:
        """Write the checkpoint. Raises InputError if the disk is full or the folder unwritable; the old one then stays."""
        progress.rng_states = rng_states(model)
        arrays = {f"model.{name}": array for name, array in model.state_dict().items()}
        arrays |= {f"optimiser.{name}": array for name, array in optimiser.state_dict().items()}
        extra = {**header.extra, "progress": asdict(progress)}
        write_arrays(self.last, arrays, Header(**{**vars(header), "extra": extra}))

    def restore(self, model: Layer, optimiser: Optimiser) -> Progress:
        """Load the checkpoint into model and optimiser, and cut the log back to its step. Raises InputError if it does not fit."""
        arrays, header = read_arrays(self.last)
        try:
            progress = Progress(**header.extra["progress"])
            model.load_state_dict(_below("model.", arrays))
            optimiser.load_state_dict(_below("optimiser.", arrays))
            set_rng_states(model, progress.rng_states)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{self.last}: not a checkpoint of this run: {error}") from error
        kept = [record for record in self.records() if record["step"] <= progress.step]
        write(self.log, lambda file: file.writelines(json.dumps(record) + "\n" for record in kept))
        return progress

    def append(self, record: Record) -> None:
        """Add one line to the log."""
        with self.log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def records(self) -> list[Record]:
        """The log's records; a last line that a kill cut off is left out."""
        if not self.log.exists():
            return []
        lines = self.log.read_text(encoding="utf-8").splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]


def rng_states(model: Layer) -> dict[str, Any]:
    """The state of every dropout layer's random generator, by path."""
    return {path: layer.rng.bit_generator.state for path, layer in model.named_layers() if isinstance(layer, Dropout)}


def set_rng_states(model: Layer, states: Mapping[str, Any]) -> None:
    """Set every dropout layer's random generator back to a state from `rng_states`."""
    for path, layer in model.named_layers():
        if isinstance(layer, Dropout):
            layer.rng.bit_generator.state = states[path]


def _below(prefix: str, arrays: Mapping[str, Any]) -> dict[str, Any]:
    """The arrays whose names start with the prefix, without it."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
