"""Read a YAML file of keys and values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from experiments.errors import UsageError


def read_tree(path: Path) -> dict[str, Any]:
    """A YAML file of keys and values, safely loaded."""
    try:
        tree = yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror or error})") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UsageError(f"{path}: not YAML ({' '.join(str(error).split())})") from None
    if not isinstance(tree, dict):
        raise UsageError(f"{path}: expected keys and values, got {type(tree).__name__}")
    return tree
