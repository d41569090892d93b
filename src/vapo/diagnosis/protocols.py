"""All protocols of a diagnosis. A new one is a file that defines a `RowProtocol`, and its line in `ROW_PROTOCOLS`."""

from __future__ import annotations

from collections.abc import Sequence

from vapo.diagnosis.confidence import CONFIDENCE_ALONG
from vapo.diagnosis.image_looks import IMAGE_LOOKS
from vapo.diagnosis.image_swap import IMAGE_SWAP
from vapo.diagnosis.misleading_text import MISLEADING_TEXT
from vapo.diagnosis.reasoning_perception import REASONING_AGAINST_PERCEPTION
from vapo.diagnosis.row_protocol import RowProtocol
from vapo.errors import ConfigError
from vapo.models.diagnosed_model import Ability

ROW_PROTOCOLS: dict[str, RowProtocol] = {
    protocol.name: protocol
    for protocol in (
        IMAGE_SWAP,
        CONFIDENCE_ALONG,
        REASONING_AGAINST_PERCEPTION,
        MISLEADING_TEXT,
        IMAGE_LOOKS,
    )
}  # fmt: skip

TITLES: dict[str, str] = {
    "early": "Early decision",
    "perception": "Perception by depth",
    "attention": "Visual attention",
    "remedies": "Remedies",
    "errors": "Error categories",
    "sensitivity": "Image sensitivity",
    **{name: protocol.title for name, protocol in ROW_PROTOCOLS.items()},
}
"""What reports call each. Recoverable errors come with "early", for they are read off its answers."""

NEEDS: dict[str, Ability] = {
    "early": "continue",
    "perception": "probe",
    "attention": "attend",
    "remedies": "continue",
    "sensitivity": "compare_views",
    **{name: protocol.needs for name, protocol in ROW_PROTOCOLS.items()},
}
"""What a model must be able to do for it."""

NEED_CLAIMS: frozenset[str] = frozenset(
    ("perception", *(name for name, protocol in ROW_PROTOCOLS.items() if protocol.needs_claims))
)
"""What is left out where no row of the data has claims."""

PROTOCOLS: tuple[str, ...] = tuple(TITLES)
"""What can be asked for by name."""

DEFAULT_PROTOCOLS: tuple[str, ...] = tuple(
    name for name in PROTOCOLS if name not in ROW_PROTOCOLS or ROW_PROTOCOLS[name].by_default
)


def choose_protocols(names: Sequence[str] | None) -> tuple[str, ...]:
    """Return the protocols that are named, in their own order; the default ones for None.

    Raises:
        ConfigError: a name is unknown, or none is given.
    """
    if names is None:
        return DEFAULT_PROTOCOLS
    unknown = [name for name in names if name not in PROTOCOLS]
    if unknown or not names:
        what = f"protocol {unknown[0]!r} is unknown" if unknown else "no protocol is named"
        raise ConfigError(f"{what}; choose among {', '.join(PROTOCOLS)}")
    return tuple(name for name in PROTOCOLS if name in names)
