"""Settings of the offline stack."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from local.errors import LocalError
from local.settings import PROJECT, VARIABLES, LocalSettings, misspelled, read_env_file, without_login


class TestLoad:
    def test_has_the_documented_ports_without_any_variable(self, tmp_path: Path) -> None:
        settings = LocalSettings.load({}, tmp_path / "none")
        assert (settings.api_port, settings.amqp_port, settings.management_port) == (8000, 5672, 15672)
        assert (settings.postgres_port, settings.aws_port) == (54320, 4566)
        assert (settings.gateway_port, settings.sink_port) == (8090, 8091)

    def test_prefers_the_environment_to_the_file(self, tmp_path: Path) -> None:
        file = tmp_path / ".env"
        file.write_text("PAYBRIDGE_API_PORT=8100\nGATEWAY_SEED='from file'\n")
        settings = LocalSettings.load({"PAYBRIDGE_API_PORT": "8200"}, file)
        assert (settings.api_port, settings.gateway_seed) == (8200, "from file")

    def test_takes_an_empty_variable_for_unset(self, tmp_path: Path) -> None:
        assert LocalSettings.load({"PAYBRIDGE_API_PORT": ""}, tmp_path / "none").api_port == 8000

    @pytest.mark.parametrize("value", ["eighty", "0", "65536", "-1"])
    def test_names_the_variable_of_a_bad_port(self, value: str, tmp_path: Path) -> None:
        with pytest.raises(LocalError, match="PAYBRIDGE_LOCAL_AMQP_PORT"):
            LocalSettings.load({"PAYBRIDGE_LOCAL_AMQP_PORT": value}, tmp_path / "none")

    def test_names_both_variables_of_a_port_given_twice(self, tmp_path: Path) -> None:
        with pytest.raises(LocalError, match="PAYBRIDGE_LOCAL_GATEWAY_PORT and PAYBRIDGE_LOCAL_SINK_PORT are both"):
            LocalSettings.load({"PAYBRIDGE_LOCAL_SINK_PORT": "8090"}, tmp_path / "none")

    def test_knows_two_formats_of_the_logs(self, tmp_path: Path) -> None:
        assert LocalSettings.load({"LOG_FORMAT": "json"}, tmp_path / "none").log_format == "json"
        with pytest.raises(LocalError, match="LOG_FORMAT is 'xml': choose text or json"):
            LocalSettings.load({"LOG_FORMAT": "xml"}, tmp_path / "none")

    @pytest.mark.parametrize("value", ["host.docker.internal", "::1", "172.17.0.1/16"])
    def test_takes_a_container_host_by_its_address_alone(self, value: str, tmp_path: Path) -> None:
        with pytest.raises(LocalError, match=r"PAYBRIDGE_LOCAL_CONTAINER_HOST is .* not an IPv4 address"):
            LocalSettings.load({"PAYBRIDGE_LOCAL_CONTAINER_HOST": value}, tmp_path / "none")


class TestEnvironment:
    def test_makes_the_same_settings_again(self, tmp_path: Path) -> None:
        settings = replace(LocalSettings(), state_dir=tmp_path, api_port=1234, gateway_success_rate=0.5)
        assert LocalSettings.load(settings.environment(), tmp_path / "none") == settings


class TestSeenByFunctions:
    def test_is_the_address_itself_where_they_run_on_this_machine(self) -> None:
        assert LocalSettings().seen_by_functions("http://127.0.0.1:8090") == "http://127.0.0.1:8090"

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
    def test_is_another_one_for_containers_where_it_is_loopback(self, host: str) -> None:
        settings = LocalSettings(container_host="172.17.0.1")
        assert settings.seen_by_functions(f"amqp://{host}:5672") == "amqp://172.17.0.1:5672"
        assert settings.seen_by_functions("db.example.com") == "db.example.com"

    def test_is_that_of_the_running_stack_for_those_who_meet_it(self, tmp_path: Path) -> None:
        settings = LocalSettings(state_dir=tmp_path / "state", container_host="10.0.0.1")
        replace(settings, container_host="").record()
        assert settings.as_running().container_host == ""
        replace(settings, container_host="172.17.0.1").record()
        assert settings.as_running().container_host == "172.17.0.1"


class TestAsRunning:
    def test_has_the_ports_and_servers_of_the_recorded_stack_in_this_folder(self, tmp_path: Path) -> None:
        running = LocalSettings(state_dir=tmp_path, api_port=8100, rabbitmq_url="amqp://me:secret@broker:5672/v")
        running.record()
        assert LocalSettings(state_dir=tmp_path).as_running() == running
        assert (tmp_path / "settings.json").stat().st_mode & 0o077 == 0

    def test_prints_logs_as_the_present_command_asks(self, tmp_path: Path) -> None:
        LocalSettings(state_dir=tmp_path, log_format="text").record()
        assert LocalSettings(state_dir=tmp_path, log_format="json").as_running().log_format == "json"

    @pytest.mark.parametrize("record", ["", "no JSON", "[]", '{"PAYBRIDGE_API_PORT": "eighty"}'])
    def test_is_what_is_set_where_the_record_is_unusable(self, record: str, tmp_path: Path) -> None:
        (tmp_path / "settings.json").write_text(record)
        settings = LocalSettings(state_dir=tmp_path, api_port=8100)
        assert settings.as_running() == settings

    def test_is_what_is_set_once_the_stack_is_forgotten(self, tmp_path: Path) -> None:
        settings = LocalSettings(state_dir=tmp_path)
        LocalSettings(state_dir=tmp_path, api_port=8100).record()
        settings.forget()
        assert settings.as_running() == settings


class TestDifferences:
    def test_are_the_variables_that_a_restart_would_apply(self) -> None:
        running = LocalSettings(api_port=8100, workers=1, container_host="172.17.0.1")
        assert running.differences(LocalSettings(gateway_seed="7", log_format="json")) == [
            "GATEWAY_SEED",
            "PAYBRIDGE_API_PORT",
            "PAYBRIDGE_LOCAL_WORKERS",
        ]

    def test_are_none_of_the_same_settings(self) -> None:
        assert LocalSettings().differences(LocalSettings()) == []


class TestMisspelled:
    @pytest.mark.parametrize(
        ("name", "meant"),
        [
            ("PAYBRIDGE_API_PROT", "did you mean PAYBRIDGE_API_PORT?"),
            ("PAYBRIDGE_LOCAL_POSTGRESS_PORT", "did you mean PAYBRIDGE_LOCAL_POSTGRES_PORT?"),
            ("PAYBRIDGE_PLANET", "see .env.example for the settings."),
        ],
    )
    def test_names_what_looks_like_a_setting_wherever_it_is(self, name: str, meant: str, tmp_path: Path) -> None:
        file = tmp_path / ".env"
        assert list(misspelled({name: "1"}, file)) == [f"The environment sets {name}, which is not a setting: {meant}"]
        file.write_text(f"{name}=1\n")
        assert list(misspelled({}, file)) == [f"{file} sets {name}, which is not a setting: {meant}"]

    def test_knows_the_other_names_in_the_file_too(self, tmp_path: Path) -> None:
        file = tmp_path / ".env"
        file.write_text("GATEWAY_SUCCES_RATE=1\nLOGFORMAT=json\nMY_OWN=1\n")
        assert [sentence.rpartition(" ")[2] for sentence in misspelled({}, file)] == [
            "GATEWAY_SUCCESS_RATE?",
            "LOG_FORMAT?",
        ]

    def test_says_nothing_of_settings_of_tests_and_of_other_programs(self, tmp_path: Path) -> None:
        given = dict.fromkeys(
            [*VARIABLES.values(), "PAYBRIDGE_ARCHITECTURE", "PAYBRIDGE_TEST_RABBITMQ_URL", "PATH"], ""
        )
        assert list(misspelled(given, tmp_path / "none")) == []


class TestWithoutLogin:
    @pytest.mark.parametrize("url", ["http://me:secret@host:15672/path", "http://host:15672/path"])
    def test_keeps_everything_but_the_login(self, url: str) -> None:
        assert without_login(url) == "http://host:15672/path"

    def test_is_empty_without_a_url(self) -> None:
        assert without_login("") == ""


class TestReadEnvFile:
    def test_skips_comments_and_removes_quotes(self, tmp_path: Path) -> None:
        file = tmp_path / ".env"
        file.write_text("# A=1\n\nB=two words\nexport C=\"3\"\nD='4'\nnonsense\n")
        assert read_env_file(file) == {"B": "two words", "C": "3", "D": "4"}


class TestExampleFile:
    def test_lists_every_variable_with_its_default_and_nothing_else(self) -> None:
        lines = (PROJECT / ".env.example").read_text().splitlines()
        listed = dict(line.removeprefix("# ").split("=", 1) for line in lines if line.startswith("# ") and "=" in line)
        assert set(listed) == set(VARIABLES.values())
        without_servers = {name: value for name, value in listed.items() if not name.endswith("_URL")}
        relative = {"PAYBRIDGE_LOCAL_STATE_DIR", "PAYBRIDGE_CACHE_DIR"}
        values = {name: str(PROJECT / value) if name in relative else value for name, value in without_servers.items()}
        assert LocalSettings.load(values, Path("/nonexistent")) == LocalSettings()
