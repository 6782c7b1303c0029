"""Where a secret is read from: an environment variable or a file, never the configuration itself.

The value lives in a ``SecretStr``: it does not show in logs, errors or reprs.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, SecretStr, model_validator

from monitor.core.errors import ConfigError


class SecretSource(BaseModel):
    """Exactly one of ``env`` (name of a variable) and ``file`` (path)."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    env: str | None = None
    file: Path | None = None

    @model_validator(mode="after")
    def _check_one(self) -> SecretSource:
        if (self.env is None) == (self.file is None):
            raise ValueError("give either env or file")
        return self

    def read(self, environment: Mapping[str, str], *, what: str) -> SecretStr:
        """The secret, without surrounding blanks.

        Args:
            environment: The process's environment.
            what: What it is for, for the error text ("webhook ops").

        Raises:
            ConfigError: If the variable or file is missing or empty.
        """
        if self.env is not None:
            text = environment.get(self.env, "").strip()
            where = f"the environment variable {self.env}"
        else:
            where = f"the file {self.file}"
            try:
                text = (self.file or Path()).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigError(
                    f"The secret of {what} cannot be read from {where} "
                    f"({getattr(error, 'strerror', None) or 'not text'}). "
                    "Make the file readable for the user that runs riskd."
                ) from None
        if not text:
            raise ConfigError(f"The secret of {what} is missing: put it into {where}.")
        return SecretStr(text)
