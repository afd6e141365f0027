"""The first schema: the tables as the program has them.

Nothing is released yet, so there is nothing to migrate from. The first release writes these tables out here,
and every later schema is a migration of its own.
"""

from alembic import op

from daemon.store.tables import Base

revision = "0002"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create every table."""
    Base.metadata.create_all(op.get_bind())
