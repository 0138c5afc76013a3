"""The configuration: what one TOML file and those it includes say, checked to the last key.

Nothing heavy is imported here; ``config.load`` and ``config.model`` bring pydantic-core.
"""
