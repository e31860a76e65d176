"""Processes of another PID namespace or with mounts of their own, where the system lets a test have them."""

import functools
import os
import shutil
import subprocess

import pytest

PIDS = ("--pid", "--fork", "--mount-proc")
MOUNTS = ("--mount",)
READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'


def apart(options):
    """Command that starts another with namespaces of its own; skips the test where there are none to be had."""
    command = ["unshare", *([] if os.geteuid() == 0 else ["--map-root-user"]), *options]
    if why := _why_not(tuple(command)):
        pytest.skip(why)
    return command


def read_only(folder):
    """Command that starts another for which `folder` may only be read; skips the test where that cannot be had."""
    command = [*apart(MOUNTS), "sh", "-c", READ_ONLY, str(folder)]
    if why := _why_not(tuple(command)):
        pytest.skip(why)
    return command


@functools.cache
def _why_not(command):
    if shutil.which(command[0]) is None:
        return f"there is no {command[0]}"
    tried = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
    return f"no namespace is to be had: {tried.stderr.strip()}" if tried.returncode else ""
