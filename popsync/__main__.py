"""``python -m popsync`` is the ``popsync`` command."""

from popsync.cli import main

main()
