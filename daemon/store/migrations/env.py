"""Alembic's entry: works on the connection that `daemon.store.migrate` hands over."""

from alembic import context

from daemon.store.tables import Base

connection = context.config.attributes["connection"]
# SQLite cannot alter most things in place: alembic copies the table instead.
context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
