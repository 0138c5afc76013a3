"""One module per command; each holds ``command``, and is imported when that command runs."""
