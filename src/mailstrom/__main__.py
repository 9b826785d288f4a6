"""`python -m mailstrom` and the command `mailstrom`."""

from __future__ import annotations

import sys


def main() -> None:
    """Runs the command line of this process and ends it with the exit code."""
    try:
        from .cli.main import run_command_line

        code = run_command_line(sys.argv[1:])
    except KeyboardInterrupt:  # while this was imported
        code = 130
    sys.exit(code)


if __name__ == "__main__":
    main()
