"""Peers as the admin decided on them, the ledger, traffic, sub-cohorts, reverts, and verdicts on sums."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add tables and columns; sums from before were served, so they count as accepted."""
    op.add_column("releases", sa.Column("vector_sha256", sa.String(), nullable=False, server_default=""))
    op.add_column("releases", sa.Column("bytes", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("sums", sa.Column("batch", sa.String(), nullable=False, server_default=""))
    op.add_column("sums", sa.Column("subcohort", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("sums", sa.Column("verdict", sa.String(), nullable=False, server_default="accepted"))
    op.add_column("sums", sa.Column("report", sa.JSON(), nullable=False, server_default="{}"))
    op.execute("UPDATE sums SET batch = session_id")
    op.create_index(op.f("ix_sums_batch"), "sums", ["batch"])
    op.add_column("models", sa.Column("survivors", sa.JSON(), nullable=False, server_default="[]"))
    op.add_column("models", sa.Column("report", sa.JSON(), nullable=False, server_default="{}"))
    op.execute(
        "UPDATE models SET survivors = (SELECT survivors FROM sessions WHERE id = models.session_id) "
        "WHERE session_id IN (SELECT id FROM sessions)"
    )
    op.create_table(
        "peers",
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("theirs", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("bound", sa.Boolean(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("max_users", sa.Integer(), nullable=True),
        sa.Column("users", sa.Integer(), nullable=True),
        sa.Column("since", sa.Double(), nullable=False),
        sa.Column("seen", sa.Double(), nullable=True),
        sa.Column("checked", sa.Double(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("retry_at", sa.Double(), nullable=True),
        sa.Column("said", sa.Double(), nullable=True),
        sa.Column("next_key", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("host", name=op.f("pk_peers")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "ledger",
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("previous", sa.LargeBinary(32), nullable=False),
        sa.Column("hash", sa.LargeBinary(32), nullable=False),
        sa.Column("signature", sa.LargeBinary(64), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_ledger")),
    )
    op.create_index(op.f("ix_ledger_kind"), "ledger", ["kind"])
    op.create_table(
        "traffic",
        sa.Column("month", sa.String(), nullable=False),
        sa.Column("peer", sa.String(), nullable=False),
        sa.Column("sent", sa.Integer(), nullable=False),
        sa.Column("received", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("month", "peer", name=op.f("pk_traffic")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "subcohorts",
        sa.Column("epoch", sa.Double(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("epoch", "host", name=op.f("pk_subcohorts")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "reverts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("report", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reverts")),
    )
