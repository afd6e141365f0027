"""Small objects that allow or refuse, each with a reason that tells the admin what to do.

A policy looks at a proposal and raises `federation.errors.Refusal`, or returns. They are pure and composable;
which ones apply is decided in one place, by the daemon.
"""

__distribution__ = "shoal"
