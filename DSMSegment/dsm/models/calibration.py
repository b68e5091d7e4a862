"""Presence decision and score of a model, fitted on validation cases: `calibration.json` in its folder."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dsm.core.evidence import Evidence
from dsm.errors import WeightsError

CALIBRATION_FILE = "calibration.json"
DOUBTFUL_BELOW = 0.8
_LEAST_ML = 0.01
_CLIP = 30.0  # of logits


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Logistic models: presence and score over the same features, shared by all names, and laterality.

    Args:
        model_digest: `ModelEntry.digest` of configuration and weights that it was fitted for.
        typical_ml: Median labelled volume of each learned name in a whole scan; fitted together with the weights, and
            no prior for one object (`dsm.inference.expected_volume` says why).
        presence: Weights of `features` for "the structure is in the scan".
        least_presence: A structure is found from this probability on.
        score: Weights of `features` for "Dice is 0.5 or more".
        doubtful_below: Score below which few masks of a Dice of 0.8 or more lie.
        laterality: Weights of `laterality_features` for "left and right are right"; empty where not fitted.
        measured: Sample sizes, error shares, reliability curve; for the model card.
    """

    model_digest: str
    typical_ml: Mapping[str, float]
    presence: tuple[float, ...]
    least_presence: float
    score: tuple[float, ...]
    doubtful_below: float = DOUBTFUL_BELOW
    laterality: tuple[float, ...] = ()
    measured: Mapping[str, Any] = field(default_factory=dict)

    def is_present(self, name: str, evidence: Evidence) -> bool:
        """Decide whether a learned structure is in the scan."""
        return probability(self.presence, self.features(name, evidence)) >= self.least_presence

    def score_of(self, name: str, evidence: Evidence) -> float:
        """Return the probability that the mask of a learned structure has a Dice of 0.5 or more."""
        return probability(self.score, self.features(name, evidence))

    def features(self, name: str, evidence: Evidence) -> tuple[float, ...]:
        """Return the features of both models, see `features_of`."""
        return features_of(evidence, self.typical_ml.get(name))

    def save(self, folder: Path | str) -> Path:
        """Write `calibration.json` into a model folder; write its manifest anew afterwards."""
        path = Path(folder, CALIBRATION_FILE)
        path.write_text(json.dumps(asdict(self), indent=1, allow_nan=False) + "\n", encoding="utf-8")
        return path

    @classmethod
    def load(cls, folder: Path | str, *, model_digest: str) -> Calibration | None:
        """Read `calibration.json`; None where there is none, or one for another configuration or other weights.

        Raises:
            WeightsError: If the file is damaged.
        """
        path = Path(folder, CALIBRATION_FILE)
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            found = cls(
                model_digest=str(values["model_digest"]),
                typical_ml={str(name): float(ml) for name, ml in values["typical_ml"].items()},
                presence=tuple(float(weight) for weight in values["presence"]),
                least_presence=float(values["least_presence"]),
                score=tuple(float(weight) for weight in values["score"]),
                doubtful_below=float(values.get("doubtful_below", DOUBTFUL_BELOW)),
                laterality=tuple(float(weight) for weight in values.get("laterality", ())),
                measured=dict(values["measured"]),
            )
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            msg = f"{path} is damaged."
            raise WeightsError(msg, hint="Install the model again.", details=repr(error)) from error
        return found if found.model_digest == model_digest else None


def features_of(evidence: Evidence, typical_ml: float | None) -> tuple[float, ...]:
    """Return 1, presence logit, logit of the mean probability, and the relative size of the mask.

    The size is the decadic logarithm of the volume over the typical one, at most 0; 0 where none is known.
    """
    mean = min(max(evidence.mean_probability, 1e-6), 1 - 1e-6)
    smaller = 0.0
    if typical_ml:
        smaller = min(0.0, math.log10(max(evidence.volume_ml, _LEAST_ML) / typical_ml))
    presence = min(max(evidence.presence_logit, -_CLIP), _CLIP)
    return 1.0, presence, math.log(mean / (1 - mean)), smaller


def probability(weights: tuple[float, ...], features: tuple[float, ...]) -> float:
    """Return the logistic function of the weighted sum."""
    total = sum(weight * feature for weight, feature in zip(weights, features, strict=True))
    return 1 / (1 + math.exp(-min(max(total, -_CLIP), _CLIP)))
