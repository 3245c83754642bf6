"""Transcribes what it can: Morse code (ITU-R M.1677-1) in WAV files of 8 or 16 bits, mono."""

from __future__ import annotations

import array
import io
import math
import wave
from dataclasses import dataclass
from itertools import groupby

WINDOW_SECONDS = 0.01
_CODES = (
    "A.- B-... C-.-. D-.. E. F..-. G--. H.... I.. J.--- K-.- L.-.. M-- N-. O--- P.--. Q--.- R.-."
    " S... T- U..- V...- W.-- X-..- Y-.-- Z--.. 0----- 1.---- 2..--- 3...-- 4....- 5..... 6-...."
    " 7--... 8---.. 9----. ..-.-.- ,--..-- ?..--.. =-...- /-..-. +.-.-. --....-"
)
LETTERS = {entry[1:]: entry[0] for entry in _CODES.split()}
CODES = {letter: code for code, letter in LETTERS.items()}
# What operators abbreviate, in English: the translation.
PHRASES = {
    "73": "best regards",
    "CQ": "calling all stations",
    "DE": "this is",
    "QRM": "there is interference",
    "QRT": "stop sending",
    "QSL": "received",
    "QTH": "position",
    "SOS": "we are in distress",
    "TNX": "thanks",
    "WX": "weather",
}


class NotReadableError(Exception):
    """The file is no WAV file that can be read; the message says why."""


@dataclass(frozen=True)
class MorseRecording:
    """The text of a recording, and its length."""

    text: str
    seconds: float


def transcribe(data: bytes) -> MorseRecording:
    """Return the text in a recording of Morse code. Raises: NotReadableError."""
    samples, rate = _read(data)
    size = max(int(rate * WINDOW_SECONDS), 1)
    windows = [samples[index : index + size] for index in range(0, len(samples), size)]
    loudness = [math.sqrt(sum(s * s for s in window) / len(window)) for window in windows]
    threshold = max(max(loudness, default=0) / 2, 0.01)
    runs = [(on, len(list(run))) for on, run in groupby(level > threshold for level in loudness)]
    return MorseRecording(_decode(runs), len(samples) / rate)


def translate(text: str) -> str:
    """Return the text with its abbreviations as English words."""
    return " ".join(PHRASES.get(word, word.lower()) for word in text.split())


def _read(data: bytes) -> tuple[list[float], int]:
    try:
        with wave.open(io.BytesIO(data)) as file:
            width, rate, channels = file.getsampwidth(), file.getframerate(), file.getnchannels()
            frames = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise NotReadableError("it is no WAV file.") from error
    if channels != 1 or width not in (1, 2) or not rate:
        raise NotReadableError("only mono with 8 or 16 bits is read.")
    if width == 1:
        return [(value - 128) / 128 for value in frames], rate
    values = array.array("h")
    values.frombytes(frames[: len(frames) // 2 * 2])
    return [value / 32768 for value in values], rate


def _decode(runs: list[tuple[bool, int]]) -> str:
    """Return the text of tones and pauses: a dot is the shortest tone, a dash is three of them."""
    tones = [length for on, length in runs if on]
    if not tones:
        return ""
    pauses = [length for on, length in runs[1:-1] if not on]
    unit = min([*tones, *pauses])
    text, code = "", ""
    for on, length in [*runs, (False, 3 * unit)]:
        if on:
            code += "." if length < 2 * unit else "-"
        elif length >= 2 * unit and code:
            text += LETTERS.get(code, "?") + (" " if length >= 5 * unit else "")
            code = ""
    return text.strip()


def render(text: str, *, unit_seconds: float = 0.06, rate: int = 8000) -> bytes:
    """Return a WAV file of the text in Morse code, at 600 Hz."""
    unit = int(unit_seconds * rate)
    tone = [int(12_000 * math.sin(2 * math.pi * 600 * n / rate)) for n in range(3 * unit)]
    samples = array.array("h", [0] * unit)
    for word in text.upper().split():
        for letter in word:
            for sign in CODES.get(letter, ""):
                samples.extend(tone[: unit if sign == "." else 3 * unit])
                samples.extend([0] * unit)
            samples.extend([0] * (2 * unit))
        samples.extend([0] * (4 * unit))
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    return target.getvalue()
