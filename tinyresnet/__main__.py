"""`python -m tinyresnet`: the command line where the installed command is not on the path."""

from .cli import main

if __name__ == "__main__":
    raise SystemExit(main())
