"""`python -m mailstrom` and the command `mailstrom`."""

from __future__ import annotations

import sys


def main() -> None:
    """Runs the command line of this process and ends it with the exit code."""
    from .cli.main import run_command_line

    sys.exit(run_command_line(sys.argv[1:]))


if __name__ == "__main__":
    main()
