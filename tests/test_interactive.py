"""bridge.interactive: nodes as choices and forms, forms as the text that answers them (facts 3)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bridge.interactive import ask, reply
from bridge.model import Field, Form
from bridge.pieces import Choices

SELECT = {
    "type": "userSelect",
    "params": {
        "description": "请选择",
        "userSelectOptions": [{"key": "option1", "value": "Confirm"}, {"key": "option2", "value": "Cancel"}],
    },
}
CHOICES = Choices("请选择", (("Confirm", "Confirm"), ("Cancel", "Cancel")))


def test_a_select() -> None:
    assert ask(SELECT) == CHOICES
    assert ask({**SELECT, "type": "agentPlanAskUserSelect"}) == CHOICES


@pytest.mark.parametrize("kind", ["userInput", "agentPlanAskUserForm"])
def test_a_form(kind: str) -> None:
    node = {
        "type": kind,
        "params": {
            "description": "请填写",
            "inputForm": [
                {"type": "input", "key": "测试 1", "label": "姓名", "value": "", "valueType": "string",
                 "required": True, "minLength": 1, "maxLength": 20, "list": [{"label": "", "value": ""}]},
                {"type": "numberInput", "key": "测试 2", "label": "", "defaultValue": 3, "min": 1, "max": 9.5},
                {"type": "textarea", "key": "t", "label": "T", "value": "old"},
                {"type": "select", "key": "s", "label": "S", "value": "", "required": False,
                 "list": [{"label": "甲", "value": "a"}, {"label": "", "value": "b"}, {"label": "", "value": ""}]},
                {"type": "select", "key": "e", "label": "E", "list": [{"label": "", "value": ""}]},
                {"type": "password", "key": "p", "label": "P"},
                {"type": "somethingNew", "key": "n", "label": "N", "defaultValue": True},
                {"type": "input", "label": "without a key"},
            ],
        },
    }  # fmt: skip
    assert ask(node) == Form(
        "userInput",
        "请填写",
        (
            Field("测试 1", "姓名", required=True, least=1, most=20),
            Field("测试 2", "测试 2", "number", default="3", least=1, most=9.5),
            Field("t", "T", "paragraph", default="old"),
            Field("s", "S", "select", options=(("甲", "a"), ("b", "b"))),
            Field("e", "E"),
            Field("p", "P", "password"),
            Field("n", "N", default="true"),
        ),
    )


def test_one_question_of_an_agent_is_a_choice() -> None:
    question = {"question": "给谁看？", "options": [{"summary": "开发者", "value": "Developers"}], "answer": ""}
    node = {"type": "agentAsk", "askId": "x", "params": {"description": "还差一点", "questions": [question]}}
    assert ask(node) == Choices("还差一点\n给谁看？", (("开发者", '{"answers":["Developers"]}'),))


def test_several_questions_of_an_agent_are_a_form() -> None:
    questions = [
        {"question": "给谁看？", "options": [{"summary": "开发者", "value": "Developers"}]},
        {"question": "多长？"},
    ]
    form = ask({"type": "agentAsk", "params": {"description": "还差一点", "questions": questions}})
    fields = (Field("0", "给谁看？", "select", options=(("开发者", "Developers"),)), Field("1", "多长？"))
    assert form == Form("agentAsk", "还差一点", fields)
    assert isinstance(form, Form)
    assert reply(form, {"0": "Developers"}) == '{"answers":["Developers",""]}'


def test_the_answer_to_a_form() -> None:
    form = Form("userInput", "", (Field("测试 1", ""), Field("测试 2", "", "number"), Field("x", "")))
    assert reply(form, {"测试 1": "文字", "测试 2": "666", "other": "y"}) == '{"测试 1":"文字","测试 2":666}'


@pytest.mark.parametrize(
    ("value", "sent"),
    [("6", 6), ("6.5", 6.5), ("-1", -1), ("six", "six"), ("nan", "nan"), ("1e999", "1e999"), ("", "")],
)
def test_numbers_in_a_form(value: str, sent: Any) -> None:
    assert json.loads(reply(Form("userInput", "", (Field("n", "", "number"),)), {"n": value})) == {"n": sent}


def test_other_questions() -> None:
    assert ask({"type": "agentPlanAskQuery", "params": {"content": "哪一年？"}}) == Choices("哪一年？", ())
    query = {"type": "agentPlanAskQuery", "params": {"content": "哪一年？", "options": ["2025", {"value": "2026"}]}}
    assert ask(query) == Choices("哪一年？", (("2025", "2025"), ("2026", "2026")))
    pause = ask({"type": "paymentPause", "params": {"description": "余额不足"}})
    assert isinstance(pause, Choices)
    assert (pause.description, len(pause.options)) == ("余额不足", 1)


def wrapped(node: Any, times: int) -> Any:
    kinds = ("childrenInteractive", "toolChildrenInteractive", "loopInteractive", "loopRunInteractive")
    for depth in range(times):
        node = {"type": kinds[depth % 4], "params": {"childrenResponse": node, "currentIndex": 1}}
    return node


def test_wrappers_are_opened() -> None:
    assert ask(wrapped(SELECT, 1)) == ask(wrapped(SELECT, 4)) == ask(wrapped(SELECT, 20)) == CHOICES
    assert ask(wrapped(SELECT, 21)) is None


@pytest.mark.parametrize(
    "node",
    [
        None, [], "x", {}, {"type": "userSelect"}, {"type": "userSelect", "params": []}, {"type": 1, "params": {}},
        {"type": "userSelect", "params": {"userSelectOptions": [None, {"key": "a"}]}},
        {"type": "userInput", "params": {"inputForm": [{"type": "input"}]}},
        {"type": "agentAsk", "params": {"questions": "x"}},
        {"type": "agentPlanCheck", "params": {"confirmed": False}},
        {"type": "workflowBuilderPreview", "params": {}},
        {"type": "loopInteractive", "params": {"childrenResponse": None}},
    ],
)  # fmt: skip
def test_what_is_not_understood_is_nothing(node: Any) -> None:
    assert ask(node) is None
