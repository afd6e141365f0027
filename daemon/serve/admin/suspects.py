"""Which sub-cohorts were there when things went wrong; never what one peer gave."""

from __future__ import annotations

from daemon.serve.admin.table import Table

table = Table()
