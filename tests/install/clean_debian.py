"""A clean Debian in a folder, with the network, the mirrors and pip's settings of this machine. Needs root.

Nothing of it outlives the shell: processes and mounts are in namespaces of their own.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SUITE: Final = "bookworm"
PACKAGES: Final = ("ca-certificates", "python3", "python3-venv")
_END: Final = "@@done"
_COPIED: Final = (
    "etc/resolv.conf",
    "etc/hosts",
    "etc/ssl/certs/ca-certificates.crt",
    "etc/pip.conf",
    "etc/xdg/pip",
    "root/.config/pip",
)
"""Of this machine: where names are looked up, which certificates are good, where pip looks."""
_PASSED: Final = re.compile(r"PIP_.*|https?_proxy|no_proxy|HTTPS?_PROXY|NO_PROXY|LANG")


class CommandFailedError(Exception):
    """A command ended with another status than 0; the message has the end of what it printed."""


def bootstrap(root: Path) -> None:
    """Install a minimal Debian into a new folder, from the mirror that this machine uses."""
    arguments = ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, str(root)]
    subprocess.run([*arguments, *_mirror()], check=True, stdout=subprocess.DEVNULL)
    for name in _COPIED:
        source, target = Path("/", name), root / name
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)
        elif source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            shutil.copy(source, target)


def _mirror() -> list[str]:
    """Return the mirror of this machine for the suite, nothing where it has none: debootstrap knows one."""
    told = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(SITE) $(CODENAME)", "Created-By: Packages"],
        check=False,
        capture_output=True,
        text=True,
    ).stdout
    return [site for site, _, name in (line.partition(" ") for line in told.splitlines()) if name == SUITE][
        :1
    ]


@dataclass
class Shell:
    """A shell in the Debian, which keeps its folder and variables from one command to the next."""

    process: subprocess.Popen[str]

    def run(self, command: str) -> tuple[str, float]:
        """Run a command to its end; returns what it printed, and seconds. Raises CommandFailedError."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        began = time.monotonic()
        self.process.stdin.write(f"{{ {command}\n}} </dev/null 2>&1; ended=$?; echo; echo {_END} $ended\n")
        self.process.stdin.flush()
        lines: list[str] = []
        for line in self.process.stdout:
            if line.startswith(_END):
                if (status := line.split()[1]) != "0":
                    raise CommandFailedError(
                        f"{command}\nended with status {status}:\n{''.join(lines[-40:])}"
                    )
                return "".join(lines), time.monotonic() - began
            lines.append(line)
        raise CommandFailedError(f"the shell ended in: {command}")


@contextmanager
def shell(root: Path, shared: Mapping[Path, str], variables: Mapping[str, str]) -> Iterator[Shell]:
    """Open a shell in the Debian; `shared` are folders of this machine by where they are read there."""
    passed = {name: value for name, value in os.environ.items() if _PASSED.fullmatch(name)} | dict(variables)
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "COLUMNS": "80", **passed}
    mounts = [f"mount -t proc proc {root}/proc", f"mount --rbind /dev {root}/dev"]
    for source, target in {**{path: str(path) for path in _local(root, passed)}, **shared}.items():
        place = root / target.lstrip("/")
        place.mkdir(parents=True, exist_ok=True)
        mounts.append(f"mount --bind -o ro {shlex.quote(str(source))} {shlex.quote(str(place))}")
    inside = " && ".join([*mounts, f"exec chroot {root} bash --noprofile --norc"])
    namespaces = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"]
    process = subprocess.Popen(
        [*namespaces, "bash", "-c", inside],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    opened = Shell(process)
    try:
        opened.run("cd /root")
        yield opened
    finally:
        process.kill()
        process.wait()


def _local(root: Path, variables: Mapping[str, str]) -> set[Path]:
    """Return the folders of this machine that pip's settings name."""
    texts = list(variables.values())
    for name in _COPIED:
        if "pip" in name and (root / name).exists():
            files = [root / name] if (root / name).is_file() else (root / name).rglob("*")
            texts += [file.read_text("utf-8") for file in files if file.is_file()]
    found = [one for text in texts for one in re.findall(r"(?:^|[\s=]|(file://))(/[\w./-]+)", text)]
    # What an index of files links to is beside it.
    named = {Path(path).parent if index else Path(path) for index, path in found}
    return {path for path in named if path.is_dir()}
