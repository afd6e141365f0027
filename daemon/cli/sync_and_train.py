"""`shoal sync` and `shoal train`: the two jobs that an instance needs before it can suggest anything."""

from daemon.cli.command import Commands
from daemon.cli.instance import HERE, InstanceOption
from daemon.cli.terminal import count, prose, result

app = Commands()


@app.command()
def sync(instance: InstanceOption = HERE) -> None:
    """Read videos and engagements from the source.

    What was stored before is replaced as a whole.
    """
    outcome = instance.job("sync")
    found = outcome.result

    def show() -> None:
        prose(
            f"Stored {count(found['videos'], 'video')} with {count(found['tags'], 'tag')}, and "
            f"{count(found['engagements'], 'engagement')} of {count(found['viewers'], 'viewer')}, in "
            f"{outcome.seconds:.1f} s."
        )
        if found["skipped"]:
            prose(f"Skipped {count(found['skipped'], 'row')}: duplicates, and videos that are not public.")

    result({**found, "seconds": outcome.seconds}, show)


@app.command()
def train(instance: InstanceOption = HERE) -> None:
    """Train a model from what is stored.

    If it passes the acceptance checks, a running daemon serves it a second later.
    """
    outcome = instance.job("train")
    found = outcome.result

    def show() -> None:
        prose(
            f"Trained the {found['kind']} model {found['model']} on {count(found['videos'], 'video')} in "
            f"{outcome.seconds:.1f} s."
        )
        if "held_out_ndcg10" in found["quality"]:
            prose(
                f"NDCG@10 on held-out engagements of this instance: {found['quality']['held_out_ndcg10']:.3f}"
            )
        if "sum_not_used" in found:
            prose(f"The stored sum was not used: {found['sum_not_used']}.")
        if "own_viewers" in found:
            prose(found["own_viewers"])
        if "vectors" in found:
            prose(f"Vectors for browsers: {found['vectors']}.")

    result({**found, "seconds": outcome.seconds}, show)
