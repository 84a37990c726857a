"""AWS keys by the default chain: environment, web identity, shared files, container, instance.

The chain is that of AWS's SDKs ("Standardized credential providers", AWS SDKs and Tools reference guide), without their
weight. What the shared files can say beyond plain keys (SSO, a process, a source profile) is left to botocore, the
extra `bedrock`.
"""

from __future__ import annotations

import asyncio
import configparser
from collections.abc import Mapping
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from trunkline.core.errors import CredentialUnavailable
from trunkline.edge.credentials.issuer import Issuer, parsed
from trunkline.edge.credentials.renewed import Held, Renewed
from trunkline.edge.credentials.sources import Clock, FromFile, Source
from trunkline.edge.credentials.sts import Sts
from trunkline.providers.signing import AwsKeys

KEPT = 300.0
"""Seconds that keys are used before they are looked for again where they name no end of their own."""
CONTAINER = "http://169.254.170.2"
INSTANCE = "http://169.254.169.254"
_INSTANCE_ROLE = "/latest/meta-data/iam/security-credentials/"
_TOKEN_LIFE = "21600"  # noqa: S105 - seconds


class Chain:
    """The default chain. `profile`: the one of the shared files to use, which then is all that is asked."""

    def __init__(self, profile: str | None, issuer: Issuer, sts: Sts, environ: Mapping[str, str], clock: Clock) -> None:
        self._profile = profile
        self._issuer = issuer
        self._sts = sts
        self._environ = environ
        self._clock = clock
        self._library: Any = None

    def source(self) -> Renewed[AwsKeys]:
        return Renewed(self._fetch, self._clock)

    async def _fetch(self) -> Held[AwsKeys]:
        everywhere = (self._environment, self._web_identity, self._shared, self._container, self._instance)
        for link in everywhere if self._profile is None else (self._shared,):
            found = await link()
            if found is not None:
                return found
        if self._profile is not None:
            raise CredentialUnavailable(f"the shared AWS files have no usable profile {self._profile!r}")
        raise CredentialUnavailable("no AWS keys: not in the environment, the shared files, or of the machine")

    def _lasting(self, keys: AwsKeys, until: float | None = None) -> Held[AwsKeys]:
        now = self._clock()
        return Held.lasting(keys, now, KEPT if until is None else max(until - now, 1.0))

    async def _environment(self) -> Held[AwsKeys] | None:
        identity, secret = (self._environ.get(name) for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))
        if not identity or not secret:
            return None
        return self._lasting(AwsKeys(identity, secret, self._environ.get("AWS_SESSION_TOKEN") or None))

    async def _web_identity(self) -> Held[AwsKeys] | None:
        file, role = self._environ.get("AWS_WEB_IDENTITY_TOKEN_FILE"), self._environ.get("AWS_ROLE_ARN")
        if not file or not role:
            return None
        session = self._environ.get("AWS_ROLE_SESSION_NAME") or "trunkline"
        return self._lasting(*await self._sts.by_token(role, session, await FromFile(file).get()))

    async def _shared(self) -> Held[AwsKeys] | None:
        name = self._profile or self._environ.get("AWS_PROFILE") or "default"
        section = await asyncio.to_thread(_profile, self._environ, name)
        match section:
            case None:
                return None
            case {"aws_access_key_id": identity, "aws_secret_access_key": secret} if "role_arn" not in section:
                return self._lasting(AwsKeys(identity, secret, section.get("aws_session_token")))
            case _ if {"role_arn", "sso_session", "sso_start_url", "credential_process"} & section.keys():
                return self._lasting(await asyncio.to_thread(self._by_library, name))
        return None

    def _by_library(self, profile: str) -> AwsKeys:
        try:
            exceptions = import_module("botocore.exceptions")
            session = import_module("botocore.session")
        except ImportError:
            raise CredentialUnavailable(
                f"the AWS profile {profile!r} needs a library that is not installed: pip install 'trunkline[bedrock]'"
            ) from None
        try:
            if self._library is None:
                self._library = session.Session(profile=profile).get_credentials()
            keys = self._library.get_frozen_credentials() if self._library is not None else None
        except (exceptions.BotoCoreError, exceptions.ClientError) as error:
            raise CredentialUnavailable(f"the AWS profile {profile!r} failed: {type(error).__name__}") from None
        if keys is None:
            raise CredentialUnavailable(f"the AWS profile {profile!r} gives no keys")
        return AwsKeys(keys.access_key, keys.secret_key, keys.token)

    async def _container(self) -> Held[AwsKeys] | None:
        relative = self._environ.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
        url = f"{CONTAINER}{relative}" if relative else self._environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")
        if not url:
            return None
        token = self._environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN")
        file = self._environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
        if file:
            token = await FromFile(file).get()
        return self._read(url, await self._issuer.get(url, {"authorization": token} if token else {}))

    async def _instance(self) -> Held[AwsKeys] | None:
        """IMDSv2."""
        if self._environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
            return None
        base = (self._environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or INSTANCE).rstrip("/")
        try:
            session = await self._issuer.put(
                f"{base}/latest/api/token", {"x-aws-ec2-metadata-token-ttl-seconds": _TOKEN_LIFE}
            )
        except CredentialUnavailable:
            return None  # not such a machine
        headers = {"x-aws-ec2-metadata-token": session.decode("ascii", "replace").strip()}
        roles = (await self._issuer.get(base + _INSTANCE_ROLE, headers)).decode("utf-8", "replace").split()
        if not roles:
            return None
        url = f"{base}{_INSTANCE_ROLE}{roles[0]}"
        return self._read(url, await self._issuer.get(url, headers))

    def _read(self, url: str, data: bytes) -> Held[AwsKeys]:
        """What container and instance answer alike."""
        match parsed(url, data):
            case {"AccessKeyId": str(identity), "SecretAccessKey": str(secret), "Token": str(token), **rest}:
                return self._lasting(AwsKeys(identity, secret, token), moment(rest.get("Expiration")))
        raise CredentialUnavailable("the machine's metadata service answered without AWS keys")


def assumed(sts: Sts, role: str, external_id: str | None, keys: Source[AwsKeys], clock: Clock) -> Renewed[AwsKeys]:
    """A role's keys, by those of whoever may assume it."""

    async def fetch() -> Held[AwsKeys]:
        found, until = await sts.by_keys(role, external_id, await keys.get())
        return Held.lasting(found, clock(), max(until - clock(), 1.0))

    return Renewed(fetch, clock, keys)


def moment(text: object) -> float | None:
    """Seconds since the epoch of an ISO 8601 time."""
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return None


def _profile(environ: Mapping[str, str], name: str) -> dict[str, str] | None:
    """A profile of the two shared files together; the credentials' file counts more. Raises CredentialUnavailable."""
    home = Path(environ.get("HOME", "/nonexistent")) / ".aws"
    found: dict[str, str] = {}
    for path, section in (
        (environ.get("AWS_CONFIG_FILE") or home / "config", name if name == "default" else f"profile {name}"),
        (environ.get("AWS_SHARED_CREDENTIALS_FILE") or home / "credentials", name),
    ):
        parser = configparser.RawConfigParser(strict=False)
        try:
            parser.read(path, "utf-8")
        except (configparser.Error, OSError, UnicodeDecodeError):
            raise CredentialUnavailable(f"the shared AWS file {path} cannot be read") from None
        if parser.has_section(section):
            found |= dict(parser.items(section))
    return found or None
