"""One viewer's own history, for answers that the viewer asks for."""

from typing import Any

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


def known(engine: Engine, pseudonym: bytes) -> list[dict[str, Any]]:
    """Return everything stored of a viewer: uuid, url, liked, disliked, watched, at; newest first."""
    columns = (
        Video.uuid,
        Video.url,
        Engagement.liked,
        Engagement.disliked,
        Engagement.watched,
        Engagement.at,
    )
    query = (
        select(*columns)
        .join(Engagement, Engagement.video_id == Video.id)
        .join(Viewer, Viewer.id == Engagement.viewer_id)
        .where(Viewer.pseudonym == pseudonym)
        .order_by(desc(Engagement.at), Video.url)
    )
    with reads(engine) as connection:
        return [dict(row) for row in connection.execute(query).mappings()]
