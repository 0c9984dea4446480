"""The template, the functions, the settings and the broker topology name the same things."""

from __future__ import annotations

import ast
import json
import logging
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from aws_lambda_powertools import Logger

from infra.sam_template.template import read_template
from local.settings import PAYMENT_SHARDS_MAX
from local.stack import topology
from paybridge.core.errors import SettingsInvalid
from paybridge.core.events import SOURCE
from paybridge.database.services import LEDGER
from paybridge.outbox.queues import WEBHOOK_QUEUES, all_queues, payment_queues
from paybridge.outbox.routes import SHARD_HEADER
from paybridge.runners import consumer, dead_letters, intake, ledger, webhooks
from paybridge.webhooks.lanes import lane_of
from paybridge.wiring.setting_kinds import SECONDS_LIST
from paybridge.wiring.settings import TABLE, Settings
from tests.support import template as templates
from tests.support.template import ROOT
from webhooks.handler import DATABASE_PATIENCE_SECONDS

TEMPLATE = templates.load_template()
FUNCTIONS = templates.functions(TEMPLATE)
TOPOLOGY: dict[str, Any] = json.loads((ROOT / "infra/topology.json").read_text(encoding="utf-8"))
# With as many shards as the template has mappings for.
GROWN = topology.read(counts={"payments.new": PAYMENT_SHARDS_MAX})
# What the settings of the webhooks' deadlines are called in the template.
WEBHOOK_TIMEOUTS = {
    "WEBHOOK_TIMEOUT_SECONDS": "WebhookTimeoutSeconds",
    "WEBHOOK_FAST_TIMEOUT_SECONDS": "WebhookFastTimeoutSeconds",
}
# What a batch of webhooks has left to record its last answers.
RECORDING_SECONDS = 5
# The parameters whose settings are lists of delays.
SECONDS_LISTS = [setting.name.title().replace("_", "") for setting in TABLE if setting.kind is SECONDS_LIST]

SHARD = re.compile(r"\.[0-9]+$")


def dead_letter_queues(topology: dict[str, Any]) -> set[str]:
    """Return the queues that receive dead letters only."""
    exchanges = {policy["definition"].get("dead-letter-exchange") for policy in topology["policies"]}
    return {binding["destination"] for binding in topology["bindings"] if binding["source"] in exchanges}


def working_queues(topology: dict[str, Any]) -> set[str]:
    """Return the queues that functions consume."""
    return {queue["name"] for queue in topology["queues"]} - dead_letter_queues(topology)


class TestFunctions:
    def test_folders_and_template_name_the_same(self) -> None:
        folders = {path.name for path in (ROOT / "functions").iterdir() if path.is_dir() and path.name != "__pycache__"}
        assert set(templates.packages(TEMPLATE).values()) == folders

    @pytest.mark.parametrize("logical_id", [*FUNCTIONS, "DeadLettersFunction"])
    def test_the_makefile_copies_the_package_of_the_function(self, logical_id: str) -> None:
        command = [
            "make",
            "--dry-run",
            "--directory",
            str(ROOT / "functions"),
            f"build-{logical_id}",
            "ARTIFACTS_DIR=to",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        package = templates.packages(TEMPLATE).get(logical_id, "dead_letters")
        assert f'cp -R "{package}" "to/"' in done.stdout

    @pytest.mark.parametrize("logical_id", FUNCTIONS)
    def test_handler_exists(self, logical_id: str) -> None:
        *module, name = FUNCTIONS[logical_id]["Handler"].split(".")
        tree = ast.parse((ROOT / "functions" / Path(*module)).with_suffix(".py").read_text(encoding="utf-8"))
        defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        defined |= {
            target.id
            for node in tree.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        assert name in defined

    def test_scheduled_functions_do_not_pile_up(self) -> None:
        for properties in FUNCTIONS.values():
            for event in properties.get("Events", {}).values():
                if event["Type"] == "ScheduleV2":
                    once = {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60}
                    assert event["Properties"]["RetryPolicy"] == once
                    assert properties["EventInvokeConfig"] == once

    def test_the_layer_is_built_for_the_processor_of_the_functions(self) -> None:
        makefile = (ROOT / "layers/paybridge/Makefile").read_text(encoding="utf-8")
        default = re.search(r"^PAYBRIDGE_ARCHITECTURE \?= (\w+)$", makefile, flags=re.MULTILINE)
        assert default is not None
        assert default[1] == TEMPLATE["Parameters"]["Architecture"]["Default"]


# What Lambda needs to reach a broker inside a VPC. Lambda accepts these only on all resources.
MAPPING_ACTIONS = {
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
}


def statements(logical_id: str) -> list[dict[str, Any]]:
    """Return the statements of the function's policies."""
    return [statement for policy in FUNCTIONS[logical_id]["Policies"] for statement in policy["Statement"]]


class TestPolicies:
    @pytest.mark.parametrize("logical_id", sorted(FUNCTIONS.keys() - {"PreflightFunction"}))
    def test_functions_that_read_secrets_can_decrypt_them(self, logical_id: str) -> None:
        [decrypt] = [statement for statement in statements(logical_id) if statement["Action"] == "kms:Decrypt"]
        assert decrypt["Resource"] == {"Ref": "SecretsKeyArn"}

    @pytest.mark.parametrize("logical_id", FUNCTIONS)
    def test_only_the_mapping_is_granted_anything_on_all_resources(self, logical_id: str) -> None:
        granted = {
            action
            for statement in statements(logical_id)
            if statement["Resource"] == "*"
            for action in statement["Action"]
        }
        mapped = any(event["Type"] == "MQ" for event in FUNCTIONS[logical_id].get("Events", {}).values())
        # A phone number is no resource.
        sends_sms = {"sns:Publish"} if logical_id == "NotifierFunction" else set()
        assert granted == (MAPPING_ACTIONS if mapped else set()) | sends_sms

    def test_the_archive_alone_reaches_the_bucket_and_deletes_nothing(self) -> None:
        reaching = [
            (logical_id, statement)
            for logical_id in FUNCTIONS
            for statement in statements(logical_id)
            if "s3:" in str(statement["Action"])
        ]
        assert [logical_id for logical_id, _ in reaching] == ["ArchiveFunction"] * 2
        (_, objects), (_, listing) = reaching
        assert objects["Action"] == ["s3:GetObject", "s3:PutObject"]
        _, own, none = objects["Resource"]["If"]
        assert own["Sub"].endswith(":s3:::${ArchiveBucket}/payments/*")
        assert none["Sub"].endswith(":s3:::none.invalid/none")
        # Without the right to list, S3 answers 403 for an object that is gone.
        assert listing["Action"] == "s3:ListBucket"
        _, own, none = listing["Resource"]["If"]
        assert own["Sub"].endswith(":s3:::${ArchiveBucket}")
        assert none["Sub"].endswith(":s3:::none.invalid")
        assert listing["Condition"] == {"StringLikeIfExists": {"s3:prefix": "payments/*"}}

    def test_the_archive_alone_has_the_layer_of_parquet(self) -> None:
        layers = {logical_id: FUNCTIONS[logical_id].get("Layers") for logical_id in FUNCTIONS}
        assert {name: own for name, own in layers.items() if own} == {"ArchiveFunction": [{"Ref": "ArchiveLayer"}]}

    def test_the_ledger_works_with_the_rights_of_its_service(self) -> None:
        variables = {
            name: each["Environment"]["Variables"] for name, each in FUNCTIONS.items() if "Environment" in each
        }
        services = {name: each["DATABASE_SERVICE"] for name, each in variables.items() if "DATABASE_SERVICE" in each}
        assert services == {"LedgerFunction": LEDGER.name}

    def test_the_notifier_publishes_to_no_topic(self) -> None:
        (denied,) = [each for each in statements("NotifierFunction") if each["Effect"] == "Deny"]
        assert denied["Action"] == ["sns:Publish"]
        assert denied["Resource"] == {"Sub": "arn:${AWS::Partition}:sns:*:*:*"}

    def test_the_bridge_sends_to_its_own_bus_as_paybridge_alone(self) -> None:
        (sent,) = [each for each in statements("BridgeFunction") if "events:PutEvents" in each["Action"]]
        assert sent["Action"] == ["events:PutEvents"]
        assert sent["Resource"]["Sub"].endswith(":event-bus/${EventBusName}")
        assert sent["Condition"] == {"StringEquals": {"events:source": SOURCE}}

    def test_the_notifier_sends_email_from_its_own_identity_alone(self) -> None:
        (email,) = [each for each in statements("NotifierFunction") if "ses:SendEmail" in each["Action"]]
        _, own, none = email["Resource"]["If"]
        assert own["Sub"].endswith(":identity/${NotificationIdentity}")
        assert none["Sub"].endswith(":identity/none.invalid")
        assert email["Condition"] == {"StringEquals": {"ses:FromAddress": {"Ref": "NotificationSender"}}}


class TestQueues:
    def test_each_queue_is_mapped_once(self) -> None:
        mapped = templates.queues(TEMPLATE)
        assert sorted(mapped) == sorted(queue["name"] for queue in GROWN["queues"])

    def test_mappings_use_nothing_that_rabbitmq_lacks(self) -> None:
        known = {"Queues", "BatchSize", "SourceAccessConfigurations"}
        for mapping in templates.mappings(TEMPLATE).values():
            own = {"Broker", "DynamicPolicyName"} if "Broker" in mapping else {"FunctionName", "EventSourceArn"}
            assert set(mapping) == known | own
            kinds = {access["Type"] for access in mapping["SourceAccessConfigurations"]}
            assert kinds == {"BASIC_AUTH", "VIRTUAL_HOST"}

    def test_a_batch_is_as_large_for_a_worker_as_for_a_function(self) -> None:
        for mapping in templates.mappings(TEMPLATE).values():
            [queue] = mapping["Queues"]
            named = {
                "payments.new": consumer,
                "payments.intake": intake,
                "payments.dead": dead_letters,
                "ledger": ledger,
            }
            handling = named.get(SHARD.sub("", queue), webhooks)
            assert mapping["BatchSize"] == getattr(handling, "BATCH_MESSAGES")  # noqa: B009 -- of five modules.

    @pytest.mark.parametrize("queue", sorted(working_queues(GROWN)))
    def test_each_working_queue_keeps_its_dead_letters(self, queue: str) -> None:
        policies = [policy for policy in GROWN["policies"] if re.search(policy["pattern"], queue)]
        assert len(policies) == 1
        definition = policies[0]["definition"]
        # Without `overflow` the strategy silently loses messages.
        assert definition["dead-letter-strategy"] == "at-least-once"
        assert definition["overflow"] == "reject-publish"
        assert any(
            binding["source"] == definition["dead-letter-exchange"]
            and binding["routing_key"] == definition["dead-letter-routing-key"]
            for binding in TOPOLOGY["bindings"]
        )

    def test_queues_are_durable_and_hold_only_their_type(self) -> None:
        for queue in GROWN["queues"]:
            assert queue["durable"] is True
            assert queue["arguments"] == {"x-queue-type": "quorum"}

    def test_bindings_name_what_exists(self) -> None:
        exchanges = {exchange["name"] for exchange in GROWN["exchanges"]}
        queues = {queue["name"] for queue in GROWN["queues"]}
        for binding in GROWN["bindings"]:
            assert binding["source"] in exchanges
            assert binding["destination"] in (exchanges if "destination_type" in binding else queues)

    def test_a_queue_without_policy_is_found(self) -> None:
        grown = {**TOPOLOGY, "queues": [*TOPOLOGY["queues"], {"name": "ledger"}]}
        assert "ledger" in working_queues(grown)


class TestShards:
    def test_everything_has_the_number_of_the_topology(self) -> None:
        [shards] = TOPOLOGY["shards"]
        parameter = TEMPLATE["Parameters"]["PaymentShards"]
        assert parameter["Default"] == shards["count"] == topology.payment_shards()
        assert parameter["AllowedValues"] == list(range(1, PAYMENT_SHARDS_MAX + 1))

    def test_one_shard_is_the_queue_itself(self) -> None:
        one = topology.read(counts={"payments.new": 1})
        assert {name: one[name] for name in ("exchanges", "queues", "bindings")} == {
            name: TOPOLOGY[name] for name in ("exchanges", "queues", "bindings")
        }

    @pytest.mark.parametrize("count", range(1, PAYMENT_SHARDS_MAX + 1))
    def test_template_topology_worker_and_measurements_have_the_same_queues(self, count: int) -> None:
        given = {"PaymentShards": str(count)}
        function = read_template(templates.TEMPLATE, given, read_ssm=lambda name: name).functions["ConsumerFunction"]
        mapped = [event.queue for event in function.queues]
        declared = {queue["name"] for queue in topology.read(counts={"payments.new": count})["queues"]}
        assert sorted(mapped) == sorted(queue for queue in declared if queue.startswith("payments.new"))
        assert tuple(mapped) == payment_queues(int(function.environment["PAYMENT_SHARDS"]))
        assert set(all_queues(count)) == declared
        # One for each mapping, and one for an operator.
        assert function.reserved_concurrency == len(mapped) + 1

    def test_the_jobs_measure_as_many_shards_as_there_are(self) -> None:
        variables = FUNCTIONS["JobsFunction"]["Environment"]["Variables"]
        assert variables["PAYMENT_SHARDS"] == {"Ref": "PaymentShards"}

    def test_the_relay_sets_the_header_that_is_hashed(self) -> None:
        [shards] = TOPOLOGY["shards"]
        assert shards["hash_header"] == SHARD_HEADER


def is_allowed(parameter: str, text: str) -> bool:
    """Return whether CloudFormation takes the text for the parameter."""
    return re.fullmatch(TEMPLATE["Parameters"][parameter]["AllowedPattern"], text) is not None


def is_taken(parameter: str, text: str) -> bool:
    """Return whether the functions take the text for the setting of the parameter."""
    name = re.sub("(?<!^)(?=[A-Z])", "_", parameter).upper()
    try:
        getattr(Settings({name: text}), name)
    except SettingsInvalid:
        return False
    return True


class TestParameters:
    def test_every_log_level_is_one_of_lambda_and_of_powertools(self, monkeypatch: pytest.MonkeyPatch) -> None:
        logging_config = TEMPLATE["Globals"]["Function"]["LoggingConfig"]
        assert logging_config["ApplicationLogLevel"] == {"Ref": "LogLevel"}
        levels = TEMPLATE["Parameters"]["LogLevel"]["AllowedValues"]
        assert set(levels) <= {"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"}
        for level in levels:
            monkeypatch.setenv("POWERTOOLS_LOG_LEVEL", level)
            assert Logger(service=f"level-{level}").log_level == logging.getLevelNamesMapping()[level]

    def test_every_list_of_delays_has_a_parameter(self) -> None:
        assert set(SECONDS_LISTS) <= set(TEMPLATE["Parameters"])

    @pytest.mark.parametrize("parameter", SECONDS_LISTS)
    @pytest.mark.parametrize(
        "text", ["1", "2,10,60", "0.5,100", "010", "0.05", "0", "0,1", "1,0", "5,0.0", "00", "9" * 400]
    )
    def test_delays_pass_the_template_exactly_if_the_functions_take_them(self, parameter: str, text: str) -> None:
        assert is_allowed(parameter, text) == is_taken(parameter, text)

    @pytest.mark.parametrize(
        "text", ["", "Acme", "2fast", "12345678901", "1234567890a", "12345", "Acme Inc", "Acme5678901b"]
    )
    def test_an_sms_sender_passes_the_template_exactly_if_the_notifier_takes_it(self, text: str) -> None:
        assert is_allowed("NotificationSmsSenderId", text) == is_taken("NotificationSmsSenderId", text)

    @pytest.mark.parametrize("text", ["0", "1", "2", "9", "10", "13", "999", "1199", "1200", "1201", "9999", "-2"])
    def test_months_pass_the_template_exactly_if_the_archive_takes_them(self, text: str) -> None:
        assert is_allowed("ArchiveAfterMonths", text) == is_taken("ArchiveAfterMonths", text)

    def test_waiting_requests_leave_environments_for_new_payments(self) -> None:
        parameters = {name: parameter.get("Default") for name, parameter in TEMPLATE["Parameters"].items()}
        deployments = tomllib.loads((ROOT / "samconfig.toml").read_text(encoding="utf-8"))
        for deployment in ("dev", "prod"):
            overrides = deployments[deployment]["deploy"]["parameters"]["parameter_overrides"]
            chosen = {**parameters, **dict(override.split("=") for override in overrides)}
            assert 2 * int(chosen["ApiWaitsMax"]) < int(chosen["ApiReservedConcurrency"])

    def test_a_batch_of_webhooks_ends_before_its_function_does(self) -> None:
        longest = {setting: TEMPLATE["Parameters"][name]["MaxValue"] for setting, name in WEBHOOK_TIMEOUTS.items()}
        timeout = TEMPLATE["Globals"]["Function"]["Timeout"]
        assert "Timeout" not in FUNCTIONS["WebhooksFunction"]
        for queue in WEBHOOK_QUEUES:
            lane = lane_of(
                queue,
                fast_timeout_seconds=longest["WEBHOOK_FAST_TIMEOUT_SECONDS"],
                slow_timeout_seconds=longest["WEBHOOK_TIMEOUT_SECONDS"],
            )
            sending = lane.start_seconds_max + lane.timeout_seconds
            assert DATABASE_PATIENCE_SECONDS + sending + RECORDING_SECONDS <= timeout

    @pytest.mark.parametrize("setting", WEBHOOK_TIMEOUTS)
    def test_a_worker_refuses_the_webhook_deadlines_that_the_template_refuses(self, setting: str) -> None:
        longest = TEMPLATE["Parameters"][WEBHOOK_TIMEOUTS[setting]]["MaxValue"]
        assert getattr(Settings({setting: str(longest)}), setting) == longest
        with pytest.raises(SettingsInvalid, match=f"{setting} must be a number above 0, at most {longest}, not"):
            getattr(Settings({setting: str(longest + 0.5)}), setting)

    def test_one_parameter_names_the_virtual_host_for_mappings_and_functions(self) -> None:
        variables = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]
        assert variables["BROKER_VIRTUAL_HOST"] == {"Ref": "BrokerVirtualHost"}
        for mapping in templates.mappings(TEMPLATE).values():
            accesses = mapping["SourceAccessConfigurations"]
            assert {"Type": "VIRTUAL_HOST", "URI": {"Ref": "BrokerVirtualHost"}} in accesses
