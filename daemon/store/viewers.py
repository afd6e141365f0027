"""One viewer's own history, for answers that the viewer asks for."""

from sqlalchemy import Engine, desc, select

from daemon.store.engine import reads
from daemon.store.tables import Engagement, Video, Viewer


def history(engine: Engine, pseudonym: bytes, *, limit: int, watched_threshold: float = 0.5) -> list[str]:
    """Return the urls a viewer liked or half watched, newest first; a dislike takes a video out."""
    query = (
        select(Video.url)
        .join(Engagement, Engagement.video_id == Video.id)
        .join(Viewer, Viewer.id == Engagement.viewer_id)
        .where(
            Viewer.pseudonym == pseudonym,
            Engagement.disliked.is_(False),
            Engagement.liked | (Engagement.watched >= watched_threshold),
        )
        .order_by(desc(Engagement.at), Video.url)
        .limit(limit)
    )
    with reads(engine) as connection:
        return list(connection.execute(query).scalars())
