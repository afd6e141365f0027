"""Training: which sums are learnt from, the job that trains, acceptance, and the way into service."""
