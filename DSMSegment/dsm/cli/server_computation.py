"""`dsm segment --server` with a scan of this computer: its voxels are sent, and the results written here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from dsm.cli.computation import Compute, Computed, wanted_options
from dsm.cli.question import is_confirmed
from dsm.core.loopback import is_loopback
from dsm.errors import ConfigError, RemoteError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from dsm.client.connection import Address
    from dsm.client.http import RemoteClient
    from dsm.core.prompt import Prompt
    from dsm.core.volume import Volume
    from dsm.progress import ProgressCallback
    from dsm.wire.messages import Progress

#: Share of each stage in percent, for the progress bar.
SERVER_STAGES = {"load": 5, "upload": 20, "encode": 55, "text": 2, "decode": 13, "write": 5}


@contextmanager
def server_computation(options: argparse.Namespace, prompts: Sequence[Prompt]) -> Iterator[Compute]:
    """Yield the computation by a server, once it answers and the user has agreed that the scan is sent.

    At the end, the scan is removed from the server.

    Raises:
        ConfigError: If there is no token, no such certificate file, or no encryption on the way to another machine.
        RemoteError: If the server cannot be reached or used, or the user does not agree (code `"remote.consent"`).
        InputError: If there is no terminal to ask on.
    """
    from dsm.client.connection import Address
    from dsm.client.http import RemoteClient
    from dsm.client.remote import Remote
    from dsm.models.store import no_click_network

    remote = Remote.at(options.server, options.certificate, os.environ)
    _check_encrypted(Address.parse(remote.address))
    with RemoteClient(remote.address, remote.token, certificate_file=remote.certificate or None) as client:
        if not client.ready.clicks and any(prompt.clicks for prompt in prompts):
            raise no_click_network(client.ready.model)
        if not options.yes and not is_confirmed(_consent_text(remote.address)):
            raise RemoteError("Nothing was sent: you did not agree.", code="remote.consent")
        yield partial(_compute, client, options, prompts)


def _consent_text(address: str) -> str:
    return (
        f"The scan leaves this computer. To {address} are sent: its voxels, their spacing, position and orientation, "
        "whether it is CT or MR, and your prompts. Names, identifiers and dates of the patient are not sent. The "
        "voxels of a head can show a face. The server removes the scan when the command ends.\n"
        "Do you agree?"
    )


def _check_encrypted(address: Address) -> None:
    if not address.tls and not is_loopback(address.host):
        raise ConfigError(
            f"The scan would cross the network to {address.host} unencrypted.",
            code="config.no_tls",
            hint="Write https://, or forward a port of this computer to the server.",
        )


def _compute(
    client: RemoteClient,
    options: argparse.Namespace,
    prompts: Sequence[Prompt],
    volume: Volume,
    progress: ProgressCallback,
) -> Computed:
    from dsm.client.session import ClientSession
    from dsm.core.segment_tags import Provenance

    def on_progress(event: Progress) -> None:
        if event.stage in SERVER_STAGES:
            progress(event.stage, event.done, event.total)

    session = ClientSession(client, on_progress=on_progress)
    session.load("")  # the model of the server
    results = session.prepare(volume, prompts).segment(prompts, wanted_options(options))
    ready = client.ready
    return Computed(
        results,
        Provenance(ready.model, ready.model_sha256, ready.worker, ready.device),
        {"server": ready.worker},
    )
