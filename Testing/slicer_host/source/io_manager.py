"""Stand-in for `qSlicerCoreIOManager`: `slicer.util` reads and writes volumes through it, by Slicer's storage nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer

# Options of vtkSlicerVolumesLogic.
_LABELMAP, _SINGLE_FILE = 1, 4


class CoreIOManager:
    """Reads and writes volumes; of other files it says that they are not implemented."""

    def fileWriterFileType(self, node: Any) -> str:
        if not node.IsA("vtkMRMLVolumeNode"):
            raise NotImplementedError(f"The host writes no {node.GetClassName()}.")
        return "VolumeFile"

    def saveNodes(self, kind: str, properties: dict[str, Any], messages: Any) -> bool:
        node = slicer.mrmlScene.GetNodeByID(properties["nodeID"])
        node.AddDefaultStorageNode(properties["fileName"])
        storage = node.GetStorageNode()
        storage.SetFileName(properties["fileName"])
        return bool(storage.WriteData(node))

    def loadNodes(self, kind: str, properties: dict[str, Any], loaded: Any, messages: Any) -> bool:
        if kind != "VolumeFile":
            raise NotImplementedError(f"The host reads no {kind}.")
        options = _LABELMAP * bool(properties.get("labelmap")) | _SINGLE_FILE * bool(properties.get("singleFile"))
        logic = slicer.modules.volumes.logic()
        name = properties.get("name") or Path(properties["fileName"]).stem
        node = logic.AddArchetypeVolume(properties["fileName"], name, options)
        if node is not None:
            loaded.AddItem(node)
        return node is not None
