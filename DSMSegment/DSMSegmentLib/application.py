"""Names that exist only in the running application: Qt, translation, base classes of scripted modules.

The wheel `slicer-core` has the scene and its logics but none of these. There, the base classes are plain ones and texts
stay as they are: the logic and the self-test work all the same, the panel needs the application.
"""

from __future__ import annotations

from typing import Any
from unittest import TestCase

__all__ = [
    "ScriptedLoadableModule",
    "ScriptedLoadableModuleLogic",
    "ScriptedLoadableModuleTest",
    "ScriptedLoadableModuleWidget",
    "WithinRange",
    "parameterNodeWrapper",
    "qt",
    "tr",
    "translate",
]

try:
    import qt
    from slicer.i18n import tr, translate
    from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper
    from slicer.ScriptedLoadableModule import (
        ScriptedLoadableModule,
        ScriptedLoadableModuleLogic,
        ScriptedLoadableModuleTest,
        ScriptedLoadableModuleWidget,
    )
except ImportError:
    qt = None

    class ScriptedLoadableModule:  # type: ignore[no-redef]
        """Stand-in for Slicer's class of this name that stores its arguments."""

        def __init__(self, parent: Any = None) -> None:
            self.parent = parent

    ScriptedLoadableModuleLogic = ScriptedLoadableModuleWidget = ScriptedLoadableModule
    ScriptedLoadableModuleTest = TestCase

    class WithinRange:  # type: ignore[no-redef]
        """Range of a parameter; Slicer's class of this name refuses values outside."""

        def __init__(self, minimum: float, maximum: float) -> None:
            self.minimum, self.maximum = minimum, maximum

    def parameterNodeWrapper(cls: type) -> type:
        """Return the class unchanged: there is no parameter node to hold its values."""
        return cls

    def tr(text: str) -> str:
        """Return the text unchanged: there are no translations."""
        return text

    def translate(context: str, text: str) -> str:  # noqa: ARG001  (Slicer's signature)
        """Return the text unchanged: there are no translations."""
        return text
