"""Tables of accounts for a configuration."""


def table(name: str, *lines: str, user: str = "") -> str:
    """Give the table of an account that is polled every five minutes."""
    head = [f"[account.{name}]", 'host = "pop.example.org"', f'user = "{user or name}"']
    return "\n".join([*head, 'password = "s3cret"', 'mode = "keep"', *lines, ""])
