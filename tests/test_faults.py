"""bridge.faults: which reason an error has (facts 2.7)."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.faults import DETAIL, RETRY, UpstreamError, of_payload, of_response, retry_after

NOW = 1_700_000_000.0


def envelope(code: int, name: str, message: str = "") -> dict[str, Any]:
    return {"code": code, "statusText": name, "message": message, "data": None}


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (envelope(514, "unAuthApiKey", "Api Key 不合法"), "key"),
        (envelope(403, "unAuthorization", "common:code_error.error_message.403"), "key"),
        (envelope(510, "insufficientQuota"), "quota"),
        (envelope(511, "unAuthModel"), "permission"),
        (envelope(513, "unAuthFile"), "permission"),
        (envelope(500001, "aiPointsNotEnough"), "points"),
        (envelope(500000, "teamOverSize"), "quota"),
        (envelope(501000, "unAuthDataset"), "permission"),
        (envelope(504000, "unAuthChat"), "permission"),
        (envelope(504003, "chatIsGenerating"), "busy"),
        (envelope(409, "error", "chatIsGenerating"), "busy"),
        (envelope(505000, "unExist"), "not_found"),
        (envelope(501, "linkUnInvalid"), "permission"),
        (envelope(506000, "openapiUnExist"), "key"),
        (envelope(506002, "openapiExceedLimit"), "quota"),
        (envelope(500, "error", "messages is empty"), "bad_request"),
        (envelope(500, "error", "网络连接异常"), "server"),
        (envelope(500, "error", "appId is empty"), "wrong_key"),
        (
            envelope(500, "error", "Key is error. You need to use the app key rather than the account key."),
            "wrong_key",
        ),
        (
            envelope(429, "error", "Rate limit exceeded. Maximum 30 requests per 60 seconds for this team. "
                     "Please try again in 42 seconds."),
            "rate",
        ),
        ({"error": {"message": "Incorrect key", "type": "invalid_request_error", "code": "invalid_api_key"}}, "key"),
        ({"error": {"message": "no", "type": "insufficient_quota", "code": "insufficient_quota"}}, "quota"),
        ({"error": {"message": "slow down", "type": "requests", "code": "rate_limit_exceeded"}}, "rate"),
        ({"error": {"message": "no such", "code": "model_not_found"}}, "not_found"),
        ({"error": {"message": "x", "code": "content_filter"}}, "filter"),
        ({"error": {"message": "This model's maximum context length is 8192 tokens", "code": None}}, "length"),
        ({"error": {"message": "Invalid URL (POST /v1/v1/chat/completions)", "type": "invalid_request"}}, "wrong_path"),
        ({"error": {"message": "x", "code": 503}}, "server"),
        ({"error": {"message": "x", "code": "402"}}, "points"),
        ({"error": "Too many requests"}, "rate"),
        ({"code": 401, "msg": "x"}, "key"),
        ({"name": "ZodError", "message": "[]"}, "bad_request"),
        ({"detail": [{"loc": ["body"], "msg": "Invalid input", "type": "missing"}]}, "bad_request"),
        ("chatIsGenerating", "busy"),
        ({"message": "boom"}, "server"),
        ({}, "server"),
        (None, "server"),
        ([], "server"),
    ],
)  # fmt: skip
def test_reasons(payload: Any, reason: str) -> None:
    assert of_payload(payload).reason == reason


@pytest.mark.parametrize(
    ("status", "reason"),
    [(400, "bad_request"), (401, "key"), (402, "points"), (403, "permission"), (404, "not_found"), (405, "wrong_path"),
     (409, "busy"), (418, "bad_request"), (422, "bad_request"), (429, "rate"), (500, "server"), (504, "server"),
     (200, "protocol")],
)  # fmt: skip
def test_a_status_without_words(status: int, reason: str) -> None:
    found = of_response(status, {}, b"{}", NOW)
    assert (found.reason, found.detail, found.sent) == (reason, f"HTTP {status}", True)


def test_the_detail_names_the_error_when_the_message_is_empty() -> None:
    assert of_payload(envelope(500001, "aiPointsNotEnough")).detail == "aiPointsNotEnough"


@pytest.mark.parametrize(
    ("headers", "words", "seconds"),
    [
        ({"retry-after": "7"}, "in 42 seconds", 7.0),
        ({"retry-after": "1.5"}, "", 1.5),
        ({"retry-after": "Tue, 14 Nov 2023 22:13:50 GMT"}, "", 30.0),
        ({"retry-after": "Tue, 14 Nov 2023 22:13:10 GMT"}, "", 0.0),
        ({"retry-after": "soon"}, "", RETRY),
        ({"retry-after": "inf"}, "", RETRY),
        ({}, "Please try again in 42 seconds.", 42.0),
        ({}, "Please try again in 1.2s", 1.2),
        ({"x-ratelimit-reset": "1700000012000"}, "", 12.0),
        ({"x-ratelimit-reset": "1700000012"}, "", 12.0),
        ({"x-ratelimit-reset": "1699999999000"}, "", 0.0),
        ({"x-ratelimit-reset": "12"}, "", 12.0),
        ({"x-ratelimit-reset": "6m0s"}, "", RETRY),
        ({}, "", RETRY),
    ],
)
def test_how_long_to_wait(headers: dict[str, str], words: str, seconds: float) -> None:
    assert retry_after(headers, words, NOW) == seconds
    assert of_response(429, headers, words.encode(), NOW).retry_after == seconds


def test_only_a_rate_limit_says_when() -> None:
    assert of_response(503, {"retry-after": "7"}, b"", NOW).retry_after is None


def test_the_detail_is_short_and_on_one_line() -> None:
    error = UpstreamError("server", "a\nb  c " + "word " * 100)
    assert error.detail.startswith("a b c word")
    assert len(error.detail) <= DETAIL
    assert error.detail.endswith("word…")
    assert str(error) == f"server: {error.detail}"
    assert len(UpstreamError("server", "电" * 1000).detail) == DETAIL
