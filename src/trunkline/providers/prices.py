"""What a call cost, by genai-prices, in integer nano-dollars.

The price list is a large library (half a second to import), so it is loaded by `load`, in a background thread, after
the server has begun to listen. Calling it costs 0.3 ms; most prices are rates per token, which may depend on the size
of the prompt, so those are read once per model and day into integers. Sound, and
prices by the hour or by the call, go to the library each time.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import accumulate
from typing import Any

from msgspec import Struct

from trunkline.core.call import Entry
from trunkline.core.usage import NANO, Usage

_MILLION = 1_000_000
_DAY = 86_400.0
MAX_RATES = 4096


class Rates(Struct, frozen=True):
    """Nano-dollars per million tokens: integers, since no list price has more than nine decimals."""

    input: int
    cache_read: int
    cache_write: int
    cache_write_1h: int
    output: int

    def cost(self, usage: Usage) -> int:
        """Nano-dollars, rounded half to even once, at the end."""
        plain = usage.input - usage.cache_read - usage.cache_write
        total = (
            plain * self.input
            + usage.cache_read * self.cache_read
            + (usage.cache_write - usage.cache_write_1h) * self.cache_write
            + usage.cache_write_1h * self.cache_write_1h
            + usage.output * self.output
        )
        whole, rest = divmod(total, _MILLION)
        return whole + (2 * rest > _MILLION or (2 * rest == _MILLION and whole & 1))

    @property
    def dearest(self) -> int:
        """Of a token of input, whatever of it is cached."""
        return max(self.input, self.cache_read, self.cache_write, self.cache_write_1h)


class Brackets(Struct, frozen=True):
    """Rates by the size of the prompt: above `starts[i - 1]` input tokens, `rates[i]` holds for all of the call."""

    starts: tuple[int, ...]
    rates: tuple[Rates, ...]
    tops: tuple[tuple[int, int], ...]
    """The dearest token of input and of output in a bracket and those below it."""

    def cost(self, usage: Usage) -> int:
        return self.rates[bisect_left(self.starts, usage.input) if self.starts else 0].cost(usage)

    def ceiling(self, input: int, output: int) -> int:
        """Nano-dollars that no call of at most so many tokens can exceed."""
        dearest, answer = self.tops[bisect_left(self.starts, input) if self.starts else 0]
        return -(-(input * dearest + output * answer) // _MILLION)


def brackets(starts: tuple[int, ...], rates: tuple[Rates, ...]) -> Brackets:
    inputs = accumulate((each.dearest for each in rates), max)
    outputs = accumulate((each.output for each in rates), max)
    return Brackets(starts, rates, tuple(zip(inputs, outputs, strict=True)))


class Exact(Struct, frozen=True):
    """Asked of the library: right for all usage, and slow."""

    price: Callable[[Usage], int]

    def cost(self, usage: Usage) -> int:
        return self.price(usage)

    def ceiling(self, input: int, output: int) -> int:
        """As of `Brackets`."""
        return self.dearest(input, output, 0)

    def dearest(self, input: int, output: int, sound: int) -> int:
        """The same. `sound`: 1 if all of it is, which is never cached."""
        kinds = (0, 0, 0), (input, 0, 0), (0, input, 0), (0, input, input)
        used = [
            Usage(
                input=input,
                output=output,
                cache_read=read,
                cache_write=write,
                cache_write_1h=longer,
                input_audio=input * sound,
                output_audio=output * sound,
            )
            for read, write, longer in kinds[: 1 if sound else None]
        ]
        return 1 + max(map(self.price, used))


class Sounding(Struct, frozen=True):
    """Sound has a price of its own, which the library knows."""

    silent: Brackets
    exact: Exact

    def cost(self, usage: Usage) -> int:
        return (self.exact if usage.input_audio or usage.output_audio else self.silent).cost(usage)

    def ceiling(self, input: int, output: int) -> int:
        """As of `Brackets`."""
        return max(self.silent.ceiling(input, output), self.exact.dearest(input, output, 1))


Pricing = Brackets | Exact | Sounding
"""How a model's calls are priced."""


class _Day(Struct, frozen=True):
    """How a model's calls are priced on one day; None: nobody knows."""

    pricing: Pricing | None
    date: str
    start: float
    end: float
    """Seconds since the epoch."""


class PriceList:
    """Costs of entries. `cost` answers None until `load` has run."""

    def __init__(self) -> None:
        self._library: Any = None
        self._days: dict[tuple[str, int], _Day] = {}
        """By model and day."""
        self._lately: dict[str, _Day] = {}
        """By model: the day that was last asked for."""

    def load(self) -> None:
        """Import the price list. Slow: for a background thread."""
        import genai_prices

        genai_prices.calc_price(genai_prices.Usage(input_tokens=1), "gpt-4o", provider_id="openai")
        self._library = genai_prices

    @property
    def loaded(self) -> bool:
        return self._library is not None

    def cost(self, entry: Entry) -> tuple[int, str] | None:
        """(nano-dollars, date of the price, ISO 8601), or None where the price is unknown or not loaded yet."""
        if entry.price_model is None or entry.usage is None or self._library is None:
            return None
        day = self._lately.get(entry.price_model)
        if day is None or not day.start <= entry.at < day.end:
            day = self._look_up(entry.price_model, entry.at)
        if day.pricing is None:
            return None
        try:
            return day.pricing.cost(entry.usage), day.date
        except ValueError:  # counts that contradict each other, as only a provider can send them
            return None

    def ceiling(self, price_model: str | None, at: float, input: int, output: int) -> int | None:
        """Nano-dollars that a call at this time (seconds since the epoch) of at most so many tokens cannot exceed; 0
        where nothing is to be paid, None where no price is known."""
        if price_model is None:
            return 0
        if self._library is None:
            return None
        day = self._lately.get(price_model)
        if day is None or not day.start <= at < day.end:
            day = self._look_up(price_model, at)
        return day.pricing.ceiling(input, output) if day.pricing is not None else None

    def _look_up(self, price_model: str, at: float) -> _Day:
        number = int(at // _DAY)
        found = self._days.get((price_model, number))
        if found is None:
            if len(self._days) >= MAX_RATES:
                self._days.clear()
                self._lately.clear()
            start = number * _DAY
            when = datetime.fromtimestamp(start + _DAY / 2, UTC)
            pricing = self._read(price_model, when)
            found = self._days[price_model, number] = _Day(pricing, when.date().isoformat(), start, start + _DAY)
        self._lately[price_model] = found
        return found

    def _read(self, price_model: str, when: datetime) -> Pricing | None:
        provider, _, model = price_model.partition(":")

        def price(usage: Usage) -> Any:
            return self._library.calc_price(
                self._usage(usage), model, provider_id=provider, genai_request_timestamp=when
            )

        try:
            found = price(Usage(input=1))
        except LookupError:
            return None

        def exact(usage: Usage) -> int:
            return _nano(price(usage).total_price)

        by_call = price(Usage()).total_price != 0  # as with models that search
        if by_call or isinstance(found.model.prices, list):  # the latter changes with the hour
            return Exact(exact)
        starts = _starts(found)
        by_size = brackets(starts, tuple(_rates(price, start + 1) for start in (0, *starts)))
        return Sounding(by_size, Exact(exact)) if _sounds(found) else by_size

    def _usage(self, usage: Usage) -> Any:
        return self._library.Usage(
            input_tokens=usage.input,
            cache_read_tokens=usage.cache_read,
            cache_write_tokens=usage.cache_write,
            cache_write_1h_tokens=usage.cache_write_1h or None,
            output_tokens=usage.output,
            input_audio_tokens=usage.input_audio or None,
            output_audio_tokens=usage.output_audio or None,
            # Nobody says how much of the cached part is sound: the least that the other counts allow.
            cache_audio_read_tokens=_shared(usage.input_audio, usage.cache_read, usage.input),
        )


def _shared(part: int, other: int, whole: int) -> int | None:
    """The least that two parts of a whole have in common; None where one of them is empty."""
    return max(0, part + other - whole) if part and other else None


def _sounds(found: Any) -> bool:
    return any(value is not None and "audio" in name for name, value in vars(found.model_price).items())


def _starts(found: Any) -> tuple[int, ...]:
    """Where the price list's tiers begin: above so many input tokens."""
    prices = vars(found.model_price).values()
    return tuple(sorted({tier.start for price in prices for tier in getattr(price, "tiers", ())}))


def _rates(price: Callable[[Usage], Any], size: int) -> Rates:
    """Read the rates of a prompt of this size off the library's own answers, which are exact decimals."""

    def rate(usage: Usage, tokens: int, beside: Decimal = Decimal(0)) -> int:
        return _nano((price(usage).total_price - beside) * _MILLION / tokens)

    prompt = Usage(input=size)
    return Rates(
        input=rate(prompt, size),
        cache_read=rate(Usage(input=size, cache_read=size), size),
        cache_write=rate(Usage(input=size, cache_write=size), size),
        cache_write_1h=rate(Usage(input=size, cache_write=size, cache_write_1h=size), size),
        output=rate(Usage(input=size, output=_MILLION), _MILLION, price(prompt).total_price),
    )


def _nano(dollars: Decimal) -> int:
    return int((dollars * NANO).quantize(Decimal(1), ROUND_HALF_EVEN))
