"""A small byte-level BPE with the qwen35 pre-tokenizer, learned from the training texts, and Qwen's control tokens."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import regex

from gguf import ARRAY, BOOL, I32, STRING, U32, Entry

PRE_TOKENIZER = regex.compile(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CONTROL = [
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>",
    "<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>",
    "<|image_pad|>", "<|video_pad|>",
]  # fmt: skip
USER_DEFINED = ["<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>", "</think>"]
TYPE_NORMAL, TYPE_CONTROL, TYPE_USER_DEFINED = 1, 3, 4


def byte_alphabet() -> dict[int, str]:
    """GPT-2's: printable Latin-1 stands for itself, the other bytes for U+0100 and up."""
    table, extra = {}, 0
    for byte in range(256):
        if 33 <= byte <= 126 or 161 <= byte <= 172 or byte >= 174:
            table[byte] = chr(byte)
        else:
            table[byte] = chr(256 + extra)
            extra += 1
    return table


ALPHABET = byte_alphabet()
BYTES = {char: byte for byte, char in ALPHABET.items()}
SPECIAL = regex.compile("|".join(regex.escape(t) for t in CONTROL + USER_DEFINED))


@dataclass
class Tokenizer:
    tokens: list[str]
    merges: list[tuple[str, str]]
    _ids: dict[str, int] = field(init=False, repr=False)
    _ranks: dict[tuple[str, str], int] = field(init=False, repr=False)
    _words: dict[str, list[int]] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._ids = {token: i for i, token in enumerate(self.tokens)}
        self._ranks = {pair: i for i, pair in enumerate(self.merges)}

    @staticmethod
    def train(texts: Iterable[str], vocabulary: int) -> Tokenizer:
        """Merges the most frequent pair until the vocabulary is full; of equals the larger pair."""
        words: Counter[str] = Counter()
        for text in texts:
            for piece in SPECIAL.split(text):
                words.update(PRE_TOKENIZER.findall(piece))
        parts = [([ALPHABET[b] for b in word.encode()], count) for word, count in sorted(words.items())]
        tokens, merges = list(ALPHABET.values()), []
        where: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
        pairs: Counter[tuple[str, str]] = Counter()
        for i, (word, count) in enumerate(parts):
            for pair in zip(word, word[1:]):
                pairs[pair] += count
                where[pair].add(i)
        while len(tokens) < vocabulary - len(CONTROL) - len(USER_DEFINED):
            best = max(pairs, key=lambda pair: (pairs[pair], pair))
            if pairs[best] < 2:
                raise ValueError(f"The texts are too few for a vocabulary of {vocabulary}.")
            merges.append(best)
            tokens.append("".join(best))
            for i in list(where[best]):
                word, count = parts[i]
                for pair in zip(word, word[1:]):
                    pairs[pair] -= count
                    where[pair].discard(i)
                word = _merged(word, best)
                parts[i] = (word, count)
                for pair in zip(word, word[1:]):
                    pairs[pair] += count
                    where[pair].add(i)
        return Tokenizer(tokens + CONTROL + USER_DEFINED, merges)

    @staticmethod
    def load(path: str) -> Tokenizer:
        """From a file of merges, one a line: they say all, as in GPT-2's merges.txt."""
        with open(path, encoding="utf-8") as file:
            merges = [(a, b) for a, b in (line.split() for line in file)]
        return Tokenizer([*ALPHABET.values(), *(a + b for a, b in merges), *CONTROL, *USER_DEFINED], merges)

    def save(self, path: str) -> None:
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(f"{a} {b}\n" for a, b in self.merges)

    def id(self, token: str) -> int:
        return self._ids[token]

    def encode(self, text: str) -> list[int]:
        """Control and user-defined tokens in the text count as such."""
        ids, at = [], 0
        for match in SPECIAL.finditer(text):
            ids += self._encode_plain(text[at : match.start()])
            ids.append(self._ids[match.group()])
            at = match.end()
        return ids + self._encode_plain(text[at:])

    def decode(self, ids: Iterable[int]) -> str:
        raw = bytearray()
        for i in ids:
            token = self.tokens[i]
            raw += token.encode() if SPECIAL.fullmatch(token) else bytes(BYTES[char] for char in token)
        return raw.decode("utf-8", "replace")

    def gguf_entries(self, chat_template: str) -> list[Entry]:
        normal = len(self.tokens) - len(CONTROL) - len(USER_DEFINED)
        types = [TYPE_NORMAL] * normal + [TYPE_CONTROL] * len(CONTROL) + [TYPE_USER_DEFINED] * len(USER_DEFINED)
        return [
            ("tokenizer.ggml.model", STRING, "gpt2"),
            ("tokenizer.ggml.pre", STRING, "qwen35"),
            ("tokenizer.ggml.tokens", ARRAY, (STRING, self.tokens)),
            ("tokenizer.ggml.token_type", ARRAY, (I32, types)),
            ("tokenizer.ggml.merges", ARRAY, (STRING, [" ".join(pair) for pair in self.merges])),
            ("tokenizer.ggml.eos_token_id", U32, self.id("<|im_end|>")),
            ("tokenizer.ggml.padding_token_id", U32, self.id("<|endoftext|>")),
            ("tokenizer.ggml.add_bos_token", BOOL, False),
            ("tokenizer.chat_template", STRING, chat_template),
        ]

    def _encode_plain(self, text: str) -> list[int]:
        ids = []
        for word in PRE_TOKENIZER.findall(text):
            known = self._words.get(word)
            if known is None:
                known = self._words[word] = self._encode_word(word)
            ids += known
        return ids

    def _encode_word(self, word: str) -> list[int]:
        parts = [ALPHABET[b] for b in word.encode()]
        while len(parts) > 1:
            best = min(zip(parts, parts[1:]), key=lambda pair: self._ranks.get(pair, len(self._ranks)))
            if best not in self._ranks:
                break
            parts = _merged(parts, best)
        return [self._ids[part] for part in parts]


def _merged(parts: list[str], pair: tuple[str, str]) -> list[str]:
    out, i = [], 0
    while i < len(parts):
        if i + 1 < len(parts) and (parts[i], parts[i + 1]) == pair:
            out.append(parts[i] + parts[i + 1])
            i += 2
        else:
            out.append(parts[i])
            i += 1
    return out
