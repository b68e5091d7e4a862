"""The panel without the Slicer application: real Qt widgets, real MRML, the module's own code.

Importing this makes `qt`, `ctk`, `slicer.i18n`, `slicer.parameterNodeWrapper` and `slicer.ScriptedLoadableModule`
exist. Import it before the module file is: that file takes plain base classes where there is no application.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
import traceback
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "source"))
sys.path.insert(0, str(Path(__file__).parents[1]))

import checkout
import ctk  # noqa: F401  (registers its stand-ins)
import io_manager
import module_manager
import parameter_annotations
import parameter_node
import qmrml
import qt
import sample_data
import scripted_module
import slicer
from patience import PATIENCE_S

# Pictures for people are made on demand, so that a test run leaves the working tree as it was.
_TRACKED = Path(__file__).parents[2] / "slicer" / "screens"
SCREENS = _TRACKED if os.environ.get("DSM_UPDATE_SCREENS") else Path(tempfile.mkdtemp(prefix="screens_"))

_WIDTH_PX, _HEIGHT_PX = 560, 1100


def _publish(name: str, **content: Any) -> None:
    """Make a module of the application exist, as `import slicer.<name>` and as `slicer.<name>`."""
    module = types.ModuleType(f"slicer.{name}")
    vars(module).update(content)
    sys.modules[module.__name__] = module
    setattr(slicer, name, module)


def _publish_stand_ins() -> None:
    _publish("i18n", tr=lambda text: text, translate=lambda _, text: text)
    _publish(
        "parameterNodeWrapper",
        parameterNodeWrapper=parameter_node.parameterNodeWrapper,
        **{name: getattr(parameter_annotations, name) for name in parameter_annotations.PUBLISHED},
    )
    _publish(
        "ScriptedLoadableModule",
        **{name: getattr(scripted_module, name) for name in dir(scripted_module) if name.startswith("Scripted")},
    )
    sample_data.publish()


qmrml.publish()
module_manager.publish()
if checkout.CHECKOUT is None:
    _publish_stand_ins()
else:
    checkout.publish()

_qt_application = qt.QApplication.instance() or qt.QApplication(["Slicer"])
_qt_application.setStyle("Fusion")
# Never the settings of whoever runs the tests.
qt.QSettings.setDefaultFormat(qt.QSettings.IniFormat)
qt.QSettings.setPath(qt.QSettings.IniFormat, qt.QSettings.UserScope, tempfile.mkdtemp(prefix="panel_host_"))
_qt_application.setOrganizationName("DSMSegmentTests")


class Application(qt.QObject):
    """`slicer.app` with the signals that modules connect to; the rest comes from the scene's stand-in."""

    startupCompleted = qt.Signal()
    aboutToQuit = qt.Signal()

    def __init__(self, scene_application: Any) -> None:
        super().__init__()
        self._scene_application = scene_application
        self.selected_modules: list[str] = []
        self._module_manager = module_manager.ModuleManager()
        self._io_manager = io_manager.CoreIOManager()
        self.slicerUserSettingsFilePath = qt.QSettings().fileName()

    def __getattr__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, "_scene_application"), name)

    def select_module(self, name: str) -> None:
        """Stands in for `slicer.util.selectModule`; like the Segment Editor, it makes the editor's node."""
        self.selected_modules.append(name)
        if name == "SegmentEditor" and not slicer.mrmlScene.GetSingletonNode(name, "vtkMRMLSegmentEditorNode"):
            node = slicer.vtkMRMLSegmentEditorNode()
            node.SetSingletonTag(name)
            slicer.mrmlScene.AddNode(node)

    def moduleManager(self) -> module_manager.ModuleManager:
        return self._module_manager

    def coreIOManager(self) -> io_manager.CoreIOManager:
        return self._io_manager

    def processEvents(self) -> None:
        _qt_application.processEvents()

    def topLevelWidgets(self) -> list[Any]:
        return _qt_application.topLevelWidgets()

    def clipboard(self) -> Any:
        return _qt_application.clipboard()


def application() -> Application:
    """Return `slicer.app` as an object with Qt signals."""
    if not isinstance(slicer.app, Application):
        slicer.app = Application(slicer.app)
        slicer.util.selectModule = slicer.app.select_module
    return slicer.app


class Panel:
    """The module's panel in a window.

    Args:
        module: The module `DSMSegment`, imported after this file.
        only_log: As the application, print an exception of `setup()` or `enter()` and go on.
    """

    def __init__(self, module: Any, *, only_log: bool = False) -> None:
        self._name = module.__name__
        self.window = module_manager.qSlicerScriptedLoadableModuleWidget()
        self.window.setLayout(qt.QVBoxLayout())
        application().moduleManager().load(module, self.window)
        for call in (self.window.setup, self.window.enter):
            try:
                call()
            except Exception:
                if not only_log:
                    raise
                traceback.print_exc()
        self.window.resize(_WIDTH_PX, _HEIGHT_PX)
        self.window.show()
        self.process_events()

    @property
    def widget(self) -> Any:
        """The object of the module's class; another one after a reload."""
        return self.window.self()

    @property
    def ui(self) -> Any:
        """The widgets of the form by name."""
        return self.widget.ui

    def process_events(self) -> None:
        """Let Qt do what is waiting."""
        _qt_application.processEvents()

    def wait_until(self, condition: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
        """Let Qt work until a condition holds; TimeoutError with what the status line says if it never does."""
        deadline = time.monotonic() + patience_s
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(self.ui.statusLabel.text)
            self.process_events()
            time.sleep(0.002)

    def screenshot(self, path: Path) -> None:
        """Save a picture of the window."""
        self.process_events()
        path.parent.mkdir(parents=True, exist_ok=True)
        if not self.window.grab().save(str(path)):
            raise OSError(f"{path} could not be written.")

    def close(self) -> None:
        """Clean up, as Slicer does when it unloads the module."""
        slicer.app.moduleManager().unload(self._name)
        self.window.close()
        self.window.deleteLater()
        self.process_events()
