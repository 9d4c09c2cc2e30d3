"""What can go wrong, as classes a caller can tell apart.

Every message says what was got, the rule, and the way out; `code` is the stable
name under which the HTTP interface and the command line report it.
"""


class SrcubeError(Exception):
    """The root of every error that srcube raises on purpose."""

    code = "Error"


class InvalidInput(SrcubeError, ValueError):
    """The caller's value breaks a rule; nothing was read or written."""

    code = "InvalidInput"


class AntimeridianUnsupported(InvalidInput):
    """A box whose west lies east of its east."""

    code = "AntimeridianUnsupported"


class NotFound(SrcubeError, LookupError):
    """A cube, scene, model, layer or date that is not in the catalog."""

    code = "NotFound"


class Conflict(SrcubeError):
    """The request contradicts what is already committed."""

    code = "Conflict"


class Damaged(SrcubeError):
    """Committed bytes are missing or fail their checksum."""

    code = "ChunkCorrupt"


class Gone(SrcubeError):
    """What the caller had opened was replaced since, and vacuumed: open it anew."""

    code = "Gone"


class Unavailable(SrcubeError):
    """The store does not answer, or refuses us; the same request may succeed later."""

    code = "Unavailable"


class OutOfSpace(SrcubeError):
    """There is no room for what was to be written; what was committed before is untouched."""

    code = "OutOfSpace"
