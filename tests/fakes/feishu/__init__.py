"""A fake Feishu open platform on the loopback: strict as its documents, scriptable, and with a clock that tests move.

    async with OpenPlatform() as platform:      # platform.url is the domain, platform.app_id and app_secret the app
        await platform.connected()              # a client has opened the long connection
        platform.say("hi")                      # Ann writes in her private chat with the bot
        await platform.until(lambda: platform.answers() and not platform.answers()[0].streaming)
        assert platform.answers()[0].text == "Hello"
        pressed = await platform.press(platform.answers()[0].message_id, "Stop")

``rules``, ``clock``, ``codec``, ``events``, ``cardmarkdown``, ``cardtags`` <- ``cardschema``, ``cardtext`` (pure) ·
``things`` <- ``state`` (memory, switches, ``until``) <- ``gateway`` (long connection) <- ``delivery`` (attempts,
``webhook``) <- ``users``, ``presses`` (what people do), ``screen`` (what they see) <- ``faults`` <- ``server`` ·
``entity``, ``cardedit`` <- ``cards`` (CardKit), ``content`` <- ``messages`` <- ``sending``, ``uploads``, ``directory``,
``interaction`` <- ``rest`` (the calls).
"""

from tests.fakes.feishu.interaction import Pressed
from tests.fakes.feishu.screen import Seen
from tests.fakes.feishu.server import OpenPlatform
from tests.fakes.feishu.state import USER
from tests.fakes.feishu.things import Ack, Call, File, Reply
from tests.fakes.feishu.users import PIXEL

__all__ = ["PIXEL", "USER", "Ack", "Call", "File", "OpenPlatform", "Pressed", "Reply", "Seen"]
