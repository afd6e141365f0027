"""Groups: what a host and its members sign to one another beside the sums themselves. Pure.

`enrolment`: joining and leaving, with both keys of an instance bound to each other. `gathering` and `epoch`:
into which parts the members are divided, drawn by all of them together and fixed for an epoch. `published`:
the sums of the parts, signed by the host.
"""
