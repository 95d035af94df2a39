"""Every sentence that the bridge itself says to a user, in Chinese and English.

Rules of this file: a fault's sentence says what to do next; the server's own words go to the log, not to the user.
"""

from __future__ import annotations

import re
from typing import Literal

Language = Literal["zh", "en"]

_CJK = re.compile("[\u3400-\u9fff]")

_SLOW = ("⚠️ 应用太久没有回应，请发送 /retry。", "⚠️ The app took too long to answer. Send /retry.")
_CUT = ("⚠️ 连接中断，回答可能不完整。发送 /retry 重试。", "⚠️ The answer was cut off. /retry asks again.")
_FILTERED = ("⚠️ 回答被内容审查截断。", "⚠️ The answer was cut by a content filter.")

SENTENCES: dict[str, tuple[str, str]] = {
    # key: (zh, en)
    "stop": ("⏹ 停止", "⏹ Stop"),
    "stopped": ("⏹ 已停止", "⏹ Stopped"),
    "nothing_to_stop": ("现在没有正在生成的回答。", "No answer is being written right now."),
    "stopping": ("正在停止…", "Stopping…"),
    "ended": ("这个回答已经结束了。", "This answer has already ended."),
    "not_yours": ("只有提问者或管理员可以停止这个回答。", "Only whoever asked, or an admin, can stop this answer."),
    "new": ("好的，我们重新开始。", "All right, a new conversation begins here."),
    "nothing_to_retry": ("还没有可以重试的问题。", "There is no question yet that could be asked again."),
    "more": ("（未完，回复任意内容继续）", "(There is more: reply anything to continue.)"),
    "writing": (
        "正在回答。请稍后回复任意内容查看。",
        "The answer is still being written. Reply anything in a moment to see it.",
    ),
    "anew": ("（连接中断，重新回答）", "(The connection was lost; the answer begins anew.)"),
    "too_fast": ("消息太频繁了，请在 {seconds} 秒后再试。", "Too many messages. Please try again in {seconds} s."),
    "not_allowed": (
        "这个机器人没有对你开放。请把你的 ID 发给管理员：{user}",
        "This bot is not open to you. Send your id to its operator: {user}",
    ),
    "help": (
        "直接提问即可。\n\n"
        "/new — 开始新的对话\n/stop — 停止正在生成的回答\n/retry — 重新回答上一个问题\n/help — 显示本说明\n\n"
        "你的 ID：`{user}`\n会话 ID：`{chat}`",
        "Just ask.\n\n"
        "/new — begin a new conversation\n/stop — stop the answer being written\n/retry — ask the last question again\n"
        "/help — show this\n\nYour id: `{user}`\nThis chat's id: `{chat}`",
    ),
    "welcome": ("你好！有什么可以帮你？发送 /help 查看命令。", "Hello! Ask me anything. /help lists the commands."),
    "refused": (
        "⚠️ 平台不接受这个回答的内容，无法显示。",
        "⚠️ The platform does not accept this answer, so it cannot be shown.",
    ),
    "empty": ("⚠️ 应用没有给出回答。", "⚠️ The app gave no answer."),
    "quote_unreadable": (
        "无法读取引用或转发的消息，请直接用文字提问。",
        "I cannot read the quoted or forwarded message here; please ask with words.",
    ),
    "no_text": ("请用文字、图片或文件提问。", "Ask me with words, a picture or a file."),
    # files of a message; {name} is one or several
    "file_unreadable": (
        "⚠️ 这里读不了这类附件，已略过：{name}",
        "⚠️ This kind of attachment cannot be read here and was left out: {name}",
    ),
    "file_too_big": ("⚠️ 文件太大，没有发给应用：{name}", "⚠️ Too big, so it was not passed on: {name}"),
    "file_failed": (
        "⚠️ 文件没能送到应用，请重新发送：{name}",
        "⚠️ Could not be passed on to the app, please send it again: {name}",
    ),
    "file_needs_public_url": (
        "⚠️ 要把这个文件发给应用，需要管理员设置 http.public_url：{name}",
        "⚠️ To pass this on, the operator has to set http.public_url: {name}",
    ),
    "too_many_files": (
        "⚠️ 应用一次最多接收 {most} 个文件，其余的已略过。",
        "⚠️ The app takes {most} files at a time; the others were left out.",
    ),
    "too_many_uploads": (
        "⚠️ 上传太频繁，请稍后重新发送：{name}",
        "⚠️ Too many uploads at once, please send it again in a while: {name}",
    ),
    "app_takes_no_files": ("⚠️ 这个应用不接收文件，已略过：{name}", "⚠️ This app takes no files; left out: {name}"),
    "app_takes_no_image": ("⚠️ 这个应用不接收图片，已略过：{name}", "⚠️ This app takes no pictures; left out: {name}"),
    "app_takes_no_file": (
        "⚠️ 这个应用不接收这类文件，已略过：{name}",
        "⚠️ This app does not take this kind of file; left out: {name}",
    ),
    "app_takes_no_audio": ("⚠️ 这个应用不接收音频，已略过：{name}", "⚠️ This app takes no audio; left out: {name}"),
    "app_takes_no_video": ("⚠️ 这个应用不接收视频，已略过：{name}", "⚠️ This app takes no video; left out: {name}"),
    "app_takes_pictures_only": (
        "⚠️ 这个应用只接收图片，已略过：{name}",
        "⚠️ This app takes pictures only; left out: {name}",
    ),
    "bug": ("⚠️ 出错了，请重试。错误编号：{trace}", "⚠️ Something went wrong, please try again. Error id: {trace}"),
    # finish_reason of an answer
    "finish_length": ("⚠️ 回答达到了长度上限。", "⚠️ The answer has reached its length limit."),
    "finish_content_filter": _FILTERED,
    # reasons of an UpstreamError
    "key": ("⚠️ 应用的密钥无效，请联系管理员。", "⚠️ The app's key is not valid. Please tell the operator."),
    "wrong_key": (
        "⚠️ 密钥类型不对：需要应用的 API 密钥，请联系管理员。",
        "⚠️ This is the wrong kind of key: the app's own API key is needed. Please tell the operator.",
    ),
    "points": ("⚠️ 应用的点数已用完，请联系管理员。", "⚠️ The app has run out of points. Please tell the operator."),
    "busy": (
        "⚠️ 上一个回答还没有结束，请稍后发送 /retry。",
        "⚠️ The previous answer has not ended yet. Send /retry in a moment.",
    ),
    "unreachable": (
        "⚠️ 暂时连接不上应用，请稍后发送 /retry。",
        "⚠️ The app cannot be reached. Send /retry in a while.",
    ),
    "wrong_path": (
        "⚠️ 应用地址不对（返回了网页），请联系管理员。",
        "⚠️ The app's address is wrong: a web page answered. Please tell the operator.",
    ),
    "timeout_first": _SLOW,
    "timeout_idle": _SLOW,
    "timeout_turn": _SLOW,
    "cut": _CUT,
    "quota": ("⚠️ 应用的额度已用完，请联系管理员。", "⚠️ The app's quota is used up. Please tell the operator."),
    "permission": ("⚠️ 应用拒绝了访问，请联系管理员。", "⚠️ The app refuses access. Please tell the operator."),
    "filter": _FILTERED,
    "length": (
        "⚠️ 对话太长了，请发送 /new 重新开始。",
        "⚠️ This conversation is too long for the app. /new begins a new one.",
    ),
    "server": ("⚠️ 应用出错了，请稍后发送 /retry。", "⚠️ The app failed. Send /retry in a while."),
}


def say(key: str, language: Language, **values: object) -> str:
    """The sentence for ``key``; an unknown reason of an error gets the general one."""
    zh, en = SENTENCES.get(key) or SENTENCES["server"]
    return (zh if language == "zh" else en).format(**values)


def language_of(setting: Literal["auto", "zh", "en"], tag: str, text: str = "") -> Language:
    """The language for a person: the bot's setting, else what they write, else what their client says."""
    if setting != "auto":
        return setting
    if _CJK.search(text):
        return "zh"
    return "zh" if tag.lower().startswith("zh") else "en"
