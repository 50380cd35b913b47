"""The section of a server's settings that says where verified reports go."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from calcmap.core.errors import CalcMapError, ConfigError
from calcmap.service.destinations import Destination, FolderDestination
from calcmap.service.node_address import OUR_TITLE, TlsFiles, check_title, parse_address
from calcmap.service.outbox import Outbox
from calcmap.service.signatories import NOT_STATED, written_organization
from calcmap.service.store import Store


@dataclass(frozen=True)
class DeliverySettings:
    """``[delivery]``: where verified reports go.

    Parameters
    ----------
    nodes : tuple of str
        DICOM nodes, each as ``TITLE@HOST:PORT``.
    our_title : str
        The AE title by which they know us.
    organization : str
        Where the physicians work, as it stands in the reports.
    tls : bool
        Send encrypted.
    trusted, certificate, key : Path or None
        PEM files: certificates to trust, and our own where a node asks for one.
    """

    nodes: tuple[str, ...] = ()
    our_title: str = OUR_TITLE
    organization: str = NOT_STATED
    tls: bool = False
    trusted: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def __post_init__(self) -> None:
        found = []
        checks: list[tuple[Callable[[str], object], str]] = [(parse_address, node) for node in self.nodes]
        for check, text in [(check_title, self.our_title), (written_organization, self.organization), *checks]:
            try:
                check(text)
            except CalcMapError as error:
                found.append(f"delivery: {error}")
        files = (self.trusted, self.certificate, self.key)
        if any(files) and not self.tls:
            found.append("delivery: certificates make sense with tls = true alone")
        found += [f"delivery: {path} cannot be read" for path in files if path is not None and not path.is_file()]
        if found:
            raise ConfigError("; ".join(found))

    def open_outbox(self, store: Store, *, folders: Mapping[int, Path] | None = None) -> Outbox:
        """Return the way out of a store.

        Parameters
        ----------
        store : Store
            Open.
        folders : mapping or None
            The study folder of each machine result, where files are written as well.

        Returns
        -------
        Outbox
            To every node, and to the folders where there are some.
        """
        places: list[Destination] = [FolderDestination(folders)] if folders is not None else []
        return Outbox(store, [*places, *self._node_destinations()], organization=self.organization)

    def _node_destinations(self) -> list[Destination]:
        if not self.nodes:
            return []
        from calcmap.service.dicom_node import NodeDestination  # imports all of DICOM networking

        tls = TlsFiles(self.trusted, self.certificate, self.key) if self.tls else None
        if tls is not None:
            tls.context()
        return [
            NodeDestination(parse_address(text), our_title=self.our_title, tls=tls)
            for text in dict.fromkeys(self.nodes)
        ]
