"""Groups: the documents that a host and its members sign beside the sums themselves. Pure.

`enrolment`: joining and leaving, which binds the two keys of an instance to each other. `epoch_opening`,
`epoch_document` and `epoch_rules`: how members are divided into sub-cohorts, drawn by all of them together
and fixed for an epoch. `published`: the sums of the sub-cohorts, signed by the host.
"""
