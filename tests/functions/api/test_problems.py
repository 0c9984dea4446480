"""Problem details."""

from __future__ import annotations

import json

from api.problems import Problem, ProblemView, problem_response
from paybridge.core.fields import FieldError


class TestProblemResponse:
    def test_has_every_member_of_the_documented_problem(self) -> None:
        errors = [FieldError("amount", "required", "Required.")]
        response = problem_response(Problem(422, "validation_failed", "Correct it.", errors=errors), "id-1")
        body = json.loads(bytes(response.body))
        assert set(body) == set(ProblemView.model_fields)
        assert body["type"] == "urn:paybridge:problem:validation_failed"
        assert body["errors"] == [{"field": "amount", "code": "required", "detail": "Required."}]
        assert body["request_id"] == "id-1"
        assert response.media_type == "application/problem+json"

    def test_carries_headers_and_extensions(self) -> None:
        problem = Problem(503, "not_ready", "Not ready.", headers={"Retry-After": "5"}, extensions={"checks": []})
        response = problem_response(problem, "id-1")
        assert (response.status_code, response.headers["retry-after"]) == (503, "5")
        assert json.loads(bytes(response.body))["checks"] == []
