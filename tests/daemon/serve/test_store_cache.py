"""What the serving process keeps of the store is dropped in time; closing waits for a thread that looks."""

import threading
from pathlib import Path

from daemon.serve.store_cache import StoreCache
from daemon.store.engine import open_checked
from daemon.store.migrate import migrate
from daemon.store.rows import EngagementRow, Exclusions, SourceFacts, VideoRow
from daemon.store.snapshot import replace
from daemon.store.viewers import Pseudonyms
from models import artefact
from tests.models.made import made_labels, made_model

LABELS = made_labels()
KEY = Pseudonyms(bytes(32))


def store(folder: Path, liked: int, out: Exclusions) -> None:
    with replace(open_checked(folder / "shoal.db"), KEY) as snapshot:
        snapshot.add_videos(VideoRow(LABELS.url[n], LABELS.uuid[n], "t") for n in range(9))
        snapshot.add_engagements([EngagementRow("a", LABELS.url[liked], liked=True)])
        snapshot.describe(SourceFacts("peertube", exclusions=out), now=1.0, participants=1)


async def test_what_another_process_changed_is_read_again(tmp_path: Path) -> None:
    migrate(tmp_path / "shoal.db")
    model = artefact.in_memory(made_model(), LABELS)
    store(tmp_path, 3, Exclusions())
    stored = StoreCache(open_checked(tmp_path / "shoal.db"), history=10)
    await stored.refresh(model)
    assert await stored.history(model, KEY.of("a")) == [3]
    store(tmp_path, 5, Exclusions(videos=frozenset([LABELS.url[7]])))
    assert await stored.history(model, KEY.of("a")) == [3]
    await stored.refresh(model)
    assert await stored.history(model, KEY.of("a")) == [5]
    assert not model.visibility.shown[7]
    assert await stored.history(model, KEY.of("b"), deadline=0.0) == []
    stored.close()


def test_closing_waits_for_a_thread_that_looks(tmp_path: Path) -> None:
    migrate(tmp_path / "shoal.db")
    for _ in range(30):
        stored = StoreCache(open_checked(tmp_path / "shoal.db"), history=10)
        began = threading.Event()

        def look(stored: StoreCache = stored, began: threading.Event = began) -> None:
            for _ in range(200):
                stored._changed()
                began.set()

        thread = threading.Thread(target=look)
        thread.start()
        began.wait(5)
        stored.close()
        thread.join(5)
        assert not thread.is_alive()
