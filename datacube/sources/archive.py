"""The files of a product, in a folder or a zip, without unpacking anything.

GDAL reads inside the zip; only metadata, bounded in size, is read by us. Names that leave the
archive are refused although nothing is written, because whoever made them meant harm.
"""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Self
from xml.etree.ElementTree import Element, ParseError

import defusedxml.ElementTree  # type: ignore[import-untyped]
from defusedxml import DefusedXmlException

from datacube.sources.refusals import (
    ArchiveForbidden,
    AssetTooLarge,
    AssetUnreadable,
    XmlForbidden,
)

MAX_XML_BYTES = 32_000_000  # granule metadata with all angles has half a megabyte
MAX_MEMBERS = 20_000
MAX_UNPACKED_BYTES = 16_000_000_000  # a product unpacked has about 1 GB
MAX_RATIO = 200  # JPEG 2000 hardly compresses again; a bomb does


@dataclass(frozen=True)
class Archive:
    """A product's files: `members` from their path inside it to what GDAL opens."""

    name: str
    members: Mapping[str, str]
    zipped: Path | None = None

    @classmethod
    def of_folder(cls, folder: Path) -> Self:
        """The files below a folder; links that leave it are not followed."""
        root = folder.resolve()
        files = (path for path in sorted(root.rglob("*")) if path.is_file())
        inside = (path for path in files if path.resolve().is_relative_to(root))
        return cls(root.name, {path.relative_to(root).as_posix(): str(path) for path in inside})

    @classmethod
    def of_zip(cls, path: Path) -> Self:
        """The files in a zip; raises ArchiveForbidden, or AssetUnreadable if it is none."""
        try:
            with zipfile.ZipFile(path) as file:
                infos = file.infolist()
        except (zipfile.BadZipFile, OSError) as error:
            raise AssetUnreadable(f"{path.name} is no readable zip") from error
        _check_members(path.name, infos)
        root = f"/vsizip/{{{path.resolve()}}}/"
        members = {info.filename: root + info.filename for info in infos if not info.is_dir()}
        return cls(path.name, members, path)

    def find(self, *patterns: str) -> tuple[str, ...]:
        """Members whose path matches one of the patterns (`MTD_MSIL*.xml`, from the right)."""
        return tuple(
            name
            for name in self.members
            if any(PurePosixPath(name).match(pattern) for pattern in patterns)
        )

    def read_xml(self, member: str) -> Element:
        """Parse one member; raises XmlForbidden for entities and document types."""
        data = self._read(member)
        try:
            root: Any = defusedxml.ElementTree.fromstring(data, forbid_dtd=True)
        except DefusedXmlException as error:
            raise XmlForbidden(
                f"{member} declares a document type or entities, which no product needs"
            ) from error
        except ParseError as error:
            raise AssetUnreadable(f"{member} is no well-formed XML") from error
        found: Element = root
        return found

    def _read(self, member: str) -> bytes:
        if self.zipped is None:
            path = Path(self.members[member])
            size = path.stat().st_size
            data = path.read_bytes() if size <= MAX_XML_BYTES else b""
        else:
            with zipfile.ZipFile(self.zipped) as file:
                size = file.getinfo(member).file_size
                data = file.read(member) if size <= MAX_XML_BYTES else b""
        if size > MAX_XML_BYTES:
            raise AssetTooLarge(f"{member} has {size} bytes; metadata has at most {MAX_XML_BYTES}")
        return data


def _check_members(name: str, infos: list[zipfile.ZipInfo]) -> None:
    for info in infos:
        parts = PurePosixPath(info.filename.replace("\\", "/"))
        drive = len(info.filename) > 1 and info.filename[1] == ":"
        if parts.is_absolute() or ".." in parts.parts or drive or "}" in info.filename:
            raise ArchiveForbidden(
                f"{name} holds a name that leads out of it ({info.filename[:60]!r}); "
                "nothing of it was read"
            )
    unpacked = sum(info.file_size for info in infos)
    packed = sum(info.compress_size for info in infos)
    if len(infos) > MAX_MEMBERS or unpacked > min(MAX_UNPACKED_BYTES, MAX_RATIO * packed + 1000):
        raise ArchiveForbidden(
            f"{name} would unpack from {packed} to {unpacked} bytes in {len(infos)} files; "
            "that is no product"
        )
