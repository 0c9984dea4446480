"""What is said of an error's cause, and what is not."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError
from hypothesis import given
from hypothesis import strategies as st

from paybridge.core.causes import cause_of, causes_of, root_of
from paybridge.core.errors import DatabaseUnavailable, QueryFailed, SecretUnavailable, SettingsInvalid

USER = "User: arn:aws:sts::123456789012:assumed-role/paybridge-dev-api/paybridge-dev-api"


def refused(code: str, message: str = "") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "GetSecretValue")


class TestCauseOf:
    @pytest.mark.parametrize(
        ("error", "cause"),
        [
            (
                refused("AccessDeniedException", f"{USER} is not authorized to perform: kms:Decrypt on resource: arn"),
                "AccessDeniedException (kms:Decrypt)",
            ),
            (
                refused(
                    "AccessDeniedException",
                    f"{USER} is not authorized to perform: secretsmanager:GetSecretValue on resource: arn because no "
                    "identity-based policy allows the secretsmanager:GetSecretValue action",
                ),
                "AccessDeniedException (secretsmanager:GetSecretValue)",
            ),
            (refused("AccessDeniedException", "Access to KMS is not allowed"), "AccessDeniedException (kms:Decrypt)"),
            (refused("ThrottlingException"), "ThrottlingException (GetSecretValue)"),
            (
                refused("ResourceNotFoundException", "No value for staging label: AWSCURRENT."),
                "ResourceNotFoundException (No value for staging label: AWSCURRENT)",
            ),
            (EndpointConnectionError(endpoint_url="https://secretsmanager.invalid"), "EndpointConnectionError"),
            (NoCredentialsError(), "NoCredentialsError"),
            (ModuleNotFoundError("No module named 'boto3'", name="boto3"), "ModuleNotFoundError (boto3)"),
            (
                OSError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED)),
                "ConnectionRefusedError (Connection refused)",
            ),
            (TimeoutError(), "TimeoutError"),
            (ValueError("a secret"), "ValueError"),
        ],
    )
    def test_names_what_an_operator_searches_for(self, error: Exception, cause: str) -> None:
        assert cause_of(error) == cause


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


class TestCausesOf:
    def test_reads_from_the_outermost_to_the_root(self) -> None:
        root = refused("AccessDeniedException", "Access to KMS is not allowed")
        error = caused(SecretUnavailable(f"GetSecretValue failed: {cause_of(root)}."), root)
        assert causes_of(error) == "GetSecretValue failed: AccessDeniedException (kms:Decrypt)"
        assert causes_of(caused(DatabaseUnavailable("No database."), error)).startswith("No database: GetSecretValue")
        assert root_of(error) is root

    def test_shows_no_text_that_may_repeat_a_row(self) -> None:
        error = caused(QueryFailed("22001", "value too long: 4000-0000"), KeyError("4000-0000"))
        assert causes_of(error) == "QueryFailed: KeyError"

    def test_takes_what_was_being_handled_unless_it_is_suppressed(self) -> None:
        error = SettingsInvalid("GATEWAY_URL is not set.")
        error.__context__ = ValueError("x")
        assert causes_of(error) == "GATEWAY_URL is not set: ValueError"
        error.__suppress_context__ = True
        assert causes_of(error) == "GATEWAY_URL is not set"

    def test_ends_where_errors_lead_to_each_other(self) -> None:
        one, two = DatabaseUnavailable("One."), DatabaseUnavailable("Two.")
        one.__cause__, two.__cause__ = two, one
        assert causes_of(one) == "One: Two"

    @given(st.text(min_size=1, alphabet="abcdefgh0123456789"), st.sampled_from([ValueError, RuntimeError, KeyError]))
    def test_never_repeats_the_text_of_another_error(self, secret: str, kind: type[Exception]) -> None:
        assert causes_of(kind(secret)) == kind.__name__


def test_the_example_of_a_missing_file_names_no_path() -> None:
    with pytest.raises(FileNotFoundError) as caught:
        Path("/nonexistent/secret").read_text(encoding="utf-8")
    assert cause_of(caught.value) == "FileNotFoundError (No such file or directory)"
