"""Why a source is not taken in, as classes that a caller can tell apart."""

from datacube.errors import InvalidInput


class AssetUnreadable(InvalidInput):
    """A file that is no raster of an allowed format, is truncated, or cannot be decoded."""

    code = "AssetUnreadable"


class AssetTooLarge(InvalidInput):
    """A file whose header announces more than is ever read."""

    code = "AssetTooLarge"


class CrsMismatch(InvalidInput):
    """A raster whose place on the ground is not stated, or is elsewhere."""

    code = "CrsMismatch"


class BandMissing(InvalidInput):
    """A band that is asked for and not there; no other band ever takes its place."""

    code = "BandMissing"


class RadiometryUnknown(InvalidInput):
    """Nothing says how numbers become reflectance."""

    code = "RadiometryUnknown"


class DateUnknown(InvalidInput):
    """Nothing says when a scene was seen."""

    code = "DateUnknown"


class XmlForbidden(InvalidInput):
    """Metadata with entities or a document type, which an honest product never has."""

    code = "XmlForbidden"


class ArchiveForbidden(InvalidInput):
    """An archive with names that leave it, or that unpacks to far more than it holds."""

    code = "ArchiveForbidden"
