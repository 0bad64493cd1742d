"""What a daemon starts with: its file, or what was applied last if that is broken."""

import os
import resource
import sys
from pathlib import Path

from router import compiled
from router.control.admin import AdminAddresses
from router.control.admin_caller import CallerLimits
from router.control.admin_socket import socket_path
from router.control.config.load import ConfigError, Loaded, load_config, load_content
from router.control.config.schema import AdminConfig, RouterConfig
from router.control.config.watch import Changed, FileEvent, current
from router.control.history import ConfigHistory
from router.control.options import ServeOptions
from router.core.admission import affordable_connections


class StartError(Exception):
    """The daemon cannot start; the message is for the operator."""


def read_file(path: Path) -> tuple[FileEvent, Loaded | None, ConfigError | None]:
    """What is in the config file, and the config that it is, or why it is none."""
    found = current(path)
    try:
        loaded = load_content(found.content, path) if isinstance(found, Changed) else load_config(path)
    except ConfigError as error:
        return found, None, error
    return Changed(loaded.content), loaded, None


def state_dir_of(options: ServeOptions, config: RouterConfig | None) -> Path:
    """Where the state is: as the command says, or systemd, or the config, or beside the config."""
    if options.state_dir is not None:
        return options.state_dir.absolute()
    if directory := os.environ.get("STATE_DIRECTORY"):
        return Path(directory.partition(":")[0])
    return config.state_dir if config is not None else options.config.absolute().parent / ".teal"


def last_good(history: ConfigHistory, path: Path, refused: ConfigError | None) -> Loaded:
    """What was applied last, for a daemon whose file is broken when it starts.

    Raises:
        StartError: nothing was ever applied that can be.
    """
    text = history.last_applied()
    if text is not None:
        try:
            return load_content(text.encode(), path)
        except ConfigError:
            pass  # written by another version; the file's own problems are what the operator can act on
    raise nothing_to_serve(refused)


def nothing_to_serve(refused: ConfigError | None) -> StartError:
    """The file cannot be served, and there is nothing else."""
    return StartError(f"{refused}\nteal: nothing to serve: no config was ever applied that could take its place")


def slots_of(config: RouterConfig) -> int:
    """How many proxy processes there are."""
    processes = config.proxy.processes
    return len(os.sched_getaffinity(0)) if processes == "auto" else processes


def proxy_arguments(config: RouterConfig) -> list[str]:
    """Options of every proxy process."""
    style = config.log.format
    if style == "auto":
        style = "console" if os.isatty(sys.stdout.fileno()) else "json"
    return ["--log-format", style, "--log-level", config.log.level]


def admin_addresses(admin: AdminConfig, state_dir: Path) -> AdminAddresses:
    """Where the admin site is, and what its callers may take."""
    limits = CallerLimits(
        max_connections=admin.max_connections,
        head_s=admin.head_timeout_s,
        body_s=admin.body_timeout_s,
        idle_s=admin.idle_timeout_s,
    )
    return AdminAddresses(socket=socket_path(state_dir), http=admin.address, token_file=admin.token_file, limits=limits)


def start_facts(config: RouterConfig) -> dict[str, object]:
    """What a start tells of how it will serve. Reads the sources of the request path, which takes milliseconds.

    Limits are those of the config as far as there are descriptors for them; `max_files` is what a proxy may have open:
    as much as this process, which has raised its own limit.
    """
    max_files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    proxies = slots_of(config)
    return {
        "tls": config.tls is not None,
        "proxies": proxies,
        "request_path": "compiled" if compiled.is_usable() else "interpreted",
        "max_connections": min(config.limits.max_connections, proxies * affordable_connections(max_files)),
        "max_connections_per_address": config.limits.max_connections_per_address,
        "max_files": max_files,
    }
