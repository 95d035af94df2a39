"""Answers on WeCom's screen: streams, what happens when their question is too old, and files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from adapters.wechat.wecom.events import Handle
from adapters.wechat.wecom.socket import BadRequest, Expired, Refused
from adapters.wechat.wecom.surface import AnswerSurface
from bridge.model import (
    AnyEvent,
    BridgeError,
    Button,
    Conversation,
    Download,
    Entered,
    Exhausted,
    File,
    Message,
    Press,
    RateLimited,
    Rejected,
    Show,
    Shown,
    Unreachable,
    Unsure,
    User,
    Vanished,
)
from tests.adapters.host import Double

NOW = 1_790_000_000.0
CHAT = Conversation(bot="wc", chat="zhangsan", kind="private")
PNG = Download(b"\x89PNG\r\n\x1a\n" + bytes(2_000_000), "cat.png", "image/png")
PDF = Download(b"%PDF-1.7", "report.pdf", "application/pdf")
URL = "https://files.example.com/SECRET/cat?token=SECRET"
GOOD = Button("k1", "Good", "good")


@dataclass
class Screen:
    """The socket, and what people see of its frames. ``fails`` are raised before a frame has an effect, ``lost``
    after it."""

    shown: dict[str, str] = field(default_factory=dict)
    """Content by stream, or by the number of a message."""
    finished: set[str] = field(default_factory=set)
    cards: dict[str, Any] = field(default_factory=dict)
    frames: list[tuple[str, Mapping[str, Any], str]] = field(default_factory=list)
    fails: list[BridgeError | None] = field(default_factory=list)
    lost: list[BridgeError | None] = field(default_factory=list)
    dead: set[str] = field(default_factory=set)
    """req_ids that are not taken."""
    cards_refused: bool = False
    sends_refused: bool = False

    async def request(self, command: str, body: Mapping[str, Any], req_id: str = "") -> dict[str, Any]:
        self.frames.append((command, body, req_id))
        if self.fails and (error := self.fails.pop(0)):
            raise error
        answer = self._take(command, body, req_id)
        if self.lost and (error := self.lost.pop(0)):
            raise error
        return answer

    def _take(self, command: str, body: Mapping[str, Any], req_id: str) -> dict[str, Any]:
        match command:
            case "aibot_upload_media_init":
                return {"upload_id": body["filename"]}
            case "aibot_upload_media_finish":
                return {"media_id": body["upload_id"]}
            case "aibot_upload_media_chunk":
                return {}
            case "aibot_respond_msg" if req_id in self.dead:
                raise BadRequest(846605)
            case "aibot_send_msg" if self.sends_refused:
                raise Refused(846610)
        kind = body["msgtype"]
        if "stream" in body:
            self._stream(body)
        else:
            self.shown[str(len(self.shown))] = body[kind].get("content") or f"[{kind} {body[kind]['media_id']}]"
        return {}

    def _stream(self, body: Mapping[str, Any]) -> None:
        if "template_card" in body:
            if self.cards_refused:
                raise Refused(40058)
            self.cards[body["stream"]["id"]] = body["template_card"]
        stream = body["stream"]
        if stream["id"] in self.finished:
            raise Expired(846608)
        self.shown[stream["id"]] = stream["content"]
        if stream["finish"]:
            self.finished.add(stream["id"])

    @property
    def seen(self) -> list[str]:
        return list(self.shown.values())


@dataclass
class Stage:
    screen: Screen = field(default_factory=Screen)
    host: Double = field(default_factory=lambda: Double({}))
    newest: str = "req-1"
    now: float = NOW

    def surface(self, ref: str | None = None, to: AnyEvent | None = None, turn: str = "turn-1") -> AnswerSurface:
        """A new one is a restart."""
        return AnswerSurface(
            self.screen, lambda _: self.newest, to or asked(), turn, ref, self.host.download, lambda: self.now
        )


def handle(req_id: str) -> str:
    return msgspec.json.encode(Handle(req_id)).decode()


def asked() -> Message:
    return Message(id="m1", conversation=CHAT, user=User("zhangsan"), at=NOW, handle=handle("req-1"), text="hi")


def preview(text: str = "", part: int = 0, status: str = "") -> Show:
    return Show(part=part, text=text, status=status)


def final(text: str = "", part: int = 0, **more: Any) -> Show:
    return Show(part=part, text=text, final=True, **more)


async def committed(surface: AnswerSurface, op: Show) -> tuple[Shown, Shown]:
    """An operation that is to be committed first, and then is done."""
    first = await surface.show(op)
    assert first.staged
    return first, await surface.show(op)


@pytest.fixture
def stage() -> Stage:
    return Stage()


# ------------------------------------------------------------------ streams


async def test_a_part_grows_in_one_stream_and_ends(stage: Stage) -> None:
    surface = stage.surface()
    shows = [await surface.show(op) for op in (preview(status="Thinking"), preview("One"), final("One two."))]
    assert stage.screen.seen == ["One two."]
    assert stage.screen.finished == set(shows[2].ids) == set(shows[0].ids)
    assert [shown.calls for shown in shows] == [1, 1, 1]
    assert {req_id for _, _, req_id in stage.screen.frames} == {"req-1"}


async def test_each_part_has_a_stream_and_each_answer_its_own(stage: Stage) -> None:
    surface = stage.surface()
    await surface.show(final("One."))
    two = await surface.show(final("Two.", part=1))
    other = await stage.surface(turn="turn-2").show(final("Three."))
    assert stage.screen.seen == ["One.", "Two.", "Three."]
    assert len({*two.ids, *other.ids}) == 3


async def test_an_answer_goes_on_after_a_restart(stage: Stage) -> None:
    before = await stage.surface().show(preview("One"))
    stage.newest = "req-2"
    after = await stage.surface(before.ref).show(final("One two."))
    assert stage.screen.seen == ["One two."]
    assert after.ids == before.ids
    assert stage.screen.frames[-1][2] == "req-1"


async def test_what_shows_nothing_is_not_sent(stage: Stage) -> None:
    surface = stage.surface()
    before = await surface.show(final("One."))
    assert await surface.show(final(part=1)) == Shown(before.ref, before.ids, calls=0)
    assert await surface.show(final()) == Shown(before.ref, before.ids, calls=0), "it has ended"
    assert stage.screen.seen == ["One."]


@pytest.mark.parametrize("text", ["", " \n"])
async def test_a_part_that_is_taken_off_the_screen_is_a_dash(stage: Stage, text: str) -> None:
    ref = (await stage.surface().show(preview("Too long"))).ref
    shown = await stage.surface(ref).show(final(text, thinking="hm"))
    assert stage.screen.seen == ["—"]
    assert stage.screen.finished == set(shown.ids)


async def test_an_ended_part_shows_its_status(stage: Stage) -> None:
    surface = stage.surface()
    await surface.show(preview(status="Thinking"))
    await surface.show(final(status="Thinking"))
    assert stage.screen.seen == ["Thinking"]
    assert stage.screen.finished


@pytest.mark.parametrize("error", [RateLimited(5.0), Unreachable(), Unsure()])
async def test_what_the_connection_reports_passes_with_the_calls(stage: Stage, error: BridgeError) -> None:
    stage.screen.fails = [error]
    with pytest.raises(type(error)) as caught:
        await stage.surface().show(preview("One"))
    assert caught.value is error and error.calls == 1


# ------------------------------------------------------------------ a stream that is over


@pytest.mark.parametrize("op", [preview("One two"), final("One two.")])
async def test_an_expired_stream_is_begun_anew(stage: Stage, op: Show) -> None:
    surface = stage.surface()
    first = await surface.show(preview("One"))
    stage.now += 700
    stage.screen.fails = [Expired(846608)]
    with pytest.raises(Vanished):
        await surface.show(op)
    second = await surface.show(op)
    assert stage.screen.seen == ["One", op.text]
    assert second.ids != first.ids


async def test_a_question_that_is_too_old_for_any_stream_is_answered_by_a_message(stage: Stage) -> None:
    stage.screen.fails = [Expired(846608)]
    await committed(stage.surface(), final("One."))
    assert stage.screen.seen == ["One."]
    assert stage.screen.frames[-1][0] == "aibot_send_msg"


@pytest.mark.parametrize("code", [Expired(846608), Refused(40008)])
@pytest.mark.parametrize("restarted", [False, True])
async def test_a_repeated_final_that_is_refused_had_arrived(stage: Stage, code: Refused, restarted: bool) -> None:
    surface = stage.surface()
    ref = (await surface.show(preview("One"))).ref
    stage.screen.lost = [Unsure()]
    with pytest.raises(Unsure):
        await surface.show(final("One two."))
    stage.now += 300
    stage.screen.fails = [code]
    surface = stage.surface(ref) if restarted else surface
    await surface.show(final("One two."))
    assert stage.screen.seen == ["One two."]


async def test_a_final_that_was_not_sent_before_has_not_arrived(stage: Stage) -> None:
    surface = stage.surface()
    await surface.show(preview("One"))
    stage.screen.fails = [Expired(846608)]
    with pytest.raises(Vanished):
        await surface.show(final("One two."))
    await surface.show(final("One two."))
    assert stage.screen.seen == ["One", "One two."]


async def test_a_repeated_final_may_be_too_late(stage: Stage) -> None:
    surface = stage.surface()
    await surface.show(preview("One"))
    stage.screen.fails = [Unsure(), Expired(846608)]
    with pytest.raises(Unsure):
        await surface.show(final("One two."))
    stage.now += 400
    with pytest.raises(Vanished):
        await surface.show(final("One two."))
    await surface.show(final("One two."))
    assert stage.screen.seen[-1] == "One two."


async def test_a_preview_that_may_have_arrived_is_not_begun_twice(stage: Stage) -> None:
    surface = stage.surface()
    stage.screen.lost = [Unsure()]
    with pytest.raises(Unsure):
        await surface.show(preview("One"))
    await surface.show(final("One two."))
    assert stage.screen.seen == ["One two."]


async def test_words_that_wecom_does_not_take(stage: Stage) -> None:
    surface = stage.surface()
    await surface.show(preview("One"))
    stage.screen.fails = [Refused(40008)]
    with pytest.raises(Rejected, match="40008"):
        await surface.show(preview("One **two**"))
    await surface.show(final("One **two**", plain=True))
    assert stage.screen.seen == ["One two"]


# ------------------------------------------------------------------ a question that is not taken


async def test_the_answer_goes_on_under_the_newest_question(stage: Stage) -> None:
    surface = stage.surface()
    await surface.show(preview("One"))
    stage.screen.dead, stage.newest = {"req-1"}, "req-2"
    shown = await surface.show(final("One two."))
    assert stage.screen.seen == ["One", "One two."]
    assert shown.calls == 2
    assert stage.screen.frames[-1][2] == "req-2"


async def test_without_a_question_the_final_is_one_message(stage: Stage) -> None:
    stage.screen.dead = {"req-1"}
    surface = stage.surface()
    first = await surface.show(preview("One"))
    assert (first.calls, first.ids) == (1, ()), "the refused frame counts"
    assert (await surface.show(preview("One two"))).calls == 0
    staged, shown = await committed(surface, final("One two.", thinking="hm"))
    assert (staged.calls, shown.calls) == (0, 1)
    assert stage.screen.seen == ["One two."]
    command, body, req_id = stage.screen.frames[-1]
    assert (command, req_id) == ("aibot_send_msg", "")
    assert body == {"chatid": "zhangsan", "msgtype": "markdown", "markdown": {"content": "One two."}}


async def test_later_parts_go_under_a_question_that_came_meanwhile(stage: Stage) -> None:
    stage.screen.dead = {"req-1"}
    surface = stage.surface()
    await committed(surface, final("One."))
    stage.newest = "req-2"
    await surface.show(final("Two.", part=1))
    assert stage.screen.seen == ["One.", "Two."]
    assert stage.screen.frames[-1][2] == "req-2"


async def test_a_message_is_sent_twice_at_most(stage: Stage) -> None:
    """However often the process dies before it hears what became of it."""
    stage.screen.dead = {"req-1"}
    ref, end = None, final("One.")
    for _ in range(2):
        surface = stage.surface(ref)
        ref = (await surface.show(end)).ref
        stage.screen.lost = [Unsure()]
        with pytest.raises(Unsure):
            await surface.show(end)
    with pytest.raises(Exhausted):
        await stage.surface(ref).show(end)
    assert stage.screen.seen == ["One.", "One."]


async def test_a_message_that_was_not_sent_may_be_tried_for_long(stage: Stage) -> None:
    stage.screen.dead = {"req-1"}
    surface = stage.surface()
    for error in (Unreachable(), RateLimited(1.0), Unreachable()):
        assert (await surface.show(final("One."))).staged
        stage.screen.fails = [error]
        with pytest.raises(type(error)):
            await surface.show(final("One."))
    await committed(surface, final("One."))
    assert stage.screen.seen == ["One."]


async def test_where_no_message_may_be_sent_the_answer_waits(stage: Stage) -> None:
    stage.screen.dead, stage.screen.sends_refused = {"req-1"}, True
    surface = stage.surface()
    assert (await surface.show(final("One."))).staged
    with pytest.raises(Exhausted) as caught:
        await surface.show(final("One."))
    assert caught.value.calls == 1
    assert stage.screen.seen == []


# ------------------------------------------------------------------ other events


async def test_whoever_opens_the_chat_is_welcomed(stage: Stage) -> None:
    event = Entered(id="first", conversation=CHAT, user=User("zhangsan"), at=NOW, handle=handle("req-e"))
    surface = stage.surface(to=event)
    assert (await surface.show(preview(status="Thinking"))).calls == 0
    await committed(surface, final("**Hello**"))
    command, body, req_id = stage.screen.frames[-1]
    assert (command, req_id) == ("aibot_respond_welcome_msg", "req-e")
    assert body == {"msgtype": "text", "text": {"content": "Hello"}}


@pytest.mark.parametrize("late", [True, False])
async def test_a_late_welcome_is_a_message(stage: Stage, late: bool) -> None:
    stage.now += 6 if late else 0
    stage.screen.fails = [] if late else [Refused(846605)]
    event = Entered(id="first", conversation=CHAT, user=User("zhangsan"), at=NOW, handle=handle("req-e"))
    _, shown = await committed(stage.surface(to=event), final("Hello"))
    assert shown.calls == (1 if late else 2)
    assert stage.screen.seen == ["Hello"]
    assert stage.screen.frames[-1][0] == "aibot_send_msg"


async def test_a_press_is_answered_under_the_newest_question(stage: Stage) -> None:
    event = Press(
        id="p", conversation=CHAT, user=User("zhangsan"), at=NOW, handle=handle("req-p"), target="s", key="k1"
    )
    await stage.surface(to=event).show(final("Thanks."))
    assert stage.screen.frames[0][2] == "req-1"
    stage.newest = ""
    await committed(stage.surface(to=event), final("Thanks."))
    assert stage.screen.frames[-1][0] == "aibot_send_msg"


# ------------------------------------------------------------------ buttons


async def test_buttons_come_with_the_end(stage: Stage) -> None:
    surface = stage.surface()
    await surface.show(Show(text="One", buttons=(Button("stop", "Stop", "stop"), GOOD)))
    assert not stage.screen.cards
    shown = await surface.show(final("One two.", buttons=(GOOD,)))
    (made,) = stage.screen.cards.values()
    assert made["task_id"] == shown.ids[0]
    assert [button["key"] for button in made["button_list"]] == ["k1"]


async def test_buttons_that_are_refused_are_left_out(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    stage.screen.cards_refused = True
    shown = await stage.surface().show(final("One.", buttons=(GOOD,)))
    assert shown.calls == 2
    assert (stage.screen.seen, stage.screen.finished) == (["One."], set(shown.ids))
    assert "buttons" in caplog.text


# ------------------------------------------------------------------ files


def file(image: bool = False) -> Show:
    return Show(part=1, files=(File(URL, "cat", image=image),), final=True)


@pytest.mark.parametrize(("found", "seen"), [(PNG, "[image cat.png]"), (PDF, "[file report.pdf]")])
async def test_a_file_is_a_message_of_its_own(stage: Stage, found: Download, seen: str) -> None:
    stage.host.downloads[URL] = found
    surface = stage.surface()
    await surface.show(final("One."))
    shown = await surface.show(file())
    assert stage.screen.seen == ["One.", seen]
    assert (shown.calls, len(shown.ids)) == (1, 1)
    assert stage.screen.frames[-1][2] == "req-1"


async def test_a_file_without_a_question(stage: Stage) -> None:
    stage.host.downloads[URL], stage.screen.dead = PDF, {"req-1"}
    shown = await stage.surface().show(file())
    assert stage.screen.seen == ["[file report.pdf]"]
    assert shown.calls == 2
    assert stage.screen.frames[-1][1]["chatid"] == "zhangsan"


@pytest.mark.parametrize("why", ["missing", "big", "upload", "send"])
async def test_a_file_that_cannot_be_shown_is_left_out(
    stage: Stage, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    if why != "missing":
        stage.host.downloads[URL] = Download(bytes(21 * 2**20), "a.bin", "") if why == "big" else PDF
    if why == "upload":
        stage.screen.fails = [Refused(40009)]
    if why == "send":
        stage.screen.dead, stage.screen.sends_refused = {"req-1"}, True
    await stage.surface().show(file())
    assert stage.screen.seen == []
    assert "files.example.com" in caplog.text and "SECRET" not in caplog.text


async def test_what_was_uploaded_is_uploaded_once(stage: Stage) -> None:
    stage.host.downloads[URL] = PDF
    surface = stage.surface()
    stage.screen.fails = [None, None, None, Unsure()]
    with pytest.raises(Unsure):
        await surface.show(file())
    stage.host.downloads.clear()
    await surface.show(file())
    assert stage.screen.seen == ["[file report.pdf]"]
    assert [command for command, _, _ in stage.screen.frames].count("aibot_upload_media_init") == 1
