"""The stepper in a terminal: key by key, or plainly printed."""
