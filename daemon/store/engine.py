"""Opening the SQLite file: the same settings on every connection, only at the schema of this program.

What is wrong with the file or its disk is told from bugs: reading or writing then fails with a StoreError.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, ExceptionContext, create_engine, event, text

from daemon.config.schema import IDENTITY
from daemon.errors import DatabaseDamagedError, DatabaseMissingError, StoreError
from daemon.identity import fresh_mark
from daemon.process.full_disk import disk_full, has_no_room
from daemon.store.tables import SCHEMA

BUSY_TIMEOUT_MS: Final = 5_000
_DAMAGE: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_TROUBLE: Final = {
    sqlite3.SQLITE_BUSY: (
        "another program keeps shoal.db locked",
        "Try again. If it stays so, see which program has the file open: fuser shoal.db",
    ),
    sqlite3.SQLITE_READONLY: (
        "shoal.db cannot be written",
        "Check who owns the file and its folder, and whether its disk is mounted for writing.",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        "shoal.db cannot be opened",
        "Check that this user may read and write the file and its folder.",
    ),
    sqlite3.SQLITE_IOERR: (
        "the disk fails to read or write shoal.db",
        "Look for errors of the disk: dmesg. Keep data_dir on a local disk.",
    ),
}
"""What went wrong, and what to do, by the code of SQLite."""
_PRIMARY: Final = 0xFF
"""Of an extended error code of SQLite: the bits with what happened."""
TRUNCATE_SECONDS: Final = 30.0
_AFTERWARDS: Final = "afterwards"


def connect(path: Path) -> Engine:
    """Return an engine on the file, which is created where it does not exist.

    WAL lets the server read while a job writes; synchronous NORMAL cannot corrupt the file, a power cut may
    only lose the latest commits; secure_delete overwrites what a withdrawn viewer left behind.
    """
    engine = create_engine(f"sqlite:///{path}", connect_args={"check_same_thread": False})

    opened: list[tuple[int, int] | None] = []

    def require_same_file() -> None:
        # A new connection would make a new file, and what is written into one without a name is lost.
        if opened and opened[0] != _file(path):
            raise _absent(path)

    @event.listens_for(engine, "do_connect")
    def check(*_arguments: Any) -> None:
        require_same_file()

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _record: Any) -> None:
        # The driver would commit before some statements; SQLAlchemy's BEGIN below has to be the only one.
        connection.isolation_level = None
        with explained(path):
            for pragma in (
                f"busy_timeout = {BUSY_TIMEOUT_MS}",
                "journal_mode = WAL",
                "synchronous = NORMAL",
                "foreign_keys = ON",
                "secure_delete = ON",
                "temp_store = MEMORY",
            ):
                connection.execute(f"PRAGMA {pragma}")
        if not opened:
            opened.append(_file(path))

    @event.listens_for(engine, "handle_error")
    def explain(context: ExceptionContext) -> None:
        error = context.original_exception
        if (told := trouble(error, path)) is not None:
            raise told from error

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        # Taking the write lock at once turns a deadlock between two writers into a wait.
        writing = connection.get_execution_options().get("writes")
        if writing:
            require_same_file()
        connection.exec_driver_sql(f"BEGIN {'IMMEDIATE' if writing else 'DEFERRED'}")

    return engine


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Run a block that uses SQLite itself; what is wrong with the file or its disk is a StoreError."""
    try:
        yield
    except sqlite3.Error as error:
        if (told := trouble(error, path)) is not None:
            raise told from error
        raise


def is_damage(error: BaseException | None) -> bool:
    """Tell whether SQLite says that the file itself is damaged, or is no database at all."""
    return _code(error) in _DAMAGE


def damaged() -> StoreError:
    """Return what to say of a database that is damaged."""
    return DatabaseDamagedError(
        "shoal.db is damaged",
        advice="Stop the daemon and restore a backup: shoal restore FILE. Without one, start it again (shoal "
        "run): it keeps the damaged file aside for a week and begins a new one, with every peer paused.",
    )


def trouble(error: BaseException | None, path: Path) -> StoreError | None:
    """Return what an error of SQLite says of the file at `path` or its disk; None where it is a bug."""
    if is_damage(error):
        return damaged()
    code = _code(error)
    # A log or an index that cannot grow is told by one of the others.
    if code == sqlite3.SQLITE_FULL or (code in _TROUBLE and has_no_room(path.parent)):
        return disk_full()
    if code not in _TROUBLE:
        return None
    message, advice = _TROUBLE[code]
    return StoreError(message, advice=advice)


def _code(error: BaseException | None) -> int:
    code = getattr(error, "sqlite_errorcode", None)
    return code & _PRIMARY if isinstance(code, int) else 0


@contextmanager
def writes(engine: Engine) -> Iterator[Connection]:
    """Run a block in a transaction that takes the write lock at its start and commits at its end."""
    with engine.connect() as connection:
        connection.execution_options(writes=True)
        afterwards: dict[str, Callable[[], None]] = {}
        connection.info[_AFTERWARDS] = afterwards
        with connection.begin():
            yield connection
    for work in afterwards.values():
        work()


def after_commit(connection: Connection, name: str, work: Callable[[], None]) -> None:
    """Do something once the transaction of `writes` stands; once for each name."""
    connection.info[_AFTERWARDS][name] = work


@contextmanager
def reads(engine: Engine) -> Iterator[Connection]:
    """Run a block on one consistent snapshot of the database."""
    with engine.connect() as connection:
        yield connection


@contextmanager
def emptying(connection: Connection) -> Iterator[None]:
    """Run a block in a writing transaction in which whole tables can be emptied at once.

    Only where no foreign key is looked after does SQLite drop, and with `secure_delete` overwrite, all pages
    of a table instead of taking out row by row. The connection must be invalidated afterwards.
    """
    driver = connection.connection.driver_connection
    if driver is None or connection.in_transaction():
        raise ValueError("the connection must be open, and outside of a transaction")
    # Inside a transaction, which SQLAlchemy would begin, this would have no effect.
    driver.execute("PRAGMA foreign_keys = OFF")
    connection.execution_options(writes=True)
    with connection.begin():
        yield


def truncate_wal(engine: Engine, *, patience: float = TRUNCATE_SECONDS) -> bool:
    """Move everything into the main file and empty the log, in which deleted rows would live on.

    Returns whether it was done: a reader that stays longer than `patience` seconds keeps the log.
    """
    deadline = time.monotonic() + patience
    while True:
        with engine.connect() as connection:
            row = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
        if row[0] == 0:
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)


def schema_version(engine: Engine) -> str | None:
    """Return the migration that the file is at, None for an empty file.

    Raises:
        StoreError: the file is not a database of Shoal.
    """
    with engine.connect() as connection:
        tables = set(connection.execute(text("SELECT name FROM sqlite_master")).scalars())
        if "alembic_version" not in tables:
            if tables:
                raise StoreError(
                    "shoal.db belongs to another program",
                    advice="Set data_dir to a folder of its own.",
                )
            return None
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def open_checked(path: Path) -> Engine:
    """Open a database that is at exactly the schema of this program.

    Raises:
        StoreError: it is missing, older (needs migration) or newer (needs a newer program).
    """
    if not path.exists() or not path.stat().st_size:
        raise _absent(path)
    engine = connect(path)
    version = schema_version(engine)
    if version == SCHEMA:
        return engine
    engine.dispose()
    refuse_newer(version)
    raise StoreError(
        f"the database is at schema {version or 'none'}, this program needs {SCHEMA}",
        advice="Run `shoal run` or `shoal sync`; both migrate it first.",
    )


def _file(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from another of its name; None where there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _absent(path: Path) -> StoreError:
    key = path.with_name(IDENTITY)
    if not key.exists() or fresh_mark(key).exists():
        return DatabaseMissingError(
            "there is no database yet", advice="Start the daemon, which makes it: shoal run"
        )
    found = "shoal.db is missing"
    if path.exists():
        found = "shoal.db was replaced by another file" if path.stat().st_size else "shoal.db is empty"
    return DatabaseMissingError(
        found,
        advice="Stop the daemon and restore a backup: shoal restore FILE. Without one, start it again (shoal "
        "run): it begins a new one, with every peer paused.",
    )


def refuse_newer(version: str | None) -> None:
    """Raise StoreError when a newer program has written the database; its data could be misread."""
    if version is not None and version > SCHEMA:
        raise StoreError(
            f"the database was written by a newer Shoal (schema {version}, this program knows {SCHEMA})",
            advice="Install that version again, or restore the backup from before the upgrade.",
        )
