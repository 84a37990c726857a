"""One YAML file to frozen structs; everything wrong with it is told at once, by line. Light to import: YAML is not."""

from trunkline.config.describe import json_schema
from trunkline.config.effective import effective
from trunkline.config.load import load
from trunkline.config.problems import ConfigError, Problem
from trunkline.config.schema import Config, ModelSettings, TargetSettings

__all__ = ["Config", "ConfigError", "ModelSettings", "Problem", "TargetSettings", "effective", "json_schema", "load"]
