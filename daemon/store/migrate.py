"""Brings the database to the newest schema, in a process of its own: the serving one never loads alembic."""

import logging
from pathlib import Path

from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.util.exc import CommandError

from daemon.errors import StoreError
from daemon.store.engine import connect, refuse_newer, schema_version
from daemon.store.tables import SCHEMA


def migrate(path: Path) -> tuple[str | None, str]:
    """Apply the missing migrations, each in one transaction; returns the schema before and after.

    Raises:
        StoreError: the file is no database of Shoal, or newer than this program.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    engine = connect(path)
    try:
        before = schema_version(engine)
        refuse_newer(before)
        if before == SCHEMA:
            return before, SCHEMA
        logging.getLogger("alembic").setLevel(logging.WARNING)
        config = AlembicConfig()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        config.set_main_option("path_separator", "os")
        with engine.execution_options(writes=True).begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, SCHEMA)
    except CommandError as error:
        raise StoreError(
            f"the database is at an unknown schema ({error})", advice="Restore the newest backup."
        ) from error
    finally:
        engine.dispose()
    path.chmod(0o600)
    return before, SCHEMA
