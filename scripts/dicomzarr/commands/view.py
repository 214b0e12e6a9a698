"""`./run view`: look at the voxels and masks of a dataset in a browser, served by this machine alone."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from dicomzarr.commands.launcher.command_table import BY_NAME, NO_OPEN
from dicomzarr.commands.launcher.options import folder_of_copy, no_dataset, parse, results_of
from dicomzarr.commands.launcher.processes import Stopped, say
from dicomzarr.terminal.screen import counted


def run_view(arguments: Sequence[str]) -> int:
    """Serve a dataset and the viewer until Ctrl-C, and open the page in a browser.

    Raises
    ------
    UserError
        If an argument is wrong, there is no such array, the port is in use, or a table is damaged.
    Stopped
        When SIGINT or SIGTERM ends it.
    """
    from dicomzarr.commands import array_ids, serving

    options = parse(BY_NAME["view"], arguments)
    wanted_port = serving.port_of(options.last("--port") or "0")
    results = None if options.has("--dataset") else results_of(options)
    place = results.root if results else folder_of_copy(options.last("--dataset"), "--dataset")
    from dicomzarr.viewer import catalogue, client

    try:
        dataset = catalogue.dataset_folder(place)
    except catalogue.NoDataset as error:
        say(f"run: {no_dataset(results, options, 'finished dataset') if results else error}")
        return 1
    place = dataset if results else place
    tables = catalogue.Tables(dataset)
    tables.refresh()
    arrays = list(tables.images())
    array = array_ids.find_array(arrays, options.positional[0]) if options.positional else ""
    folder = client.client_folder()
    from dicomzarr.viewer import local_server, server

    served = server.Served(dataset, tables, folder, secrets.token_urlsafe(12))

    def announce(port: int) -> str:
        address = f"http://{local_server.HOST}:{port}/{served.token}/" + (f"view/{array}" if array else "")
        print(f"{counted(len(arrays), 'array')} in {place}\n{address}\nCtrl-C ends the viewer", flush=True)
        return address

    number = serving.serve(
        lambda port: server.start(served, port), wanted_port, announce, opens=not options.has(NO_OPEN.name)
    )
    raise Stopped(number)
