"""The course around the library: its lessons, exercises, grading and long experiments. Nothing below imports it."""
