"""The logger plugin `dicomzarr` of Snakemake: one line a stage. `./run` chooses it; see `dicomzarr.terminal`."""

from __future__ import annotations

import contextlib
import logging

from snakemake_interface_logger_plugins.base import LogHandlerBase

from dicomzarr.terminal.run_view import RunView, view_of_launcher


class LogHandler(LogHandlerBase):
    """Passes log records to the view of a run; a dry run is shown as Snakemake shows it."""

    view: RunView | None = None
    plain: logging.Handler | None = None

    def __post_init__(self) -> None:
        """Choose by the purpose of the command, which a profile may have set."""
        common = self.common_settings
        if common.dryrun or common.verbose:
            self.plain = _as_snakemake(common)
        else:
            self.view = view_of_launcher(quiet=bool(common.quiet))

    def emit(self, record: logging.LogRecord) -> None:
        """Show a record."""
        if self.view:
            # Events of another version may lack a field. The thread that calls this must not end.
            with contextlib.suppress(LookupError, TypeError, ValueError):
                self.view.take(record)
        elif self.plain:
            self.plain.handle(record)

    def close(self) -> None:
        """End the view."""
        if self.view:
            self.view.close()
        super().close()

    @property
    def writes_to_stream(self) -> bool:
        """Replace Snakemake's own handler of the terminal."""
        return True

    @property
    def writes_to_file(self) -> bool:
        """Snakemake writes its own log file."""
        return False

    @property
    def has_filter(self) -> bool:
        """Records are chosen by their event."""
        return True

    @property
    def has_formatter(self) -> bool:
        """Lines are made of the fields of events."""
        return True

    @property
    def needs_rulegraph(self) -> bool:
        """No rule graph is shown."""
        return False


def _as_snakemake(common: object) -> logging.Handler:
    """Return the handler that Snakemake would use without a plugin."""
    import sys

    from snakemake.logging import ColorizingTextHandler, DefaultFilter, DefaultFormatter

    quiet, stdout = getattr(common, "quiet", None) or set(), getattr(common, "stdout", False)
    return ColorizingTextHandler(
        nocolor=getattr(common, "nocolor", False),
        stream=sys.stdout if stdout else sys.stderr,
        formatter=DefaultFormatter(quiet, getattr(common, "show_failed_logs", False)),
        filter=DefaultFilter(
            quiet,
            getattr(common, "debug_dag", False),
            getattr(common, "verbose", False),
            getattr(common, "dryrun", False),
            getattr(common, "printshellcmds", False),
        ),
    )
