"""Dagster's web server behind our guard: ``python -m phenoassets.cli.webserver HOST PORT [--read-only]``.

In go an address and the home in the environment; it serves until a signal ends it. Who starts it is ``serve``; what it
refuses is ``guard``'s.
"""

import click
import dagster as dg
import uvicorn
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster._utils.log import configure_loggers
from dagster_webserver.app import create_app_from_workspace_process_context
from dagster_webserver.version import __version__

from phenoassets.cli.guard import SamePageOnly

_POLL_MILLISECONDS = 2000  # how often a page asks for what is new
_STATEMENT_MILLISECONDS = 15_000
_RECYCLE_SECONDS = 3600
_OVERFLOW = 20


@click.command()
@click.argument("host")
@click.argument("port", type=int)
@click.option("--read-only", is_flag=True)
def main(host: str, port: int, read_only: bool) -> None:
    """Serve the UI of the home in the environment."""
    configure_loggers(formatter="colored", log_level="WARNING")
    with dg.DagsterInstance.get() as instance:
        instance.optimize_for_webserver(_STATEMENT_MILLISECONDS, _RECYCLE_SECONDS, _OVERFLOW)
        with WorkspaceProcessContext(
            instance,
            workspace_load_target=WorkspaceFileTarget(["workspace.yaml"]),
            version=__version__,
            code_server_log_level="warning",
            read_only=read_only,
        ) as context:
            page = create_app_from_workspace_process_context(context, live_data_poll_rate=_POLL_MILLISECONDS)
            uvicorn.run(SamePageOnly(page, host), host=host, port=port, log_level="warning", lifespan="off")


if __name__ == "__main__":
    main()
