"""Repositories of the hub on this machine: found in the hub's cache, or downloaded into it. Without torch.

Only config.json and safetensors are fetched: a pickle may run code.
"""

from __future__ import annotations

from pathlib import Path

from forecasters.kronos.files import CONFIG, INDEX, WEIGHTS, CheckpointError, untrusted, weight_files
from forecasters.progress import report

_WANTED = [CONFIG, WEIGHTS, INDEX, "model-*.safetensors"]


def cached(name: str, revision: str) -> Path | None:
    """The folder of a snapshot. None as well where a download was cut off: it goes on where it was.

    Raises CheckpointError where others could have written it.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(name, revision=revision, allow_patterns=_WANTED, local_files_only=True))
        weight_files(folder)
    except (LocalEntryNotFoundError, OSError, ValueError, CheckpointError):
        return None
    if why := untrusted(folder):
        raise CheckpointError(f"in the hub's cache, {why}")
    return folder if (folder / CONFIG).is_file() else None


def downloaded(name: str, revision: str, advice: str) -> Path:
    """Raises CheckpointError, with the advice, where it can't be."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    report(f"downloading {name}@{revision[:12]}")
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=_WANTED))
    except (HfHubHTTPError, OSError, ValueError) as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(
            f"{name}@{revision[:12]} is not in the hub's cache and can't be downloaded ({why}): {advice}"
        ) from error
