from __future__ import annotations

from pathlib import Path

import pytest

from infra.sam_template.intrinsics import TemplateError
from infra.sam_template.template import read_template

PROJECT = Path(__file__).parents[3]


def written(directory: Path, function: str, rest: str = "") -> Path:
    path = directory / "template.yaml"
    path.write_text(f"{rest}\nResources:\n  One:\n    Type: AWS::Serverless::Function\n    Properties: {function}\n")
    return path


class TestReadTemplate:
    def test_reads_the_projects_own_template(self) -> None:
        template = read_template(PROJECT / "template.yaml", read_ssm=lambda name: f"value of {name}")
        consumer = template.functions["ConsumerFunction"]
        assert consumer.environment["DATABASE_HOST"] == "value of /paybridge/dev/database/host"
        assert [(queue.queue, queue.batch_size, queue.window_seconds) for queue in consumer.queues] == [
            ("payments.new", 1_000, 0.5)
        ]
        relay = template.functions["RelayFunction"]
        assert relay.schedules[0].period_seconds == 60
        assert relay.log_format == "JSON"

    def test_override_wins_over_the_ssm_parameter(self) -> None:
        template = read_template(
            PROJECT / "template.yaml", {"DatabaseHost": "127.0.0.1"}, read_ssm=lambda name: f"value of {name}"
        )
        assert template.functions["ApiFunction"].environment["DATABASE_HOST"] == "127.0.0.1"

    def test_refuses_an_unknown_parameter(self) -> None:
        with pytest.raises(TemplateError, match="no parameter named Nothing"):
            read_template(PROJECT / "template.yaml", {"Nothing": "1"})

    def test_resolves_intrinsic_functions(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_REGION", "us-east-1")
        path = written(
            tmp_path,
            "{CodeUri: ., Handler: a.b, Environment: {Variables: {JOIN: !Join ['-', [a, !Ref P]], "
            "IF: !If [IsX, yes, no], GONE: !If [IsX, !Ref 'AWS::NoValue', z], SUB: !Sub '${P}.${!P}', "
            "MAP: !FindInMap [M, !Ref P, k], ARN: !GetAtt One.Arn}}}",
            "Parameters: {P: {Type: String, Default: x}}\nConditions: {IsX: !Equals [!Ref P, x]}\n"
            "Mappings: {M: {x: {k: v}}}",
        )
        assert read_template(path).functions["One"].environment == {
            "JOIN": "a-x",
            "IF": "true",
            "SUB": "x.${P}",
            "MAP": "v",
            "ARN": "arn:aws:lambda:us-east-1:000000000000:function:One",
        }

    def test_knows_the_alias_and_the_version_that_sam_makes(self, tmp_path: Path) -> None:
        path = written(tmp_path, "{CodeUri: ., Handler: a.b, Environment: {Variables: {V: !Ref One.Version}}}")
        mapping = "Type: AWS::Lambda::EventSourceMapping, Properties: {EventSourceArn: x, Queues: [q]"
        path.write_text(f"{path.read_text()}  Two: {{{mapping}, FunctionName: !Ref One.Alias}}}}\n")
        one = read_template(path).functions["One"]
        assert one.environment["V"] == one.arn
        assert [queue.queue for queue in one.queues] == ["q"]

    def test_a_reference_replaces_a_mapping_of_globals(self, tmp_path: Path) -> None:
        path = written(
            tmp_path,
            "{CodeUri: ., Handler: a.b, LoggingConfig: !Ref 'AWS::NoValue'}",
            "Globals: {Function: {LoggingConfig: {LogFormat: JSON}}}",
        )
        assert read_template(path).functions["One"].log_format == "Text"

    @pytest.mark.parametrize(
        ("function", "message"),
        [
            ("{CodeUri: .}", "One needs Handler"),
            ("{CodeUri: nowhere, Handler: a.b}", "not a directory"),
            ("{CodeUri: ., Handler: !ImportValue x}", "intrinsic function Fn::ImportValue is not supported"),
            ("{CodeUri: ., Handler: a.b, Events: {E: {Type: SQS}}}", "type SQS, which does not run locally"),
            ("{CodeUri: ., Handler: a.b, Environment: {Variables: {A: !GetAtt T.Name}}}", "variable A of One"),
        ],
    )
    def test_says_in_one_sentence_what_it_cannot_resolve(self, tmp_path: Path, function: str, message: str) -> None:
        with pytest.raises(TemplateError, match=message):
            read_template(written(tmp_path, function))
