"""Number formats in which a volume can be encoded."""

from __future__ import annotations

#: What a network can compute in; which of them are there is decided by the device.
PRECISIONS = ("float32", "bfloat16", "int8")

#: The fastest of `PRECISIONS` on the device, by a measurement.
AUTO = "auto"
