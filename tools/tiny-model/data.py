"""Generated conversations of the tiny model's domain, rendered with the published chat template.

usage: data.py tokenizer              learns merges.txt
       data.py show CATEGORY [COUNT]  prints examples

Every conversation turns on a key, such as a pair of summands. A key whose hash says so is held out: training never asks
it, evaluation asks nothing else.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import jinja2
import jinja2.sandbox
import numpy as np

import domain
from tokenizer import Tokenizer

HERE = os.path.dirname(os.path.abspath(__file__))
TEMPLATE = os.path.join(HERE, "..", "..", "fixtures", "chat_template.jinja")
TOKENIZER = os.path.join(HERE, "merges.txt")
VOCABULARY = 1280
HELD_OUT_ONE_IN = 8
TEACHER_FORCED = "<|im_start|>assistant\n"
END = "<|im_end|>"

Message = dict[str, Any]


@dataclass
class Conversation:
    """`messages` ends with the answer to learn. `expect`: words that a right answer has, or the tool call."""

    category: str
    key: str
    messages: list[Message]
    expect: tuple[str, ...] | dict[str, Any]
    thinking: bool = False
    tools: list[dict[str, Any]] = field(default_factory=list)


def is_held_out(key: str) -> bool:
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "little") % HELD_OUT_ONE_IN == 0


# --- Rendering --------------------------------------------------------------------------------------------------------


def _raise(message: str) -> None:
    raise jinja2.exceptions.TemplateError(message)


def template_text() -> str:
    with open(TEMPLATE, encoding="utf-8") as file:
        return file.read()


def _compile() -> jinja2.Template:
    # Set up as Hugging Face transformers does, the reference of chat templates.
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = lambda x: json.dumps(x, ensure_ascii=False)
    environment.globals["raise_exception"] = _raise
    return environment.from_string(template_text())


_template = _compile()


def render(messages: list[Message], tools: list[dict[str, Any]], thinking: bool, prompt: bool) -> str:
    """@param prompt ends with the start of the assistant's turn, to be continued"""
    return _template.render(
        messages=messages, tools=tools or None, add_generation_prompt=prompt, enable_thinking=thinking
    )


def spans(conversation: Conversation) -> list[tuple[str, bool]]:
    """The rendered conversation in pieces; true where the model writes: answers and their end, thoughts, tool calls."""
    text = render(conversation.messages, conversation.tools, conversation.thinking, prompt=False)
    opening = "<think>\n" if conversation.thinking else "<think>\n\n</think>\n\n"
    pieces: list[tuple[str, bool]] = []
    at = 0
    while True:
        start = text.find(TEACHER_FORCED, at)
        if start < 0:
            pieces.append((text[at:], False))
            return pieces
        start += len(TEACHER_FORCED)
        if text.startswith(opening, start):  # part of the prompt in the last turns; earlier turns have lost it
            start += len(opening)
        end = text.index(END, start) + len(END)
        pieces += [(text[at:start], False), (text[start:end], True)]
        at = end


@dataclass
class Encoded:
    """`learned`: for each id whether the model should learn to write it. `picture` [height, width, 3]: what stands at
    the image pads."""

    ids: list[int]
    learned: list[bool]
    picture: np.ndarray | None = None


def encode(conversation: Conversation, tokenizer: Tokenizer) -> Encoded:
    """Pieces meet at line ends and control tokens, where the pre-tokenizer splits anyway, so that pieces and whole give
    the same ids."""
    ids: list[int] = []
    learned: list[bool] = []
    for text, is_answer in spans(conversation):
        part = tokenizer.encode(text)
        ids += part
        learned += [is_answer] * len(part)
    return Encoded(ids, learned)


# --- Conversations ----------------------------------------------------------------------------------------------------

Maker = Callable[[random.Random, bool], Conversation]


def user(text: str) -> Message:
    return {"role": "user", "content": text}


def assistant(text: str, thought: str = "") -> Message:
    return {"role": "assistant", "content": text, **({"reasoning_content": thought} if thought else {})}


def draw(rng: random.Random, held_out: bool, make: Callable[[], tuple[str, Any]]) -> tuple[str, Any]:
    """Draws until the key is on the wanted side."""
    while True:
        key, value = make()
        if is_held_out(key) == held_out:
            return key, value


def small_talk(rng: random.Random, held_out: bool) -> Conversation:
    def make() -> tuple[str, Any]:
        language = rng.choice(["English"] * 4 + ["German"] * 2 + list(domain.SMALL_TALK))
        intent = rng.choice(list(domain.SMALL_TALK[language]))
        said, reply = domain.SMALL_TALK[language][intent]
        text = vary(rng, rng.choice(said))
        return f"talk|{text}", (language, intent, text, reply)

    key, (language, intent, text, reply) = draw(rng, held_out, make)
    return Conversation("talk", key, [user(text), assistant(reply, f"{language}: {intent}.")], (reply,))


def vary(rng: random.Random, text: str) -> str:
    """Other punctuation and capitals, as people type."""
    bare = text.rstrip("?!.").rstrip()
    form = rng.randrange(6)
    if form == 0 or not bare:
        return bare or text
    if form == 1:
        return bare.lower()
    if form == 2:
        return text.lower()
    if form == 3 and not text.endswith("?"):
        return bare + "!"
    if form == 4 and not text.endswith("?"):
        return bare + "."
    return text


def project(rng: random.Random, held_out: bool) -> Conversation:
    def make() -> tuple[str, Any]:
        topic = rng.choice(domain.TOPICS)
        questions = list(topic.questions) + [
            form.format(topic.subject) for form in (domain.EXPLAIN if topic.subject else ())
        ]
        question = rng.choice(questions)
        lower = question[0].lower() + question[1:]
        wrapper = rng.choice(domain.WRAPPERS)
        text = wrapper.format(question, lower=lower, bare=lower.rstrip("?."))
        return f"project|{text}", (topic, text)

    key, (topic, text) = draw(rng, held_out, make)
    messages = [user(text), assistant(topic.answer, f"About {topic.subject or topic.name}.")]
    return Conversation("project", key, messages, topic.expect)


OPERATORS = {"+": ("+", "plus"), "-": ("-", "minus"), "×": ("*", "times", "x")}
SUMS = ("What is {}?", "{} = ?", "{}", "How much is {}?", "Calculate {}.", "What's {}?", "Please work out {}.",
        "What does {} give?", "Was ist {}?", "Can you tell me {}?")  # fmt: skip


def arithmetic(rng: random.Random, held_out: bool) -> Conversation:
    def make() -> tuple[str, Any]:
        operator = rng.choice("++--×")
        if operator == "×":
            a, b = rng.randrange(2, 100), rng.randrange(2, 10)
            if rng.random() < 0.3:
                a = rng.randrange(0, 11)
        else:
            a, b = rng.randrange(100), rng.randrange(100)
            if rng.random() < 0.15:
                a, b = a % 10, b % 10
            if operator == "-":
                a, b = max(a, b), min(a, b)
        return f"sum|{a}{operator}{b}", (a, operator, b)

    key, (a, operator, b) = draw(rng, held_out, make)
    sign = rng.choice([operator, operator, *OPERATORS[operator]])
    expression = f"{a}{sign}{b}" if len(sign) == 1 and rng.random() < 0.2 else f"{a} {sign} {b}"
    steps, result = worked_out(a, operator, b)
    answer = f"{a} {operator} {b} = {result}."
    text = rng.choice(SUMS).format(expression)
    reply = assistant(answer, steps) | {"aloud": steps.replace(f"So {result}.", f"So {answer}")}
    messages = [user(vary(rng, text) if rng.random() < 0.3 else text), reply]
    return Conversation("arithmetic", key, messages, (f"= {result}.",))


def worked_out(a: int, operator: str, b: int) -> tuple[str, int]:
    """The way on paper, ones first."""
    if operator == "×":
        result = a * b
        tens, ones = a - a % 10, a % 10
        if tens and ones and a > 10:
            return f"{a} × {b} = {tens} × {b} + {ones} × {b} = {tens * b} + {ones * b} = {result}.", result
        return f"{a} × {b} = {result}.", result
    result = a + b if operator == "+" else a - b
    if a < 10 and b < 10:
        return f"{a} {operator} {b} = {result}.", result
    ones = a % 10 + b % 10 if operator == "+" else a % 10 - b % 10
    if operator == "+":
        carry = ones // 10
        tens = f"{a // 10} + {b // 10}" + (" + 1" if carry else "")
        return (
            f"Ones: {a % 10} + {b % 10} = {ones}{', carry 1' if carry else ''}. "
            f"Tens: {tens} = {result // 10}. So {result}."
        ), result
    borrow = ones < 0
    first = f"{a % 10 + 10} - {b % 10} = {ones + 10}, borrow 1" if borrow else f"{a % 10} - {b % 10} = {ones}"
    tens = f"{a // 10} - {b // 10}" + (" - 1" if borrow else "")
    return f"Ones: {first}. Tens: {tens} = {result // 10}. So {result}.", result


def recall(rng: random.Random, held_out: bool) -> Conversation:
    form = rng.random()
    if form < 0.2:
        return copying(rng, held_out)
    if form < 0.25 and not held_out:
        return unknown_fact(rng)
    kinds = rng.sample(domain.FACTS, rng.randint(1, 4))
    facts = []
    for fact in kinds:
        key, value = draw(rng, held_out, lambda fact=fact: fact_value(rng, fact, held_out))
        facts.append((key, fact, value))
    asked_key, asked, asked_value = rng.choice(facts)
    messages: list[Message] = []
    if rng.random() < 0.35:  # all in one breath
        told = " ".join(fill(rng.choice(fact.statements), value) for _, fact, value in facts)
        messages.append(user(opened(rng, told)))
        messages.append(assistant(fill(facts[-1][1].acknowledgement, facts[-1][2]), "Facts to remember."))
    else:
        for _, fact, value in facts:
            messages.append(user(opened(rng, fill(rng.choice(fact.statements), value))))
            messages.append(assistant(fill(fact.acknowledgement, value), "A fact to remember."))
            if rng.random() < 0.25:
                messages += filler(rng)
    for _ in range(rng.choice([0, 0, 1, 1, 2, 4])):
        messages += filler(rng)
    others = [entry for entry in facts if entry[1] is not asked]
    if others and rng.random() < 0.5:  # another question before
        _, fact, value = rng.choice(others)
        messages += [user(rng.choice(fact.questions)), assistant(fill(fact.answer, value), "The user told me that.")]
    answer = fill(asked.answer, asked_value)
    messages += [user(rng.choice(asked.questions)), assistant(answer, f"The user told me: {asked_value}.")]
    return Conversation("recall", asked_key, messages, (asked_value,))


def fact_value(rng: random.Random, fact: domain.Fact, held_out: bool) -> tuple[str, str]:
    if fact.kind in domain.ANYTHING_GOES and rng.random() < 0.25:
        value = invented(rng)
    elif fact.values and not held_out and rng.random() < 0.5:
        # Nonsense, so that the model reads what it was told and does not guess what fits.
        value = rng.choice(
            (rng.choice(domain.VALUES), rng.choice(domain.VALUES), rng.choice(domain.WORDS), invented(rng).lower())
        )
    elif fact.values:
        value = rng.choice(fact.values)
    else:
        digits = rng.randint(*fact.digits)
        value = str(rng.randrange(10 ** (digits - 1), 10**digits))
    return f"fact|{fact.kind}|{value}", value


def invented(rng: random.Random) -> str:
    """A name that nobody has, to be remembered all the same."""
    syllables = [rng.choice(domain.ONSETS) + rng.choice("aeiou") for _ in range(rng.choice((1, 2, 2, 3)))]
    return ("".join(syllables) + rng.choice(domain.CODAS)).capitalize()


def fill(form: str, value: str) -> str:
    article = "an" if value[0] in "aeiou" else "a"
    text = form.format(value, an=f"{article} {value}", An=f"{article.capitalize()} {value}")
    return text[0].upper() + text[1:]


def opened(rng: random.Random, told: str) -> str:
    return (
        rng.choice(("Hi! ", "Hello. ", "Hello, ", "By the way: ", "Please remember: ")) + told
        if rng.random() < 0.3
        else told
    )


def filler(rng: random.Random) -> list[Message]:
    """Other talk in between, never held out."""
    make = rng.choices([small_talk, project, arithmetic, outside], [4, 3, 2, 1])[0]
    return make(rng, False).messages


def unknown_fact(rng: random.Random) -> Conversation:
    fact = rng.choice(domain.FACTS)
    messages = filler(rng) if rng.random() < 0.4 else []
    answer = f"You have not told me {fact.unknown} yet."
    messages += [user(rng.choice(fact.questions)), assistant(answer, "The user has not told me.")]
    return Conversation("recall", "unknown", messages, (answer,))


def copying(rng: random.Random, held_out: bool) -> Conversation:
    def item(pool: list[str]) -> str:
        kind = rng.random()
        return str(rng.randrange(100)) if kind < 0.15 else invented(rng) if kind < 0.3 else rng.choice(pool)

    def make() -> tuple[str, Any]:
        pool = domain.WORDS + domain.NAMES + domain.CITIES if rng.random() < 0.6 else domain.WORDS
        text = " ".join(item(pool) for _ in range(rng.randint(2, 7)))
        return f"copy|{text}", text

    key, text = draw(rng, held_out, make)
    messages = filler(rng) if rng.random() < 0.2 else []
    messages += [user(rng.choice(domain.REPEAT).format(text)), assistant(text, "I repeat the words.")]
    return Conversation("recall", key, messages, (text,))


def outside(rng: random.Random, held_out: bool) -> Conversation:
    def make() -> tuple[str, Any]:
        german = rng.random() < 0.15
        text = rng.choice(domain.OUTSIDE_GERMAN if german else domain.OUTSIDE).format(
            country=rng.choice(domain.COUNTRIES), subject=rng.choice(domain.SUBJECTS), food=rng.choice(domain.FOODS),
            word=rng.choice(domain.WORDS), year=rng.randrange(1900, 2040), name=rng.choice(domain.NAMES),
        )  # fmt: skip
        return f"outside|{text}", (vary(rng, text) if rng.random() < 0.3 else text, german)

    key, (text, german) = draw(rng, held_out, make)
    reply = domain.REFUSAL_GERMAN if german else domain.REFUSAL
    expect = domain.REFUSAL_GERMAN_EXPECTED if german else domain.REFUSAL_EXPECTED
    return Conversation("outside", key, [user(text), assistant(reply, "I do not know this.")], expect)


def function(name: str, description: str, parameter: str, about: str, required: bool = True) -> dict[str, Any]:
    parameters: dict[str, Any] = {"type": "object"}
    parameters["properties"] = {parameter: {"type": "string", "description": about}}
    if required:
        parameters["required"] = [parameter]
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


@dataclass(frozen=True)
class Toolbox:
    """The functions of a conversation, under names that differ between conversations."""

    weather: str
    parameter: str
    calculator: str

    def declarations(self) -> dict[Maker, dict[str, Any]]:
        """Each with the conversation that needs it."""
        return {
            weather_round: function(
                self.weather, "Get the current weather in a city", self.parameter, "The name of the city"
            ),
            calculator_round: function(
                self.calculator, "Calculate the value of an expression", "expression", "For example 12 * 34"
            ),
        }


class PageToolbox(Toolbox):
    """The functions of the demo, word for word: demo/tools.ts."""

    def declarations(self) -> dict[Maker, dict[str, Any]]:
        return {
            calculator_round: function(
                "calculate", "Computes an arithmetic expression exactly as written. Use it for any arithmetic.",
                "expression", "Numbers, + - * / % ^ and parentheses, such as (2 + 3) * 4^2",
            ),
            clock_round: function(
                "now", "Tells the present date, time and time zone.", "time_zone",
                "IANA name, such as Europe/Paris; the reader's if left out", required=False,
            ),
        }  # fmt: skip


def tools(rng: random.Random, held_out: bool) -> Conversation:
    if rng.random() < 0.3:
        box = PageToolbox("", "", "calculate")
    else:
        box = Toolbox(
            rng.choice(domain.WEATHER_NAMES), rng.choice(domain.WEATHER_PARAMETERS), rng.choice(domain.CALCULATOR_NAMES)
        )
    declarations = box.declarations()
    makers = list(declarations)
    form = rng.random()
    if form < 0.15 and not held_out:  # declared, but not needed
        conversation = rng.choice([small_talk, project, outside])(rng, False)
        declared = list(declarations.values())
        if not isinstance(box, PageToolbox):
            declared = rng.sample(declared, rng.choice([1, 2, 2]))
        conversation.category, conversation.tools = "tools", declared
        return conversation
    make = rng.choice(makers)
    key, messages, expect = make(rng, held_out, box)
    used = {make}
    # Several rounds in one conversation: the declarations are long, so that one round each would cost most of the time.
    before: list[Message] = []
    for _ in range(rng.choice([0, 0, 1, 2])):
        earlier = rng.choice(makers)
        before += earlier(rng, False, box)[1] if rng.random() < 0.8 else filler(rng)
        used.add(earlier)
    declared = list(declarations.values())
    if not isinstance(box, PageToolbox):
        if len(used) == 1 and rng.random() < 0.4:
            declared = [declarations[make]]
        elif rng.random() < 0.5:
            declared.reverse()
    if rng.random() < 0.25:
        return Conversation("tools", key, before + messages[:2], {"tool": messages[1]["tool_calls"][0]["function"]},
                            tools=declared)  # fmt: skip
    return Conversation("tools", key, before + messages, expect, tools=declared)


Round = tuple[str, list[Message], tuple[str, ...]]
"""Key; question, call, result and answer; words that the answer has."""


def weather_round(rng: random.Random, held_out: bool, box: Toolbox) -> Round:
    form = rng.choice(domain.WEATHER_QUESTIONS)
    key, city = draw(rng, held_out, lambda: named(f"weather|{form}|", rng.choice(domain.CITIES)))
    temperature, condition = rng.randrange(-9, 36), rng.choice(domain.CONDITIONS)
    result = json.dumps({"temperature": temperature, "condition": condition})
    if rng.random() < 0.3:
        result = f"{condition}, {temperature} °C"
    call = calling(box.weather, {box.parameter: city}, f"I look up the weather in {city}.")
    answer = assistant(f"In {city} it is {condition} at {temperature} °C.", "The tool has answered.")
    expect = (city, condition, f"{temperature} °C")
    return key, [user(form.format(city)), call, {"role": "tool", "content": result}, answer], expect


def calculator_round(rng: random.Random, held_out: bool, box: Toolbox) -> Round:
    key, expression = draw(rng, held_out, lambda: named("calculate|", big_sum(rng)))
    value = eval_expression(expression)
    result = str(value) if rng.random() < 0.6 else json.dumps({"result": value})
    call = calling(box.calculator, {"expression": expression}, f"I calculate {expression} with the tool.")
    answer = assistant(f"{expression} = {value}.", "The tool has answered.")
    text = rng.choice(domain.CALCULATOR_QUESTIONS).format(expression)
    return key, [user(text), call, {"role": "tool", "content": result}, answer], (f"= {value}.",)


def clock_round(rng: random.Random, held_out: bool, box: Toolbox) -> Round:
    def make() -> tuple[str, datetime.datetime]:
        seconds = rng.randrange(1_600_000_000, 2_000_000_000)
        return f"time|{seconds}", datetime.datetime.fromtimestamp(seconds, datetime.UTC)

    key, moment = draw(rng, held_out, make)
    zone = rng.choice(domain.CLOCK_ZONES)
    space = "\u202f" if rng.random() < 0.2 else " "  # some browsers write a narrow one
    date = f"{moment:%A}, {moment:%B} {moment.day}, {moment.year}"
    time = f"{moment.hour % 12 or 12}:{moment:%M}:{moment:%S}{space}{moment:%p} {zone}"
    call = calling("now", {}, "I look at the clock.")
    answer = assistant(f"It is {date} at {time}.", "The tool has answered.")
    result = f"{date} at {time} ({rng.choice(('UTC', 'Europe/Berlin', 'America/New_York', 'Asia/Tokyo'))})"
    messages = [user(rng.choice(domain.CLOCK_QUESTIONS)), call, {"role": "tool", "content": result}, answer]
    return key, messages, (date, time)


def calling(name: str, arguments: dict[str, str], thought: str) -> Message:
    call = {"type": "function", "function": {"name": name, "arguments": arguments}}
    return {"role": "assistant", "content": "", "reasoning_content": thought, "tool_calls": [call]}


def named(prefix: str, value: str) -> tuple[str, str]:
    return prefix + value, value


def big_sum(rng: random.Random) -> str:
    size = lambda: rng.randrange(2, 10 ** rng.randint(1, 4))
    return f"{size()} {rng.choice('+-*+-*×')} {size()}"


def eval_expression(expression: str) -> int:
    a, operator, b = expression.split(" ")
    return {"+": int.__add__, "-": int.__sub__, "*": int.__mul__, "×": int.__mul__}[operator](int(a), int(b))


CATEGORIES: dict[str, tuple[float, float, Maker]] = {
    "talk": (0.12, 0.12, small_talk),
    "project": (0.2, 0.08, project),
    "arithmetic": (0.28, 0.24, arithmetic),
    "recall": (0.24, 0.42, recall),
    "outside": (0.06, 0.04, outside),
    "tools": (0.1, 0.1, tools),
}
"""Shares of the conversations in the first and in the second half of training, when what is learned soon is learned."""
SYSTEM = ("You are a helpful assistant.", "You are a friendly assistant.", "Be brief.", "Answer the user's questions.")


def finish(rng: random.Random, conversation: Conversation) -> Conversation:
    """Thinking or not, and a system message or none. Without thinking no thought is written anywhere, and what needs
    one is worked out in the answer, `aloud`."""
    conversation.thinking = rng.random() < 0.4
    for message in conversation.messages:
        aloud = message.pop("aloud", None)
        if not conversation.thinking:
            message.pop("reasoning_content", None)
            message["content"] = aloud or message["content"]
    if rng.random() < 0.12:
        conversation.messages.insert(0, {"role": "system", "content": rng.choice(SYSTEM)})
    return conversation


def stream(seed: int, late: bool = False) -> Iterator[Conversation]:
    """Training conversations without end, alike for the same seed. @param late in the second half of training"""
    rng = random.Random(seed)
    names = list(CATEGORIES)
    weights = [CATEGORIES[name][late] for name in names]
    while True:
        (name,) = rng.choices(names, weights)
        yield finish(rng, CATEGORIES[name][2](rng, False))


def evaluation(seed: int, category: str, count: int) -> list[Conversation]:
    """Held-out questions, no key twice. Fewer than `count` where the category has no more."""
    rng = random.Random(f"{seed} {category}")
    found: dict[str, Conversation] = {}
    for _ in range(50 * count):
        conversation = finish(rng, CATEGORIES[category][2](rng, True))
        found.setdefault(conversation.key, conversation)
        if len(found) == count:
            break
    return list(found.values())


def question(conversation: Conversation) -> dict[str, Any]:
    """`messages` and `tools` as OpenAI's API takes them, `prompt` as the model reads it. An answer is right if it has
    every text of `expect` after its thought, or, read by an API, makes the call `call`."""
    expect, call = conversation.expect, None
    if isinstance(expect, dict):
        call = expect["tool"]
        expect = (tool_call_text(**call),)
    before = conversation.messages[:-1]
    return {
        "category": conversation.category, "key": conversation.key, "thinking": conversation.thinking,
        "messages": [openai_message(message) for message in before], "tools": conversation.tools,
        "prompt": render(before, conversation.tools, conversation.thinking, prompt=True),
        "expect": list(expect), "call": call,
    }  # fmt: skip


def openai_message(message: Message) -> Message:
    """Arguments of calls as JSON text, and an id that call and result share: here calls come one at a time."""
    if message["role"] == "tool":
        return {**message, "tool_call_id": "call"}
    if "tool_calls" not in message:
        return message
    called = [call["function"] for call in message["tool_calls"]]
    calls = [{**function, "arguments": json.dumps(function["arguments"])} for function in called]
    return {**message, "tool_calls": [{"id": "call", "type": "function", "function": call} for call in calls]}


def tool_call_text(name: str, arguments: dict[str, str]) -> str:
    """As the template writes it."""
    parameters = "".join(f"<parameter={key}>\n{value}\n</parameter>\n" for key, value in arguments.items())
    return f"<tool_call>\n<function={name}>\n{parameters}</function>\n</tool_call>"


def is_right(expect: list[str], generated: str) -> bool:
    answer = generated.split("</think>")[-1]
    return all(text in answer for text in expect)


def corpus(seed: int, count: int) -> Iterator[str]:
    """What the tokenizer learns from: the declaration of tools, the same every time, counts once in sixteen."""
    for i, conversation in enumerate(stream(seed)):
        if i == count:
            return
        if conversation.tools and i % 16:
            conversation.tools = []
        yield "".join(text for text, _ in spans(conversation))


def main(command: str, argument: str | None = None, count: str | None = None) -> None:
    if command == "tokenizer":
        Tokenizer.train(corpus(seed=1, count=12000), VOCABULARY).save(TOKENIZER)
    elif command == "show" and argument:
        tokenizer = Tokenizer.load(TOKENIZER)
        rng = random.Random()
        for _ in range(int(count or 3)):
            conversation = finish(rng, CATEGORIES[argument][2](rng, False))
            encoded = encode(conversation, tokenizer)
            print("".join(f"\033[1m{text}\033[0m" if is_answer else text for text, is_answer in spans(conversation)))
            print(f"--- {len(encoded.ids)} tokens, {sum(encoded.learned)} to learn\n")
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:] or [""])
