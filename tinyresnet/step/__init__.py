"""The stepper: one trace of a network, walked through in a terminal, on a page, or in a notebook."""
