"""The composition root: what is opened, the pipeline in order, the endpoints, and how a configuration is taken up."""

from trunkline.app.gateway import Gateway

__all__ = ["Gateway"]
