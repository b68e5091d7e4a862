"""Consent before the first volume is sent to a server."""

from __future__ import annotations

from DSMSegmentLib.application import tr as _


def consentText(address: str, closing: str) -> str:
    """Return the text of the consent: data sent, data not sent, and retention.

    Args:
        address: Of the server, in full.
        closing: When the host removes volumes by itself, e.g. "Slicer closes".
    """
    text = _(
        "The volume leaves this computer. To {address} are sent:\n\n"
        "- its voxels, their spacing, position and orientation, and whether it is CT or MR\n"
        "- your prompts\n\n"
        "Names, identifiers and dates of the patient and the name of the volume are not sent. The voxels of a head "
        "can show a face.\n\n"
        "The server keeps the voxels for later prompts, and removes them when {closing}, or when nobody has used "
        "them for a while."
    ).format(address=address, closing=closing)
    if address.startswith("http://"):
        text += "\n\n" + _("THE CONNECTION IS NOT ENCRYPTED: others on the network can read what is sent.")
    return text + "\n\n" + _("Do you agree?")
