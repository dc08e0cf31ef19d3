"""A mail server on loopback that keeps what it is sent, and can refuse or keep everybody waiting."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP


@dataclass
class Mailbox:
    """What arrived, in order.

    With ``refuses`` every mail is put off (451). While ``answers`` is not set nobody gets an answer.
    """

    address: str = ""
    refuses: bool = False
    mails: list[EmailMessage] = field(default_factory=list)
    attempts: int = 0
    answers: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.answers.set()

    @property
    def titles(self) -> list[str]:
        return [str(mail["Subject"]) for mail in self.mails]

    @property
    def texts(self) -> list[str]:
        """The plain text of each mail."""
        return [_text(mail) for mail in self.mails]

    def url(self, to: str = "ruth@flights.example") -> str:
        """The Apprise URL of somebody's mail here."""
        return f"mailto://{self.address}/?from=retrain@flights.example&to={to}&mode=insecure&format=text"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 (the name aiosmtpd calls)
        self.attempts += 1
        while not self.answers.is_set():
            await asyncio.sleep(0.01)
        if self.refuses:
            return "451 try again later"
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))  # type: ignore[arg-type]
        return "250 taken"


def _text(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    assert body is not None
    return str(body.get_content()).replace("\r\n", "\n")


@contextmanager
def mailbox() -> Iterator[Mailbox]:
    """A running one."""
    box, loop = Mailbox(), asyncio.new_event_loop()

    async def listen() -> asyncio.Server:
        return await loop.create_server(lambda: SMTP(box, loop=loop, hostname="localhost"), "127.0.0.1", 0)

    def run() -> None:
        asyncio.set_event_loop(loop)
        loop.run_forever()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(listen(), loop).result(10)
    host, port = server.sockets[0].getsockname()[:2]
    box.address = f"{host}:{port}"
    try:
        yield box
    finally:
        box.answers.set()
        asyncio.run_coroutine_threadsafe(_end(server), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _end(server: asyncio.Server) -> None:
    """Nobody is served any more, and every conversation is over."""
    server.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
