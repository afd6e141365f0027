"""The ServerApp's side of one Flower run: starts it, claims its task, and ends it. Every call blocks."""

from __future__ import annotations

import hashlib
import hmac
import io
import secrets
import time
import zipfile
from collections.abc import Callable, Mapping
from typing import Any, Final

from federation.errors import FederationError
from federation.flower import proto
from federation.flower.rpc import Channel, RpcRefused, RpcUnreachable
from federation.flower.superlink import SuperLinkAccess

COMPLETED: Final = "completed"
FAILED: Final = "failed"
STOPPED: Final = "stopped"

_TASK: Final = "flwr-serverapp"
_ACQUIRE: Final = "/flwr.proto.Runtime/AcquireTask"
_FINISHED: Final = "finished"
_RECENT: Final = 50
_START_WITHIN: Final = 20.0
_PAUSE: Final = 0.1
_PROJECT: Final = """\
[project]
name = "shoal"
version = "1.0.0"
description = "Secure sums of a Shoal group. Members answer with what they have installed."
license = "AGPL-3.0-or-later"
dependencies = []

[tool.flwr.app]
publisher = "shoal"

[tool.flwr.app.components]
serverapp = "federation.flower.app.server:app"
clientapp = "federation.flower.app.client:app"
"""
_BUNDLE_DATE: Final = (1980, 1, 1, 0, 0, 0)


class RunFailed(FederationError):
    """Flower did not start the run; the message says what to look at."""


class Task:
    """A run of ours and the claim on its ServerApp."""

    def __init__(self, control: Channel, runtime: Channel, run_id: int) -> None:
        self.run_id = run_id
        self._control = control
        self._runtime = runtime

    def ask(self, name: str, request: Any, answer: Any, **limits: Any) -> Any:
        """Call a method of the Runtime API; see `Channel.call`."""
        return self._runtime.call(f"/v1/runtime/{name}", request, answer, **limits)

    def beat(self) -> None:
        """Say that the ServerApp is alive: Flower fails a run of which it hears nothing for a minute."""
        self.ask(
            "send-task-heartbeat",
            proto.runtime.SendTaskHeartbeatRequest(),
            proto.runtime.SendTaskHeartbeatResponse,
        )

    def finish(self, outcome: str, details: str) -> None:
        """End the run, and have Flower drop its messages and objects; a run that is gone is no error."""
        try:
            if outcome == STOPPED:
                _stop(self._control, self.run_id)
            else:
                request = proto.runtime.PushTaskOutputRequest(sub_status=outcome, details=details)
                self.ask("push-task-output", request, proto.runtime.PushTaskOutputResponse)
            # Flower clears a finished run away when somebody looks at it (`control_handlers.list_runs`).
            _runs(self._control, run_id=self.run_id)
        except (RpcUnreachable, RpcRefused):
            pass
        finally:
            self.close()

    def close(self) -> None:
        """Close the connections."""
        self._control.close()
        self._runtime.close()


def start(access: SuperLinkAccess) -> Task:
    """Start a run and claim its task. What an earlier process of this host left unfinished is stopped first.

    Raises:
        RunFailed: the SuperLink does not answer, or does not start it.

    """
    try:
        ca, secret = access.ca.read_bytes(), access.secret.read_bytes()
    except OSError as error:
        raise RunFailed(
            f"the SuperLink's files cannot be read ({error.strerror}): start the daemon that hosts the group"
        ) from error
    control = Channel(access.address, ca)
    try:
        for run_id, run in _runs(control, limit=_RECENT).items():
            if run.status.status != _FINISHED:
                _stop(control, run_id)
        fab = proto.control.StartRunRequest().fab
        fab.content = bundle()
        fab.hash_str = hashlib.sha256(fab.content).hexdigest()
        answer = control.call(
            "/v1/control/start-run", proto.control.StartRunRequest(fab=fab), proto.control.StartRunResponse
        )
        if not answer.run_id:
            raise RunFailed("Flower did not start the run: see the SuperLink's log")
        token = _claim(access, ca, secret, int(answer.run_id))
        runtime = Channel(access.address, ca, lambda _method, _body: {"flwr-task-token": token})
        task = Task(control, runtime, int(answer.run_id))
        # What makes Flower count the run as running.
        task.ask("pull-task-input", proto.runtime.PullTaskInputRequest(), proto.runtime.PullTaskInputResponse)
    except (RpcUnreachable, RpcRefused) as error:
        control.close()
        raise RunFailed(f"the SuperLink started no run ({error}): check that the daemon is running") from None
    except BaseException:
        control.close()
        raise
    return task


def bundle() -> bytes:
    """Return the Flower App Bundle that a run is started with; no member of ours fetches it.

    It is the smallest that Flower takes, and always the same bytes, so that it is stored once.
    """
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo("pyproject.toml", _BUNDLE_DATE), _PROJECT)
    return content.getvalue()


def _claim(access: SuperLinkAccess, ca: bytes, secret: bytes, run_id: int) -> str:
    """Return the token of a run's task."""
    channel = Channel(access.address, ca, _signed(secret))
    request = proto.runtime.AcquireTaskRequest(supported_task_types=[_TASK])
    deadline = time.monotonic() + _START_WITHIN
    try:
        while time.monotonic() < deadline:
            answer = channel.call("/v1/runtime/acquire-task", request, proto.runtime.AcquireTaskResponse)
            if answer.token and int(answer.task.run_id) == run_id:
                return str(answer.token)
            # A task of another run: that run was just stopped.
            time.sleep(_PAUSE)
    finally:
        channel.close()
    raise RunFailed("Flower gave the run's task to nobody: see the SuperLink's log")


def _signed(secret: bytes) -> Callable[[str, bytes], Mapping[str, str]]:
    """Return headers that prove the secret (`supercore/auth/superexec.py`)."""
    key = hmac.new(secret, b"superexec-auth-v1", hashlib.sha256).digest()

    def headers(_method: str, body: bytes) -> Mapping[str, str]:
        now, nonce, digest = int(time.time()), secrets.token_hex(16), hashlib.sha256(body).hexdigest()
        text = f"method={_ACQUIRE}\nts={now}\nnonce={nonce}\nbody_sha256={digest}"
        return {
            "flwr-superexec-ts": str(now),
            "flwr-superexec-nonce": nonce,
            "flwr-superexec-body-sha256": digest,
            "flwr-superexec-signature": hmac.new(key, text.encode(), hashlib.sha256).hexdigest(),
        }

    return headers


def _runs(control: Channel, **which: int) -> Mapping[int, Any]:
    request = proto.control.ListRunsRequest(**which)
    answer = control.call("/v1/control/list-runs", request, proto.control.ListRunsResponse, most=16 << 20)
    return {int(run_id): run for run_id, run in answer.run_dict.items()}


def _stop(control: Channel, run_id: int) -> None:
    try:
        request = proto.control.StopRunRequest(run_id=run_id)
        control.call("/v1/control/stop-run", request, proto.control.StopRunResponse)
    except RpcRefused:
        # It has just ended.
        return
