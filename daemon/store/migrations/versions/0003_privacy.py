"""What was given to whom under which noise, since when videos are public here, and the noise in a sum."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add two tables and a column; sums stored before carry no noise."""
    op.add_column("sums", sa.Column("privacy", sa.JSON(), nullable=False, server_default="{}"))
    op.create_table(
        "video_since",
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("since", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("url", name=op.f("pk_video_since")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "releases",
        sa.Column("window", sa.String(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("aggregator", sa.String(), nullable=False),
        sa.Column("session_id", sa.String(), nullable=False),
        sa.Column("noise", sa.Integer(), nullable=False),
        sa.Column("share_variance", sa.Double(), nullable=False),
        sa.Column("max_videos_per_user", sa.Integer(), nullable=False),
        sa.Column("videos", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("window", "round", name=op.f("pk_releases")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_releases_at"), "releases", ["at"])
