"""What runs in the student's process: the standard library and NumPy alone. `wire` is what both sides speak."""
