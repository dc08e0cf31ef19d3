"""A Databricks workspace on this machine: an HTTP server that answers as the REST API does and runs tasks as real processes.

``Workspace`` is a context manager. Each API lives in a module of this package that has ``register(workspace: Workspace)``
at module level; every such module (but not test modules) is found and registered by itself, so a new API is a new file:

    def register(workspace: Workspace) -> None:
        warehouses = Warehouses(workspace)                     # the state of the API
        workspace.parts["warehouses"] = warehouses             # where other modules and tests find it
        workspace.routes.add("POST", "/api/2.0/sql/warehouses", warehouses.create, accepts=WarehousesAPI.create)
        workspace.routes.add("GET", "/api/2.0/sql/warehouses/{id}", warehouses.get)

A handler takes the ``Request`` and the named parts of the path as keyword arguments. It gives an SDK dataclass (sent as
``as_dict()``), None (an empty object) or a ``Payload`` (bytes); ``raise ApiError(status, error_code, message)`` is how it
refuses. ``accepts`` is the SDK's method or request dataclass: a field that it does not know, or of another type, is
refused with 400 INVALID_PARAMETER_VALUE. ``absent`` makes the error a route gives for something that does not exist (yet).
"""

from .faults import (
    Cancelled,
    ConnectionDropped,
    DriverLost,
    Fault,
    Killed,
    NeverStarts,
    NotYetVisible,
    Refused,
    ServerError,
    SlowAnswer,
    SlowStart,
    SpotLoss,
    TokenExpired,
    TooManyRequests,
    TruncatedDownload,
    TruncatedOutput,
)
from .routes import ApiError, Payload, Request
from .workspace import Workspace

__all__ = [
    "ApiError",
    "Cancelled",
    "ConnectionDropped",
    "DriverLost",
    "Fault",
    "Killed",
    "NeverStarts",
    "NotYetVisible",
    "Payload",
    "Refused",
    "Request",
    "ServerError",
    "SlowAnswer",
    "SlowStart",
    "SpotLoss",
    "TokenExpired",
    "TooManyRequests",
    "TruncatedDownload",
    "TruncatedOutput",
    "Workspace",
]
