"""One YAML file to frozen structs; everything wrong with it is told at once, by line. Light to import: YAML is not."""

from typing import Any

from trunkline.config.effective import effective
from trunkline.config.load import load
from trunkline.config.problems import ConfigError, Problem
from trunkline.config.schema import Config

__all__ = ["Config", "ConfigError", "Problem", "effective", "json_schema", "load"]


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the file, a description for every setting. Made on demand, from the source."""
    from trunkline.config.describe import json_schema

    return json_schema()
