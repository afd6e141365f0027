"""Checks of what is kept in `data_dir`: the database, whole and of this program, and the key file."""

from __future__ import annotations

from sqlalchemy.exc import SQLAlchemyError

from daemon.config import Config
from daemon.doctor.check import Result, failure, ok, sentence, unchecked
from daemon.doctor.machine import size
from daemon.errors import StoreError
from daemon.identity import fresh_mark, open_identity
from daemon.store import loss
from daemon.store.engine import damaged, open_checked


def database(config: Config, *, thorough: bool = False) -> Result:
    """Check the database; with `thorough`, every page of it."""
    path = config.database
    new = fresh_mark(config.identity_file).exists() or not config.identity_file.exists()
    if not path.exists() and new:
        return unchecked("database", "There is no database yet.", "The first start makes it: shoal run")
    try:
        if loss.find(config, thorough=thorough) == "damaged":
            raise damaged()
        open_checked(path).dispose()
    except StoreError as error:
        return failure("database", sentence(error.message), error.advice)
    except (OSError, SQLAlchemyError) as error:
        return failure(
            "database",
            f"shoal.db cannot be opened ({type(error).__name__}).",
            "Check that this user may read and write it.",
        )
    checked = ", every page of it read" if thorough else ""
    return ok("database", f"shoal.db is whole ({size(path.stat().st_size)}{checked}).")


def identity(config: Config) -> Result:
    """Check the file with the private key."""
    try:
        open_identity(config.identity_file, config.instance.host, create=False)
    except StoreError as error:
        return failure("key file", sentence(error.message), error.advice)
    except OSError as error:
        return failure(
            "key file",
            f"identity.key cannot be read ({type(error).__name__}).",
            "Run this command as the user that the daemon runs as.",
        )
    return ok("key file", "identity.key is there, and only its owner can read it.")
