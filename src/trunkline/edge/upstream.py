"""The upstream edge, the pipeline's last handler: chooses the target's wire format and does the operation there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from trunkline.core.call import Call, Operation
from trunkline.core.reply import Reply
from trunkline.edge.learned import Learner, Lessons
from trunkline.edge.operations.count import Count
from trunkline.edge.operations.embed import Embed
from trunkline.edge.operations.generate import Generate
from trunkline.edge.operations.passthrough import Passthrough
from trunkline.edge.operations.stored import Stored
from trunkline.edge.sender import Sender
from trunkline.edge.transport.base import Transport
from trunkline.providers.target import Provider, Target

Do = Callable[[Call], Awaitable[Reply]]


class Upstream:
    """`patience`: see `Generate`."""

    def __init__(self, transport: Transport, patience: float) -> None:
        sender = self.sender = Sender(transport)
        self.lessons = Lessons()
        generate = Generate(sender, Learner(sender, self.lessons), patience)
        self._operations: Mapping[Operation, Do] = {
            "generate": generate,
            "complete": generate,
            "count_tokens": Count(sender),
            "embed": Embed(sender),
            "response": Stored(sender),
            **dict.fromkeys(("moderate", "image", "speech", "transcribe"), Passthrough(sender)),
        }

    async def __call__(self, call: Call) -> Reply:
        target: Target = call.target
        operation = call.surface.operation
        call.api = target.api(call.surface.dialect, operation, call.peek)
        return await self._operations[operation](call)

    def credentials(self) -> list[dict[str, Any]]:
        """Those that rest or are retired, for people."""
        return self.sender.credentials()

    async def keep(self, providers: Iterable[Provider]) -> None:
        """The configuration has these providers now, and no others. What was learned of others, or of one whose row
        has changed, is forgotten."""
        self.lessons.keep(await self.sender.keep(providers))

    async def aclose(self) -> None:
        """No credential is renewed any more."""
        await self.sender.aclose()
