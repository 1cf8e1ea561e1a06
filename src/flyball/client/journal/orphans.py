"""Journals whose process is gone, and the shipping of a whole folder of journals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from flyball.client.client import Client
from flyball.client.journal.folder import JournalFolder, journals_in
from flyball.client.journal.reader import Reader
from flyball.client.journal.segments import cut_torn_tail, segments_of
from flyball.client.journal.shipper import Shipper, Step, Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipment:
    """What became of one journal."""

    folder: JournalFolder
    tally: Tally
    state: str


def never() -> bool:
    """Do not stop early."""
    return False


def ship_orphan(
    folder: JournalFolder, client: Client, *, tell: Callable[[str], None], until: Callable[[], bool] = never
) -> Shipment | None:
    """Ship a journal that no process writes, until told to stop; None where one does, or where another ships it.

    Raises:
        FlyballError: the server is away, or does not take it.
    """
    owner = folder.own()
    if owner is None:
        return None
    try:
        return _ship_led(folder, client, tell=tell, owned=True, until=until)
    finally:
        owner.release()


def ship_folder(root: Path, client: Client, *, tell: Callable[[str], None]) -> list[Shipment]:
    """Ship all journals of a folder that go to the client's server, or to no named one; one may wait for another.

    Raises:
        FlyballError: the server is away, or does not take them.
    """
    found = {folder.origin.journal: folder for folder in journals_in(root) if folder.origin.server in {"", client.url}}
    done: dict[str, Shipment] = {}
    while True:
        before = sum(one.tally.records for one in done.values())
        for journal, folder in found.items():
            if journal not in done or done[journal].state == Step.WAITING:
                done[journal] = _ship_again(folder, client, tell=tell, before=done.get(journal))
        if sum(one.tally.records for one in done.values()) == before:
            return list(done.values())


def _ship_again(
    folder: JournalFolder, client: Client, *, tell: Callable[[str], None], before: Shipment | None
) -> Shipment:
    owner = folder.own()
    try:
        made = _ship_led(folder, client, tell=tell, owned=owner is not None, until=never)
    finally:
        if owner is not None:
            owner.release()
    if made is None:
        return Shipment(folder=folder, tally=Tally(), state="busy")
    if before is not None:
        made.tally.records += before.tally.records
        made.tally.files += before.tally.files
        made.tally.file_bytes += before.tally.file_bytes
        made.tally.refused += before.tally.refused
    return made


def _ship_led(
    folder: JournalFolder, client: Client, *, tell: Callable[[str], None], owned: bool, until: Callable[[], bool]
) -> Shipment | None:
    lead = folder.lead()
    if lead is None:
        return None
    try:
        if owned:
            _mend(folder, tell=tell)
        shipper = Shipper(folder, Reader(folder), client, tell=tell)
        step = Step.SHIPPED
        while step is Step.SHIPPED and not until():
            step = shipper.step()
        if owned and step is Step.DONE:
            folder.discard()
        return Shipment(folder=folder, tally=shipper.tally, state=step if owned or step is Step.WAITING else "open")
    finally:
        lead.release()


def _mend(folder: JournalFolder, *, tell: Callable[[str], None]) -> None:
    """Cut the torn tail that a loss of power leaves."""
    segments = segments_of(folder.path)
    torn = cut_torn_tail(segments[-1]) if segments else 0
    if torn:
        tell(f"{torn} torn bytes at the end of {segments[-1].path} were cut")
