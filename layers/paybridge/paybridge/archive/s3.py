"""Amazon S3 as the store of the archive. boto3 is imported late."""

from __future__ import annotations

import base64
import hashlib
from functools import cached_property
from typing import Any

from paybridge.archive.ports import ArchiveDamaged, StoreUnavailable

# A file has a few megabytes.
CONNECT_SECONDS_MAX = 3
READ_SECONDS_MAX = 30
ATTEMPTS_MAX = 4


class S3:
    """An ObjectStore."""

    def put(self, bucket: str, key: str, content: bytes) -> None:
        """Store an object. S3 compares its SHA-256 with ours, and keeps it."""
        checksum = base64.b64encode(hashlib.sha256(content).digest()).decode()
        self._call("put_object", Bucket=bucket, Key=key, Body=content, ChecksumSHA256=checksum)

    def get(self, bucket: str, key: str) -> bytes:
        """Return an object, whose SHA-256 boto3 compares with the one that S3 keeps."""
        from botocore.exceptions import BotoCoreError, HTTPClientError

        answer = self._call("get_object", Bucket=bucket, Key=key, ChecksumMode="ENABLED")
        try:
            content: bytes = answer["Body"].read()
        except HTTPClientError as error:
            raise StoreUnavailable(f"S3 broke off the object {key}: {error}") from None
        except BotoCoreError as error:
            raise ArchiveDamaged(f"The object {key} is not what S3 was given: {error}") from None
        return content

    def _call(self, name: str, **parameters: Any) -> dict[str, Any]:
        from botocore.exceptions import BotoCoreError, ClientError

        place = f"s3://{parameters['Bucket']}/{parameters['Key']}"
        try:
            answer: dict[str, Any] = getattr(self._client, name)(**parameters)
            return answer
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            if code in {"NoSuchKey", "404"}:
                raise ArchiveDamaged(f"{place} is gone.") from None
            if code == "InvalidObjectState":
                sentence = f"{place} is in a storage class without direct access: restore the object in S3 first."
                raise StoreUnavailable(sentence) from None
            raise StoreUnavailable(f"S3 refused {name} of {place}: {code}.") from None
        except BotoCoreError as error:
            raise StoreUnavailable(f"S3 does not answer about {place}: {error}") from None

    @cached_property
    def _client(self) -> Any:
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            config=Config(
                connect_timeout=CONNECT_SECONDS_MAX,
                read_timeout=READ_SECONDS_MAX,
                retries={"total_max_attempts": ATTEMPTS_MAX, "mode": "standard"},
                # The AWS fake and emulators have no names for buckets.
                s3={"addressing_style": "path"},
            ),
        )
