"""The ``popsync`` command: what its user types, reads, and gets as an exit code.

A command's module is imported only when that command runs, so ``--version`` and ``--help`` stay
as quick as Python itself. Results go to stdout; logs, questions and progress go to stderr.
"""

from popsync.cli.application import main

__all__ = ["main"]
