"""The daemon beside an instance: the only package that wires models, federation and policies together."""

from daemon.own_packages import require_own_packages

__distribution__ = "shoal"

require_own_packages()
