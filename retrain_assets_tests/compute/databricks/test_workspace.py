from __future__ import annotations

import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from retrain_assets.compute.databricks.workspace import asking, connect
from retrain_assets.contract import StageError
from retrain_assets_tests.workspace import TokenExpired, Workspace


@pytest.fixture
def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture
def other_site() -> Iterator[str]:
    """A web server that is no workspace."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>Welcome</html>")

        def log_message(self, *arguments: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Page)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_missing_credentials_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABRICKS_HOST", raising=False)
    with pytest.raises(StageError, match="set DATABRICKS_HOST with DATABRICKS_CLIENT_ID"):
        connect()


@pytest.mark.parametrize("host", ["http://127.0.0.1:{port}", "https://no-such-workspace.invalid"])
def test_a_host_where_nobody_answers_is_one_line_at_once(free_port: int, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DATABRICKS_HOST", host.format(port=free_port))
    monkeypatch.setenv("DATABRICKS_TOKEN", "dapi")
    with pytest.raises(StageError, match="no workspace answers there") as told:
        connect()
    assert told.value.where.startswith("DATABRICKS_HOST http")


def test_a_host_that_is_no_workspace_is_told(other_site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_HOST", other_site)
    monkeypatch.setenv("DATABRICKS_TOKEN", "dapi")
    with pytest.raises(StageError, match="not as a Databricks workspace"), asking("job", "jobs"):
        list(connect().jobs.list())


@pytest.mark.parametrize("status", [401, 403])
def test_an_expired_token_is_told_from_a_missing_privilege(workspace: Workspace, environment: None, status: int) -> None:
    workspace.misbehave(TokenExpired(status=status), on="GET *")
    with pytest.raises(StageError, match="does not accept the credentials: expired"), asking("job", "jobs"):
        list(connect().jobs.list())


def test_no_error_tells_the_token(workspace: Workspace, environment: None) -> None:
    with pytest.raises(StageError) as told, asking("job", "job 9"):
        connect().jobs.get(9)
    assert workspace.token not in told.value.line
    assert "Config" not in told.value.line
