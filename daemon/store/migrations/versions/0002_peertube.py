"""What a PeerTube source adds: owners' wishes, digests of what viewers gave, exclusions, follows."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns with values that mean "unknown" for what is stored already, and three tables."""
    op.add_column("videos", sa.Column("account", sa.String(), nullable=False, server_default=""))
    op.add_column("videos", sa.Column("scope", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("viewers", sa.Column("state", sa.String(), nullable=False, server_default=""))
    op.create_table(
        "source",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("rates", sa.Integer(), nullable=False),
        sa.Column("history", sa.Integer(), nullable=False),
        sa.Column("participants", sa.Integer(), nullable=False),
        sa.Column("synced", sa.Double(), nullable=False),
        sa.Column("checked", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_source")),
    )
    op.create_table(
        "exclusions",
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "value", name=op.f("pk_exclusions")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "followed_hosts",
        sa.Column("host", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("host", name=op.f("pk_followed_hosts")),
        sqlite_with_rowid=False,
    )
