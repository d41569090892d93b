"""Put an export on the Hugging Face hub, with a token that stands in the environment alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from huggingface_hub.errors import HTTPError

from vapo.errors import ConfigError

TOKEN = "HF_TOKEN"


class Hub:
    """A place on the hub that may be written to, found out before anything is computed.

    Args:
        name: OWNER/NAME of the model there; it is made if it does not exist.
        private: whether only its owner may see it then.

    Raises:
        ConfigError: the name is none, there is no token, or the hub does not take it.
    """

    def __init__(self, name: str, *, private: bool = False) -> None:
        from huggingface_hub import HfApi
        from huggingface_hub.errors import HFValidationError
        from huggingface_hub.utils import validate_repo_id

        try:
            validate_repo_id(name)
        except HFValidationError as error:
            raise ConfigError(f"{name!r} is no name of a model on the hub; write it as OWNER/NAME") from error
        token = os.environ.get(TOKEN)
        if not token:
            raise ConfigError(
                f"pushing to {name} needs a token; put one that may write into the environment variable {TOKEN} "
                "(https://huggingface.co/settings/tokens)"
            )
        self._name = name
        self._private = private
        self._api: Any = HfApi(token=token)
        try:
            self._api.whoami()
        except (OSError, HTTPError, ValueError) as error:  # no network; no JSON; a token that no header can hold
            # The token is in no message: the hub's own words are left out.
            raise ConfigError(
                f"the hub cannot be asked with the token in {TOKEN} ({type(error).__name__}); check the token and the "
                "network, or export without --push-to-hub and upload later"
            ) from None

    def push(self, folder: Path) -> str:
        """Upload a folder as it is and return its address.

        Raises:
            ConfigError: it could not be uploaded; the folder is complete all the same.
        """
        try:
            self._api.create_repo(self._name, private=self._private, exist_ok=True)
            self._api.upload_folder(repo_id=self._name, folder_path=folder)
        except Exception as error:  # an answer that is not the hub's makes its client fail in any way
            raise ConfigError(
                f"{folder} is complete but could not be pushed to {self._name} ({type(error).__name__}); once the "
                f"token may write there and the network is back: hf upload {self._name} {folder}"
            ) from None
        return f"{self._api.endpoint}/{self._name}"
