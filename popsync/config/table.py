"""What all tables of the configuration have in common."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

TlsMode = Literal["implicit", "starttls", "none"]


class Table(BaseModel):
    """A table of the file: nothing unknown in it, nothing guessed from another type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
