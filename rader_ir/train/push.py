"""Putting a finished checkpoint folder on the hub, with its card.

The folder goes up as it is, in one commit, except what only its maker can use. An adapter over a folder of this machine is
refused, since nobody else could open it.
"""

import os
import re
from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, HTTPError, OfflineModeIsEnabled

from rader_ir.checkpoint_folders import read_json
from rader_ir.checkpoints import read_folder
from rader_ir.train.card import CARD
from rader_ir.train.model_card import README, readme
from rader_ir.weights import check_whole

_STAYS = ["training/tensorboard/*", "states/*", ".*"]


def push(folder: str | os.PathLike, repository: str, *, private: bool = True, revision: str | None = None) -> str:
    """Upload a checkpoint folder; the repository is made if it is not there. Needs a login (`hf auth login`, or HF_TOKEN).

    Args:
        folder: as training has finished it. One without README.md gets it from the run's card.
        repository: `organisation/name`.
        private: of a repository that is made.
        revision: a branch to commit to; None takes `main`.

    Returns:
        The address of the commit.

    Raises:
        ValueError: no whole checkpoint, an adapter whose base is a folder of this machine, no card, or a wrong name.
        OSError: the hub cannot be reached or refuses.
    """
    folder = Path(folder).expanduser()
    if not re.fullmatch(r"[^/\s]+/[^/\s]+", repository):
        raise ValueError(f"{repository!r} is no name of a repository; give 'organisation/name'")
    _check(folder)
    api = HfApi()
    try:
        api.create_repo(repository, private=private, exist_ok=True)
        made = api.upload_folder(
            folder_path=folder,
            repo_id=repository,
            revision=revision,
            commit_message=f"Upload {folder.absolute().name}, made with rader-ir",
            ignore_patterns=_STAYS,
        )
    except HFValidationError as error:
        raise ValueError(f"{repository!r} is no name of a repository ({error}); give 'organisation/name'") from error
    except OfflineModeIsEnabled as error:
        raise OSError("the hub is switched off by HF_HUB_OFFLINE; unset it to push") from error
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else "no answer"
        advice = (
            "; log in by `hf auth login`, or set HF_TOKEN to a token that may write" if status in (401, 403) else ""
        )
        raise OSError(f"the hub refused {repository!r} ({status}: {error}){advice}") from error
    except HTTPError as error:  # of the hub's HTTP client, whose errors of transport are no OSErrors
        raise OSError(
            f"the hub at {api.endpoint} cannot be reached ({type(error).__name__}: {error}); the folder is as it was, push it "
            "again from where there is a network"
        ) from error
    return made.commit_url


def _check(folder: Path) -> None:
    if not folder.is_dir():
        raise ValueError(f"there is no folder {folder}; give one that `rader train` has finished")
    read_folder(folder)
    adapter = folder / "adapter_config.json"
    check_whole(folder, "adapter_model" if adapter.is_file() else "model")
    if adapter.is_file():
        base = read_json(adapter).get("base_model_name_or_path") or ""
        if Path(base).is_absolute() or (folder / base).is_dir():
            raise ValueError(
                f"{folder} is an adapter over {base}, a folder of this machine, which nobody else has; train with merged = true, "
                "or from a base on the hub"
            )
    if not (folder / README).is_file():
        card = folder / "training" / CARD
        if not card.is_file():
            raise ValueError(
                f"{folder} has neither {README} nor training/{CARD}; write a {README} that says what it is"
            )
        (folder / README).write_text(readme(read_json(card)), encoding="utf-8")
