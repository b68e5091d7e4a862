"""Scene with four views of one scan and one segmentation, rendered on the server."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import slicer
import vtk
from trame_server import Server
from trame_slicer.core import LayoutManager, SlicerApp
from trame_slicer.rca_view import register_rca_factories
from trame_slicer.segmentation import SegmentationOverwriteMode
from trame_slicer.views import Layout, LayoutDirection, ViewLayoutDefinition

from dsm.core.display_colors import RGB
from dsm.core.volume import Volume
from DSMSegmentLib.scene.lesions import hasLesions
from DSMSegmentLib.scene.placement import createSegmentation, removeSegmentation
from DSMSegmentLib.scene.segment_display import showDistinctly, shownColor
from DSMSegmentWeb.draw_order import draw_above
from DSMSegmentWeb.picture import ViewPicture, capture
from DSMSegmentWeb.view_tools import slice_tools, view_tools
from DSMSegmentWeb.volume_node import add_volume_node

_LAYOUT = "Four-Up"

if sys.platform == "linux" and not os.environ.get("DISPLAY"):
    # Otherwise VTK first searches for a display, for each view.
    os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")


class Viewer:
    """View of at most one scan; opening another one replaces it.

    Args:
        server: Server that streams the views.

    Attributes:
        on_window: Called after window or level of the scan may have changed.
    """

    def __init__(self, server: Server) -> None:
        # VTK's remarks are about what only the application has; errors that matter are raised.
        vtk.vtkObject.GlobalWarningDisplayOff()
        self.slicer = SlicerApp()
        self.volume_node: Any = None
        self.segmentation_node: Any = None
        self.on_window: Callable[[], None] = lambda: None
        views = self.slicer.view_manager
        register_rca_factories(views, server, slice_view_ui_f=slice_tools, three_d_view_ui_f=view_tools)
        self.layout = LayoutManager(self.scene, views, server)
        self.layout.register_layout(_LAYOUT, _four_up())
        self.layout.set_layout(_LAYOUT)
        for view in views.get_views():
            # Smoothing of edges costs four fifths of the time of a frame where there is no GPU.
            view.render_window().SetMultiSamples(0)
        self.editor.set_overwrite_mode(SegmentationOverwriteMode.ALLOW_OVERLAP)
        self.editor.show_3d(True)
        # Dragging in a slice sets window and level wherever no tool takes the mouse.
        interaction = self.slicer.app_logic.GetInteractionNode()
        interaction.SetCurrentInteractionMode(interaction.AdjustWindowLevel)
        self._lesion_colors: set[RGB] = set()
        for view in views.get_slice_views():
            view.set_ruler(slicer.vtkMRMLAbstractViewNode.RulerTypeThin)
            # When it is drawn: only then is it sure that what is drawn is there.
            view.renderer().AddObserver(vtk.vtkCommand.StartEvent, lambda one, _: draw_above(one, self._lesion_colors))

    @property
    def scene(self) -> slicer.vtkMRMLScene:
        """The scene."""
        return self.slicer.scene

    @property
    def editor(self) -> Any:
        """Trame-slicer's segment editor, which also updates the surfaces in the 3-D view."""
        return self.slicer.segmentation_editor

    def show(self, volume: Volume, name: str) -> None:
        """Show a scan with an empty segmentation, replacing the previous one."""
        self._remove_shown()
        self.volume_node = add_volume_node(self.scene, volume, name)
        self.segmentation_node = createSegmentation(self.volume_node)
        self.editor.set_active_segmentation(self.segmentation_node, self.volume_node)
        # Window and level are those of the node, whether a slider, a button or the mouse sets them.
        self.volume_node.GetDisplayNode().AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: self.on_window())
        # Not `show_volume`: it turns volume rendering on, which takes seconds a frame where there is no GPU.
        self.slicer.display_manager.show_volume_in_slice_background(self.volume_node)
        self.slicer.display_manager.reset_views()

    @property
    def window_level(self) -> tuple[float, float]:
        """Window and level of the slice views."""
        display = self.volume_node.GetDisplayNode()
        return display.GetWindow(), display.GetLevel()

    @window_level.setter
    def window_level(self, window_level: tuple[float, float]) -> None:
        display = self.volume_node.GetDisplayNode()
        display.AutoWindowLevelOff()
        display.SetWindowLevel(*window_level)

    def auto_window(self) -> None:
        """Set window and level from the darkest to the brightest tissue, without the extreme values."""
        self.volume_node.GetDisplayNode().AutoWindowLevelOn()

    @property
    def value_range(self) -> tuple[float, float]:
        """Smallest and largest value of the scan."""
        low, high = self.volume_node.GetImageData().GetScalarRange()
        return low, high

    def pictures(self) -> list[ViewPicture]:
        """Return what the views show, in the order of the page."""
        views = self.slicer.view_manager
        return [capture(views.get_view(tag)) for tag in _view_tags(_four_up())]

    def jump(self, ras_mm: Sequence[float]) -> None:
        """Move all slice views to a position, and its middle there."""
        slicer.vtkMRMLSliceNode.JumpAllSlices(self.scene, *ras_mm, slicer.vtkMRMLSliceNode.CenteredJumpSlice)

    def show_distinctly(self) -> None:
        """Show each segment in a colour of its own, and lesions through and above their organs."""
        node = self.segmentation_node
        showDistinctly(node)
        ids = node.GetSegmentation().GetSegmentIDs()
        self._lesion_colors = {shownColor(node, id_) for id_ in ids if hasLesions(node, id_)}

    def make_surfaces(self) -> None:
        """Create surfaces of segments that the editor did not make itself."""
        self.editor.active_segmentation.trigger_modified()

    def fit_3d(self) -> None:
        """Point the camera of the 3-D view at the segments, from the front.

        By their bounds in the scene: their surfaces are made later, when the view is drawn.
        """
        bounds = [0.0] * 6
        self.segmentation_node.GetRASBounds(bounds)
        left, right, posterior, anterior, inferior, superior = bounds
        center = ((left + right) / 2, (posterior + anterior) / 2, (inferior + superior) / 2)
        for view in self.slicer.view_manager.get_threed_views():
            camera = view.renderer().GetActiveCamera()
            camera.SetFocalPoint(*center)
            camera.SetPosition(center[0], center[1] + 1.0, center[2])  # ResetCamera keeps the direction only
            camera.SetViewUp(0, 0, 1)
            view.renderer().ResetCamera(bounds)
            view.schedule_render()

    def _remove_shown(self) -> None:
        if self.volume_node is None:
            return
        self.editor.clear()
        removeSegmentation(self.segmentation_node)
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(self.scene)
        item = hierarchy.GetItemByDataNode(self.volume_node)
        if item:
            hierarchy.RemoveItem(item, False)
        for node in (self.volume_node.GetDisplayNode(), self.volume_node):
            self.scene.RemoveNode(node)
        self.volume_node = self.segmentation_node = None


def _four_up() -> Layout:
    """Axial and 3-D above coronal and sagittal, as in 3D Slicer."""
    above = [ViewLayoutDefinition.axial_view(), ViewLayoutDefinition.threed_view()]
    below = [ViewLayoutDefinition.coronal_view(), ViewLayoutDefinition.sagittal_view()]
    rows = [Layout(LayoutDirection.Horizontal, above), Layout(LayoutDirection.Horizontal, below)]
    return Layout(LayoutDirection.Vertical, rows)


def _view_tags(layout: Layout) -> Iterator[str]:
    """Yield the tags of the views of a layout, row by row."""
    for item in layout.items:
        if isinstance(item, Layout):
            yield from _view_tags(item)
        else:
            yield item.singleton_tag
