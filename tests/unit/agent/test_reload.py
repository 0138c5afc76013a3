"""Every way in which people, editors and programs change a configuration, on real files."""

import asyncio
import errno
import shutil
import subprocess
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from watchdog.events import FileModifiedEvent, FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver, ObservedWatch

from popsync.agent.reload import ConfigWatcher, _Waker
from popsync.agent.watched_files import WatchedFiles

NEVER_S = 3600.0
PATIENCE_S = 20.0  # a loaded machine is slow without being wrong


class ObservableWatcher(ConfigWatcher):
    """Looks when it is told to, and lets things happen between two looks."""

    def __init__(self, watched: Callable[[], WatchedFiles], **options: Any) -> None:
        super().__init__(watched, **options)
        self._looked = asyncio.Condition()
        self._looks = 0

    async def _look(self) -> bool:
        async with self._looked:
            try:
                return await super()._look()
            finally:
                self._looks += 1
                self._looked.notify_all()

    async def look_again(self, before: Callable[[], object] = lambda: None) -> None:
        """Return after a look that began after ``before``, which no look sees in the middle."""
        async with self._looked:
            looks = self._looks
            before()
            self._wake.set()
            await self._looked.wait_for(lambda: self._looks > looks)

    async def settle(self) -> None:
        """Return when nothing but an event can cause the next look."""
        await self.look_again()
        await self.look_again()  # the first may have found other directories to watch

    async def let_happen(self, change: Callable[[], object]) -> None:
        """Call ``change`` while there is no look."""
        async with self._looked:
            change()

    def end_emitters(self) -> None:
        """End the threads that read events, as removing a directory does."""
        assert self._watch is not None
        assert self._watch._observer is not None
        for emitter in list(self._watch._observer.emitters):
            emitter.stop()
            emitter.join()


class Daemon:
    """What is to hear of changes; reads the files as it would."""

    def __init__(self, watcher: ObservableWatcher, read: Callable[[], str]) -> None:
        self.watcher = watcher
        self.read = read
        self.seen: list[str] = []
        self.heard = asyncio.Event()

    async def listen(self) -> None:
        """Note what the files say at each change."""
        async for _ in self.watcher.changes():
            self.seen.append(self.read())
            self.heard.set()

    async def hears_once(self, change: Callable[[], object], content: str) -> None:
        """Let ``change`` happen: an event brings one report, when the files say ``content``."""
        async with asyncio.timeout(PATIENCE_S):
            await self.watcher.settle()
            self.seen.clear()
            self.heard.clear()
            await self.watcher.let_happen(change)
            await self.heard.wait()
            await self.watcher.settle()

        assert self.seen == [content]

    async def hears_nothing(self, change: Callable[[], object]) -> None:
        """Let ``change`` happen: it is looked at, and not reported."""
        async with asyncio.timeout(PATIENCE_S):
            await self.watcher.settle()
            self.seen.clear()
            await self.watcher.look_again(before=change)
            await self.watcher.settle()

        assert self.seen == []


@asynccontextmanager
async def listening(watcher: ObservableWatcher, read: Callable[[], str]) -> AsyncIterator[Daemon]:
    """Have a daemon listen to ``watcher``."""
    async with watcher:
        daemon = Daemon(watcher, read)
        task = asyncio.create_task(daemon.listen())
        try:
            yield daemon
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def watch(file: Path, *include: str, **options: Any) -> AbstractAsyncContextManager[Daemon]:
    """Watch ``file`` and what ``include`` finds; no slow check, so that events must suffice."""

    def read() -> str:
        included = (path for glob in include for path in sorted(Path("/").glob(glob[1:])))
        return " ".join(p.read_text() if p.exists() else "missing" for p in (file, *included))

    watched = WatchedFiles((file,), include)
    quick = {"quiet_s": 0.02, "slow_check_s": NEVER_S}
    return listening(ObservableWatcher(lambda: watched, **{**quick, **options}), read)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration in a directory of its own."""
    path = tmp_path / "etc" / "popsync.toml"
    path.parent.mkdir()
    path.write_text("old")
    return path


# -- editors and programs ---------------------------------------------------------------------


def _sed(path: Path) -> None:
    subprocess.run(["sed", "-i", "s/old/new/", path], check=True)


def _rename_over(path: Path) -> None:
    path.with_suffix(".tmp").write_text("new")
    path.with_suffix(".tmp").rename(path)


def _vim_copying(path: Path) -> None:
    shutil.copy2(path, f"{path}~")
    path.write_text("new")
    Path(f"{path}~").unlink()


def _vim_renaming(path: Path) -> None:
    path.rename(f"{path}~")
    path.write_text("new")
    Path(f"{path}~").unlink()


def _create_again(path: Path) -> None:
    path.unlink()
    path.write_text("new")


def _create_directory_again(path: Path) -> None:
    shutil.rmtree(path.parent)
    path.parent.mkdir()
    path.write_text("new")


@pytest.mark.parametrize(
    "change",
    [
        partial(Path.write_text, data="new"),
        _sed,
        _rename_over,
        _vim_copying,
        _vim_renaming,
        _create_again,
        _create_directory_again,
    ],
    ids=lambda change: getattr(change, "__name__", "_write_in_place").strip("_"),
)
async def test_change_of_any_kind_is_reported_once(
    config: Path, change: Callable[[Path], object]
) -> None:
    """However the file got its new content, there is one report, and the next change has one."""
    async with watch(config) as daemon:
        await daemon.hears_once(lambda: change(config), "new")
        await daemon.hears_once(lambda: config.write_text("newer"), "newer")


@pytest.mark.skipif(not shutil.which("vim"), reason="needs vim")
@pytest.mark.parametrize("backupcopy", ["yes", "no"])
async def test_edit_in_real_vim_is_reported_once(config: Path, backupcopy: str) -> None:
    """Both ways of vim to write a file are one change."""
    commands = [f"set backupcopy={backupcopy}", "%s/old/new/", "wq"]
    arguments = [argument for command in commands for argument in ("-c", command)]

    def vim() -> None:
        subprocess.run(["vim", "-N", "-u", "NONE", "-es", *arguments, config], check=True)

    async with watch(config) as daemon:
        await daemon.hears_once(vim, "new\n")


async def test_deletion_and_creation_are_reported_each(config: Path) -> None:
    """A missing file is a state like another."""
    async with watch(config) as daemon:
        await daemon.hears_once(config.unlink, "missing")
        await daemon.hears_once(lambda: config.write_text("old"), "old")


async def test_removed_directory_is_followed_when_it_is_created_again(config: Path) -> None:
    """While the directory is missing, the nearest one above it is watched."""
    async with watch(config) as daemon:
        await daemon.hears_once(lambda: shutil.rmtree(config.parent), "missing")
        await daemon.hears_nothing(config.parent.mkdir)
        await daemon.hears_once(lambda: config.write_text("new"), "new")


async def test_another_permission_is_seen_without_waiting(config: Path) -> None:
    """A chmod is an event of its own kind; who else may read a password counts as content."""
    async with watch(config) as daemon:
        await daemon.hears_once(lambda: config.chmod(0o604), "old")


async def test_touch_is_no_change(config: Path) -> None:
    """Events say when to look; the content counts, and what others than the owner may do."""
    async with watch(config) as daemon:
        await daemon.hears_nothing(config.touch)
        await daemon.hears_nothing(lambda: config.chmod(config.stat().st_mode ^ 0o100))
        await daemon.hears_nothing(lambda: config.write_text("old"))
        await daemon.hears_nothing(lambda: (config.parent / "other").write_text("new"))


class NotingObserver(Observer):  # type: ignore[valid-type,misc]
    """Notes which kinds of event it passes on."""

    kinds: set[str]

    def schedule(
        self, event_handler: FileSystemEventHandler, path: str, **options: Any
    ) -> ObservedWatch:
        """Listen in."""

        class Noting(FileSystemEventHandler):
            def dispatch(self, event: FileSystemEvent) -> None:
                NotingObserver.kinds.add(event.event_type)
                event_handler.dispatch(event)

        watch: ObservedWatch = super().schedule(Noting(), path, **options)
        return watch


async def test_reading_the_files_is_no_reason_to_read_them_again(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The watcher's own looks make no event that would wake it."""
    monkeypatch.setattr(NotingObserver, "kinds", set(), raising=False)

    async with watch(config, make_observer=NotingObserver) as daemon:
        await daemon.hears_once(lambda: config.write_text("new"), "new")
        await daemon.hears_once(lambda: config.write_text("newer"), "newer")

    assert "modified" in NotingObserver.kinds
    assert not NotingObserver.kinds & {"opened", "closed_no_write"}


async def test_quick_writes_are_few_reports_with_the_last_content(config: Path) -> None:
    """Thirty writes in a row coalesce; whatever the rhythm, the last one is reported."""
    async with watch(config, quiet_s=0.3) as daemon:
        for number in range(30):
            await asyncio.to_thread(config.write_text, str(number))
        async with asyncio.timeout(PATIENCE_S):
            while "29" not in daemon.seen:
                await daemon.heard.wait()
                daemon.heard.clear()
            await daemon.watcher.look_again()

    assert daemon.seen[-1] == "29"
    assert len(daemon.seen) <= 5


async def test_change_beside_a_busy_file_is_reported(config: Path) -> None:
    """A log in the same directory, written without a pause, does not put it off for ever."""
    log = config.parent / "popsync.log"

    async def write_without_pause() -> None:
        while True:
            await asyncio.to_thread(log.write_text, "line")

    async with watch(config, quiet_s=NEVER_S) as daemon:
        await asyncio.to_thread(config.write_text, "new")
        task = asyncio.create_task(write_without_pause())
        async with asyncio.timeout(PATIENCE_S):
            await daemon.heard.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    assert daemon.seen == ["new"]


# -- symbolic links ---------------------------------------------------------------------------


async def test_swap_of_a_config_map_is_reported_once(tmp_path: Path) -> None:
    """Kubernetes swaps the directory behind ``..data``; the file's own name has no event."""
    mount = tmp_path / "mount"

    def publish(version: str) -> None:
        (mount / version).mkdir(parents=True)
        (mount / version / "popsync.toml").write_text(version)
        (mount / "..data_tmp").symlink_to(version)
        (mount / "..data_tmp").rename(mount / "..data")

    def replace(old: str, new: str) -> None:
        publish(new)
        shutil.rmtree(mount / old)

    publish("..1")
    (mount / "popsync.toml").symlink_to("..data/popsync.toml")

    async with watch(mount / "popsync.toml") as daemon:
        await daemon.hears_once(lambda: replace("..1", "..2"), "..2")
        await daemon.hears_once(lambda: replace("..2", "..3"), "..3")


async def test_link_into_another_directory_is_followed(tmp_path: Path) -> None:
    """An edit of the target is a change, so is a link that points elsewhere, and edits there."""
    targets = [tmp_path / name / "popsync.toml" for name in ("dotfiles", "elsewhere")]
    for target in targets:
        target.parent.mkdir()
        target.write_text(target.parent.name)
    link = tmp_path / "etc" / "popsync.toml"
    link.parent.mkdir()
    link.symlink_to("../dotfiles/popsync.toml")

    def point_elsewhere() -> None:
        link.unlink()
        link.symlink_to(targets[1])

    async with watch(link) as daemon:
        await daemon.hears_once(lambda: targets[0].write_text("edited"), "edited")
        await daemon.hears_once(point_elsewhere, "elsewhere")
        await daemon.hears_once(lambda: targets[1].write_text("edited too"), "edited too")
        await daemon.hears_nothing(lambda: targets[0].write_text("nobody's"))


async def test_linked_directory_that_points_elsewhere_is_reported_once(tmp_path: Path) -> None:
    """A link anywhere on the way counts, not only one in the last place."""
    for version in ("one", "two"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "popsync.toml").write_text(version)
    current = tmp_path / "current"
    current.symlink_to("one")

    def switch() -> None:
        (tmp_path / "next").symlink_to("two")
        (tmp_path / "next").rename(current)

    async with watch(current / "popsync.toml") as daemon:
        await daemon.hears_once(switch, "two")
        await daemon.hears_once(
            lambda: (tmp_path / "two" / "popsync.toml").write_text("new"), "new"
        )


# -- include ----------------------------------------------------------------------------------


async def test_include_that_gains_edits_and_loses_a_file_is_reported_each_time(
    config: Path,
) -> None:
    """The directory of a glob is watched, even before it exists."""
    included = config.parent / "accounts.d" / "one.toml"

    async with watch(config, str(included.parent / "*.toml")) as daemon:
        await daemon.hears_nothing(included.parent.mkdir)
        await daemon.hears_once(lambda: included.write_text("1"), "old 1")
        await daemon.hears_once(lambda: included.write_text("2"), "old 2")
        await daemon.hears_once(included.unlink, "old")
        await daemon.hears_nothing(lambda: included.with_suffix(".bak").write_text("3"))


async def test_file_that_a_reload_has_dropped_is_not_reported_again(config: Path) -> None:
    """An included file is deleted, the reload no longer names it: one change, one report."""
    included = config.with_name("one.toml")
    included.write_text("1")
    pattern = str(config.with_name("o*.toml"))
    in_use = WatchedFiles((config, included), (pattern,))

    def reload() -> str:
        nonlocal in_use
        in_use = WatchedFiles((config,), (pattern,))
        return "reloaded"

    watcher = ObservableWatcher(lambda: in_use, quiet_s=0.02, slow_check_s=NEVER_S)
    async with listening(watcher, reload) as daemon:
        await daemon.hears_once(included.unlink, "reloaded")


async def test_file_that_a_reload_adds_is_reported_once_more_and_watched(config: Path) -> None:
    """Nobody watched it while it was read, so it is to be read again."""
    included = config.with_name("one.d") / "one.toml"
    included.parent.mkdir()
    included.write_text("1")
    in_use = WatchedFiles((config,))

    def reload() -> str:
        nonlocal in_use
        in_use = WatchedFiles((config, included), (str(included),))
        return included.read_text()

    watcher = ObservableWatcher(lambda: in_use, quiet_s=0.02, slow_check_s=NEVER_S)
    async with listening(watcher, reload) as daemon:
        async with asyncio.timeout(PATIENCE_S):
            await watcher.let_happen(lambda: config.write_text("new"))
            await daemon.heard.wait()
            daemon.heard.clear()
            await daemon.heard.wait()
            await watcher.settle()

        assert daemon.seen == ["1", "1"]
        await daemon.hears_once(lambda: included.write_text("2"), "2")


# -- when events fail -------------------------------------------------------------------------


class ExhaustedObserver(Observer):  # type: ignore[valid-type,misc]
    """No inotify watch is left."""

    def schedule(
        self, event_handler: FileSystemEventHandler, path: str, **options: Any
    ) -> ObservedWatch:
        """Refuse as inotify does."""
        raise OSError(errno.ENOSPC, "inotify watch limit reached")


def _no_instance_left() -> BaseObserver:
    raise OSError(errno.EMFILE, "inotify instance limit reached")


@pytest.mark.parametrize("make_observer", [ExhaustedObserver, _no_instance_left])
async def test_exhausted_inotify_leaves_the_slow_check_and_is_said_once(
    config: Path, caplog: pytest.LogCaptureFixture, make_observer: Callable[[], BaseObserver]
) -> None:
    """Without events a change is seen a little later; directories that change say it no more."""
    async with watch(config, slow_check_s=0.01, make_observer=make_observer) as daemon:
        await daemon.hears_once(lambda: config.write_text("new"), "new")
        await daemon.hears_once(lambda: shutil.rmtree(config.parent), "missing")

    (record,) = caplog.records
    assert "limit reached; the files are read every 0.01 s instead" in record.getMessage()


def _replace_directory(path: Path) -> None:
    path.parent.rename(path.parent.with_name("away"))
    path.parent.mkdir()
    path.write_text("new")


async def test_change_without_an_event_is_found_by_the_slow_check(config: Path) -> None:
    """A directory that is moved away and replaced is one; its own watch stays with the old."""
    async with watch(config, slow_check_s=0.05) as daemon:
        await daemon.hears_once(lambda: _replace_directory(config), "new")


async def test_replaced_directory_is_watched_from_the_next_look_on(config: Path) -> None:
    """The path is the same and the old watch is alive, but it is another directory."""
    async with watch(config) as daemon:
        async with asyncio.timeout(PATIENCE_S):
            await daemon.watcher.look_again(before=lambda: _replace_directory(config))

        assert daemon.seen == ["new"]
        await daemon.hears_once(lambda: config.write_text("newer"), "newer")


async def test_watch_that_died_is_replaced_at_the_next_look(config: Path) -> None:
    """An observer stays alive when its emitters end, so they are asked one by one."""
    async with watch(config) as daemon:
        await daemon.hears_nothing(daemon.watcher.end_emitters)
        await daemon.hears_once(lambda: config.write_text("new"), "new")


class VanishingObserver(Observer):  # type: ignore[valid-type,misc]
    """The directory is removed just before it is watched, but the first time only."""

    vanished: list[str]

    def schedule(
        self, event_handler: FileSystemEventHandler, path: str, **options: Any
    ) -> ObservedWatch:
        """Refuse once."""
        if not self.vanished:
            self.vanished.append(path)
            raise FileNotFoundError(path)
        watch: ObservedWatch = super().schedule(event_handler, path, **options)
        return watch


async def test_directory_that_vanishes_before_it_is_watched_is_tried_again(
    config: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is a race, not a lack of anything: nothing is said, and the next look repairs it."""
    monkeypatch.setattr(VanishingObserver, "vanished", [], raising=False)

    async with watch(config, make_observer=VanishingObserver) as daemon:
        await daemon.hears_once(lambda: config.write_text("new"), "new")

    assert VanishingObserver.vanished == [str(config.parent)]
    assert not caplog.records


async def test_directory_that_appears_before_the_one_above_is_watched_is_found(
    config: Path,
) -> None:
    """Its creation has no event, but what has just been watched is always looked at once more."""
    shutil.rmtree(config.parent)
    watched: list[str] = []
    found = asyncio.Event()

    class LateObserver(Observer):  # type: ignore[valid-type,misc]
        def schedule(
            self, event_handler: FileSystemEventHandler, path: str, **options: Any
        ) -> ObservedWatch:
            watched.append(path)
            if path == str(config.parent):
                found.set()
            else:
                config.parent.mkdir()
            watch: ObservedWatch = super().schedule(event_handler, path, **options)
            return watch

    async with watch(config, make_observer=LateObserver), asyncio.timeout(PATIENCE_S):
        await found.wait()

    assert watched == [str(config.parent.parent), str(config.parent)]


def test_event_after_the_loop_has_ended_raises_nothing() -> None:
    """An exception in a handler would end the observer's thread for good."""
    loop = asyncio.new_event_loop()
    loop.close()
    event: FileSystemEvent = FileModifiedEvent("popsync.toml")

    _Waker(lambda: loop.call_soon_threadsafe(print)).dispatch(event)


# -- nothing stays behind ---------------------------------------------------------------------


def _open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if not thread.name.startswith("asyncio")}


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux")
@pytest.mark.parametrize("make_observer", [Observer, ExhaustedObserver])
async def test_leaving_ends_all_threads_and_closes_all_descriptors(
    config: Path, make_observer: Callable[[], BaseObserver]
) -> None:
    """Also after directories that were watched have come and gone."""
    threads, descriptors = _threads(), _open_descriptors()

    async with watch(config, slow_check_s=0.05, make_observer=make_observer) as daemon:
        for _ in range(5):
            await daemon.hears_once(lambda: shutil.rmtree(config.parent), "missing")
            config.parent.mkdir()
            await daemon.hears_once(lambda: config.write_text("new"), "new")

    assert _threads() == threads
    assert _open_descriptors() == descriptors


async def test_failure_while_entering_leaves_nothing_behind(config: Path) -> None:
    """The watch is closed when the first look is cut short."""
    threads = _threads()

    class Unreadable(WatchedFiles):
        def fingerprint(self) -> bytes:
            raise MemoryError

    with pytest.raises(MemoryError):
        await ConfigWatcher(lambda: Unreadable((config,))).__aenter__()

    assert _threads() == threads
