"""Tree of all vocabulary names by body region."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dsm.core.structure import Structure
from dsm.text.vocabulary import load_vocabulary
from DSMSegmentLib.application import qt
from DSMSegmentLib.application import tr as _

_REGIONS = ("head", "neck", "thorax", "abdomen", "pelvis", "spine", "upper limb", "lower limb", "whole body")


class StructureTree:
    """Filterable tree, filled when it is first shown.

    Args:
        tree: `QTreeWidget`.
        filterEdit: `QLineEdit`; only names with its text are shown.
        onPicked: Called with a name that was double-clicked.
    """

    def __init__(self, tree: Any, filterEdit: Any, onPicked: Callable[[str], None]) -> None:
        self._tree = tree
        self._filterEdit = filterEdit
        self._onPicked = onPicked
        self._names: dict[str, Any] = {}
        self._regions: list[Any] = []
        filterEdit.textChanged.connect(self._filter)
        tree.itemActivated.connect(self._onActivated)
        self.setVisible(False)

    def setVisible(self, visible: bool) -> None:
        """Show or hide the tree with its filter."""
        if visible and not self._names:
            self._fill()
        self._tree.setVisible(visible)
        self._filterEdit.setVisible(visible)

    def _fill(self) -> None:
        byRegion: dict[str, list[Structure]] = {}
        for structure in load_vocabulary().structures:
            byRegion.setdefault(structure.body_region, []).append(structure)
        for region in sorted(byRegion, key=lambda name: (_order(name), name)):
            parent = qt.QTreeWidgetItem(self._tree)
            parent.setText(0, _("{region} ({count})").format(region=region.capitalize(), count=len(byRegion[region])))
            self._regions.append(parent)
            for structure in sorted(byRegion[region], key=lambda one: one.name):
                item = qt.QTreeWidgetItem(parent)
                item.setText(0, structure.name)
                item.setToolTip(0, ", ".join(structure.synonyms))
                self._names[structure.name] = item

    def _filter(self, _text: str = "") -> None:
        text = self._filterEdit.text.strip()
        found = {structure.name for structure in load_vocabulary().search(text)} if text else set(self._names)
        for name, item in self._names.items():
            item.setHidden(name not in found)
        for region in self._regions:
            hits = sum(not region.child(n).isHidden() for n in range(region.childCount()))
            region.setHidden(hits == 0)
            region.setExpanded(bool(text) and hits > 0)

    def _onActivated(self, item: Any, _column: int = 0) -> None:
        if item.parent() is not None:
            self._onPicked(item.text(0))


def _order(region: str) -> int:
    return _REGIONS.index(region) if region in _REGIONS else len(_REGIONS)
