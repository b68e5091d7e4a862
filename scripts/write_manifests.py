"""Write the manifests of the models in `model_weights`, after one of their files or the shared text bank changed."""

from __future__ import annotations

from pathlib import Path

from dsm.models.store import write_manifest

if __name__ == "__main__":
    for config in sorted(Path(__file__).resolve().parents[1].glob("model_weights/*/config.json")):
        print(write_manifest(config.parent))
