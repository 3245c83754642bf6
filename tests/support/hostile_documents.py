"""Documents that cost more than they weigh, where nothing bounds what is computed of them.

`HOSTILE` is a list of `Hostile(kind, name, document, subject)`: `document` is what a caller may
send or save (JSON values, texts, or bytes of JSON), `subject` what it is held against, where its
kind takes one. `weigh(hostile)` does with it what the hub does, without a database, and returns
"refused" or "done"; every answer of the hub to one of them is an answer below 500. The kinds are
those of `WORK`.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from core.api.preconditions import read_tags
from core.exceptions import IntegrationError
from core.expressions import Recorded, compile_expression, compile_template
from core.json import strict
from core.json.equality import canonical_json, json_equal
from core.json.merge_patch import merge_patch
from core.json.positions import positions_in
from core.json.schema import Schema, check_schema
from core.name_patterns import matches
from core.suggestions import did_you_mean
from core.timetables import CronRefused, in_words, read_timetable
from integration_site.manifests.documents import read_manifests
from workflows.admin.graph.svg import draw_workflow
from workflows.definition import DefinitionError, parse
from workflows.definition.diff import compare
from workflows.dry_run import execute_in_memory
from workflows.dry_run.fake_calls import Calls
from workflows.dry_run.mocks import Mocks
from workflows.validation import validate

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Hostile:
    """One document, and what it is held against."""

    kind: str
    name: str
    document: Any = field(repr=False)
    subject: Any = field(repr=False, default=None)

    def __str__(self) -> str:
        return f"{self.kind}: {self.name}"


def weigh(hostile: Hostile) -> str:
    """Do with a document what the hub does; return whether it was "refused" or "done"."""
    try:
        return "refused" if WORK[hostile.kind](hostile.document, hostile.subject) else "done"
    except (IntegrationError, CronRefused, strict.JSONRefused):
        return "refused"


# --- What the hub does with each; true where it refuses ---


def _schema(document: Any, subject: Any) -> bool:
    return bool(check_schema(document)) or bool(Schema(document).problems(subject))


def _expression(document: str, subject: Any) -> bool:
    compile_expression(document).evaluate(subject or {}, Recorded(NOW, "seed"))
    return False


def _template(document: Any, subject: Any) -> bool:
    compile_template(document).render(subject or {}, Recorded(NOW, "seed"))
    return False


def _cron(document: str, subject: str | None) -> bool:
    table = read_timetable(document, subject or "UTC")
    table.upcoming(NOW, 5)
    in_words(document)
    table.latest(NOW, datetime(2027, 1, 1, tzinfo=UTC), most=10)
    return False


def _definition(document: Any, _: Any) -> bool:
    found = validate(document, directory=None)
    draw_workflow(document)
    return not found.valid


def _diff(document: Any, subject: Any) -> bool:
    compare(document, subject)
    return False


def _dry_run(document: Any, subject: Any) -> bool:
    with contextlib.suppress(DefinitionError):
        execute_in_memory(
            parse(document), workflow="w", input=subject or {}, context={}, calls=Calls(Mocks({})),
            now=NOW,
        )  # fmt: skip
    return False


def _body(document: bytes, _: Any) -> bool:
    value = strict.parse(document)
    canonical_json(value)
    json_equal(value, json.loads(document))
    return False


def _patch(document: Any, subject: Any) -> bool:
    merge_patch(subject, document)
    return False


def _typed(document: str, _: Any) -> bool:
    strict.parse(document)
    positions_in(document)
    return False


def _tags(document: str, _: Any) -> bool:
    return read_tags(document, "If-Match") is None


def _pattern(document: str, subject: str) -> bool:
    return not matches(document, subject)


def _reference(document: str, subject: list[str]) -> bool:
    did_you_mean(document, subject)
    return True


def _manifest(document: str, _: Any) -> bool:
    read_manifests("a.yaml", document)
    return False


WORK: dict[str, Callable[[Any, Any], bool]] = {
    "schema": _schema,
    "expression": _expression,
    "template": _template,
    "cron": _cron,
    "definition": _definition,
    "diff": _diff,
    "dry run": _dry_run,
    "body": _body,
    "patch": _patch,
    "typed": _typed,
    "tags": _tags,
    "pattern": _pattern,
    "reference": _reference,
    "manifest": _manifest,
}


# --- Building them ---


def nested(depth: int, leaf: Any = None, *, width: int = 1) -> Any:
    """Return a value nested so deep, each level an object of so many members."""
    value = leaf
    for _ in range(depth):
        value = dict.fromkeys((f"k{n}" for n in range(width)), value)
    return value


def doubling(levels: int, word: str = "allOf") -> dict[str, Any]:
    """Return a schema each of whose definitions names the next one twice."""
    refs = lambda n: [{"$ref": f"#/$defs/d{n}"}] * 2  # noqa: E731
    defs = {f"d{n}": {word: refs(n + 1)} for n in range(levels)}
    return {"$defs": {**defs, f"d{levels}": {"type": "object"}}, word: refs(0)}


def permuted(count: int, size: int = 90) -> list[str]:
    """Return different texts of much the same letters: close by these, not by their order."""
    letters = [chr(ord("a") + place % 26) for place in range(size - 4)]
    texts = []
    for n in range(count):
        random.Random(n).shuffle(letters)
        texts.append("".join(letters) + f"{n:04}")
    return texts


def _schemas() -> Iterator[tuple[str, Any, Any]]:
    three = {"allOf": [{"$ref": "#"}] * 3}
    yield "three references to itself", {"properties": {"a": three["allOf"][0]}, **three}, {}
    inner = {"$defs": {"n": {"properties": {"k0": {"allOf": [{"$ref": "#/$defs/n"}] * 3}}}}}
    for depth in (10, 16, 31):
        yield f"three by level, {depth} deep", {**inner, "$ref": "#/$defs/n"}, nested(depth, 1)
    for word in ("allOf", "anyOf", "oneOf"):
        yield f"{word} doubled 40 times", doubling(40, word), {}
        yield f"{word} doubled 18 times", doubling(18, word), {}
    for word in ("not", "if", "then", "else", "contains", "items", "propertyNames"):
        yield f"{word} of itself", {word: {"$ref": "#"}}, nested(20, [1])
    many = {f"k{n}": n for n in range(20_000)}
    yield "unevaluated members", {"unevaluatedProperties": {"type": "string"}}, many
    choices = {"anyOf": [{"required": [f"r{n}"]} for n in range(2_000)]}
    yield (
        "many choices for many values",
        {"additionalProperties": choices},
        {name: {} for name in many},
    )
    for name, pattern, text in (
        ("nested repeats", "^(a+)+$", "a" * 5_000 + "!"),
        ("nested stars", "^(a*)*b$", "a" * 5_000),
        ("alternatives that overlap", "^(a|aa)+$", "a" * 5_000 + "!"),
        ("three stars", "^.*.*.*x$", "y" * 5_000),
        ("repeats of groups", "^([a-zA-Z]+)*$", "a" * 5_000 + "1"),
        ("a backward reference", r"^(a*)*\1$", "a" * 5_000 + "b"),
        ("a look ahead", "^(?=(a+)+$).*$", "a" * 5_000 + "!"),
        ("counted repeats", "^((a{1,100}){1,100}){1,100}$", "a" * 2_000 + "!"),
    ):
        yield f"pattern of {name}", {"type": "string", "pattern": pattern}, text
        yield f"names by {name}", {"patternProperties": {pattern: {}}}, {text: 1}
    yield "unique elements", {"uniqueItems": True}, [[n] for n in range(20_000)]
    yield "unique objects", {"uniqueItems": True}, [{"a": n, "b": [n]} for n in range(5_000)]
    yield "an enum of much", {"items": {"enum": [f"e{n}" for n in range(5_000)]}}, ["x"] * 20_000
    yield "a sentence of a megabyte each", {"allOf": [{"type": "number"}] * 1_900}, "a" * 900_000
    yield "deep enum", {"items": {"const": nested(15, width=2)}}, [nested(5)] * 50
    yield "a reference elsewhere", {"$ref": "http://127.0.0.1/x"}, {}
    yield "a multiple of almost nothing", {"multipleOf": 1e-300}, 1e300
    yield (
        "a schema of schemas",
        {"$ref": "https://json-schema.org/draft/2020-12/schema"},
        nested(20),
    )


_LIST = {"input": {"l": list(range(20_000)), "t": "a" * 500_000, "s": ["a" * 40] * 20_000}}
_OF_LISTS = {"input": {"l": [[n] * 40 for n in range(700)]}}


def _expressions() -> Iterator[tuple[str, Any, Any]]:
    yield "brackets", "[" * 500, None
    yield "parentheses", "(" * 499 + "a" + ")" * 499, None
    yield "not of not", "!" * 900 + "a", None
    yield "long", "a." * 5_000 + "a", None
    yield "pipes", " | ".join(["@"] * 240), _LIST
    yield "fields", ".".join(["a"] * 480), None
    yield "or", " || ".join(["a"] * 190), None
    yield "flattened often", "input.l" + "[]" * 400, _OF_LISTS
    yield "projected in projected", "input.l[*].[@[*].[@,@,@,@],@[*].[@,@,@]]", _OF_LISTS
    yield "lists by lists", "input.l[?contains(`[1,2,3]`, @)].[@, @, @]", _LIST
    yield "a list in each of its elements", "map(&[@, @, @, @, @, @, @, @], input.l)", _LIST
    yield "doubled text", "concat(input.t, input.t, input.t, input.t)", _LIST
    yield "doubled by pipes", "input.l" + " | [@, @][]" * 20, _LIST
    yield "squared by pipes", "input" + " | {a: @, b: @}" * 40, _LIST
    yield "sorted by itself", "sort_by(input.s, &@)", _LIST
    yield "sorted in each", "map(&sort(input.l), input.l)", _LIST
    yield "compared with itself", "input.l[?@ == input.l]", _LIST
    yield "each found in all", "map(&contains(@, `1`), map(&[@], input.l))", _LIST
    yield "joined", "join(input.t, input.s)", _LIST
    yield "repeated", "cycle(input.l, `1000000000`)", _LIST
    yield "zipped", "zip(" + ", ".join(["input.l"] * 100) + ")", _LIST
    yield "filled in", "format('" + "{0}" * 200 + "', input.t)", _LIST
    yield "written out", "map(&to_string(input), input.l)", _LIST
    yield "grouped", "group_by_key(input.l, &to_string(@))", _LIST
    yield "unique", "unique(map(&[@, @], input.l))", _LIST
    yield "reversed", "input.l" + "[::-1]" * 150, _LIST
    yield "a huge number", "add(" + ", ".join(["`" + "9" * 90 + "`"] * 9) + ")", None
    yield "a number of many digits", "to_number('" + "9" * 900 + "')", None
    yield "a step of nothing", "input.l[::0]", _LIST
    yield "a literal that is deep", "`" + "[" * 200 + "]" * 200 + "`", None
    yield "an unknown function", "f" * 900 + "(a)", None
    yield "quotes", "'" + "\\'" * 480, None
    yield "searched", "map(&contains(input.t, 'ab'), input.l)", _LIST
    yield "keys of all", "map(&keys(input), input.l)", _LIST


def _templates() -> Iterator[tuple[str, Any, Any]]:
    yield "deep", nested(200, "$.input"), _LIST
    yield "wide", {f"k{n}": "$.input.t" for n in range(500)}, _LIST
    yield "wide and small", ["$.length(input.l)"] * 20_000, _LIST
    yield "each of them slow", ["$.sort_by(input.s, &@)"] * 500, _LIST
    yield "shared", nested(12, "$.input.s", width=2), _LIST
    yield "bad expressions", ["$.((("] * 5_000, None
    yield "unknown functions", [f"$.lenght{n}(a)" for n in range(2_000)], None


def _crons() -> Iterator[tuple[str, Any, Any]]:
    for text in (
        "0 0 30 2 *", "0 0 31 2,4,6,9,11 *", "0 0 29 2 *", "59 23 31 12 5#5", "0 0 L 2 0L",
        "* * * * *", "*/1 */1 */1 */1 */1", "0-59 0-23 1-31 1-12 0-7",
        ",".join(["0"] * 40) + " * * * *",
        "0 0 29 2 1#5", "0 0 LW 2 6L", "0" * 95 + " * * * *", "*/0 * * * *", "* " * 400,
        "1/1/1/1 * * * *", "0 0 1-31/30 2 *", "\u0663 * * * *",
    ):  # fmt: skip
        yield text[:30], text, None
    yield "a zone that is a path", "* * * * *", "../" * 50 + "etc/passwd"
    yield "a zone of half hours", "30 2 * * *", "Australia/Lord_Howe"


def _steps(count: int, **more: Any) -> list[dict[str, Any]]:
    last = count - 1
    return [
        {"id": f"s{n}", "type": "TRANSFORM", "output": {}, "max_visits": 9, **more,
         "next": f"s{n + 1}" if n < last else None}
        for n in range(count)
    ]  # fmt: skip


def _choice(name: str, ways: list[str]) -> dict[str, Any]:
    routes = [*({"when": "input.a", "step": way} for way in ways[:-1]), {"step": ways[-1]}]
    return {"id": name, "type": "CHOICE", "max_visits": 9, "next": routes}


def _definitions() -> Iterator[tuple[str, Any, Any]]:
    yield "500 steps", {"steps": _steps(500)}, None
    yield "5,000 steps", {"steps": _steps(5_000)}, None
    names = [f"c{n}" for n in range(70)]
    yield "each leads to each", {"steps": [_choice(name, names) for name in names]}, None
    ahead = [_choice(name, names[n + 1 :] or [None]) for n, name in enumerate(names)]  # type: ignore[list-item]
    yield "each leads to all behind it", {"steps": ahead}, None
    ladder = [_choice(f"l{n}", [f"l{min(n + 1, 499)}", f"l{min(n + 2, 499)}"]) for n in range(499)]
    end = {"id": "l499", "type": "SUCCEED"}
    yield "ladder of two ways", {"steps": [*ladder, end]}, None
    reads = {"output": {f"k{n}": f"$.steps.s{n}.output" for n in range(60)}}
    yield "each reads all", {"steps": _steps(100, **reads)}, None
    ids = permuted(480, 60)
    lost = [{"id": name, "type": "TRANSFORM", "output": {}, "next": name[::-1]} for name in ids]
    yield "names that almost exist", {"steps": lost}, None
    some = ids[:100]
    wide = [_choice(name, [f"{name[:40]}{n}" for n in range(20)]) for name in some]
    yield "many names that almost exist", {"steps": wide}, None
    missing = {f"k{n}": f"$.steps.z{name[:30]}.output" for n, name in enumerate(some[:20])}
    unread = [{"id": n, "type": "TRANSFORM", "next": None, "output": missing} for n in some]
    yield "readings of what almost exists", {"steps": unread}, None
    short = [{"id": f"a{n}", "type": "TRANSFORM", "next": None} for n in range(450)]
    far = {f"k{n}": f"$.steps.b{n}" for n in range(6_000)}
    yield (
        "six thousand readings of nothing",
        {"steps": [{**short[0], "output": far}, *short[1:]]},
        None,
    )
    skips = [
        _choice(f"p{n}", [f"p{m}" for m in range(n + 1, 300, 7)] or ["p299"]) for n in range(298)
    ]
    skips += [{"id": "p298", "type": "TRANSFORM", "output": {}, "next": "p299"}]
    yield "ways over many others", {"steps": [*skips, {"id": "p299", "type": "SUCCEED"}]}, None
    line: list[Any] = [_choice(f"q{n}", [f"q{n + 1}", "q399"]) for n in range(399)]
    line.append({"id": "q399", "type": "SUCCEED"})
    yield "a line with a way out of each", {"steps": line}, None
    yield "unknown keys", {"steps": [{"id": "a", **dict.fromkeys(permuted(2_000), 1)}]}, None
    block: Any = [{"id": "x0", "type": "TRANSFORM", "output": {}, "next": None}]
    for depth in range(1, 30):
        block = [{"id": f"x{depth}", "type": "PARALLEL", "branches": [block], "next": None}]
    yield "branches 30 deep", {"steps": block}, None
    branches = [[{"id": f"b{n}", "type": "SUCCEED"}] for n in range(490)]
    fork = {"id": "fork", "type": "PARALLEL", "branches": branches, "next": None}
    yield "490 branches", {"steps": [fork]}, None
    yield "no list", {"steps": nested(30)}, None
    yield "the same id 500 times", {"steps": [{"id": "a", "type": "SUCCEED"}] * 500}, None
    form = {"type": "object", **doubling(30)}
    ask = {"id": "ask", "type": "APPROVAL", "form": form, "next": None}
    yield "a form that doubles", {"steps": [ask]}, None
    policy = {"max_attempts": 10**9, "base_delay": 10**9}
    call = {"id": "c", "service": "s", "action": "a", "retry": policy, "next": None}
    yield "retries without end", {"steps": [call]}, None


def _diffs() -> Iterator[tuple[str, Any, Any]]:
    steps = _steps(500)
    yield "turned round", {"steps": steps}, {"steps": steps[::-1]}
    values = [{"id": "a", "type": "TRANSFORM", "output": list(range(20_000))}]
    others = [{"id": "a", "type": "TRANSFORM", "output": list(range(20_000, 0, -1))}]
    yield "a list turned round", {"steps": values}, {"steps": others}
    deep = [{"id": "a", "type": "TRANSFORM", "output": nested(12, 1, width=2)}]
    changed = [{"id": "a", "type": "TRANSFORM", "output": nested(12, 2, width=2)}]
    yield "every leaf", {"steps": deep}, {"steps": changed}


def _dry_runs() -> Iterator[tuple[str, Any, Any]]:
    circle = [{"id": "a", "type": "TRANSFORM", "output": {}, "max_visits": 10_000, "next": "a"}]
    yield "a circle of 10,000", {"steps": circle}, None
    grow = {"a": "$.[steps.a.output, steps.a.output]"}
    growing = [{"id": "a", "type": "TRANSFORM", "output": grow, "max_visits": 10_000, "next": "a"}]
    yield "a circle that doubles", {"steps": growing}, None
    body = [{"id": "b", "type": "TRANSFORM", "output": {"n": "$.item"}, "next": None}]
    each = {"id": "m", "type": "MAP", "over": "$.input.l", "steps": body, "next": None}
    yield "10,000 elements", {"steps": [each]}, {"l": list(range(10_000))}
    inner = {**each, "over": "$.input.l", "id": "n"}
    outer = {**each, "steps": [inner]}
    yield "elements of elements", {"steps": [outer]}, {"l": list(range(1_000))}


def _bodies() -> Iterator[tuple[str, Any, Any]]:
    yield "brackets", b"[" * 500_000, None
    yield "objects", b'{"a":' * 100_000, None
    yield "quotes", b'"' + b"\\" * 900_001, None
    yield "open quotes", b'["' * 300_000, None
    yield "a number of a million digits", b"9" * 1_000_000, None
    yield "many numbers of 299 digits", b"[" + b",".join([b"9" * 299] * 3_400) + b"]", None
    yield "an exponent", b"[1e999999999]", None
    yield "a number just small enough", b"[" + b",".join([b"1e308"] * 100_000) + b"]", None
    keys = ",".join(f'"{n}":1' for n in range(90_000))
    yield "many keys", f"{{{keys}}}".encode(), None
    yield "a key twice, at the end", f'{{{keys},"0":1}}'.encode(), None
    collide = ",".join(f'"{n * (2**61 - 1)}":0' for n in range(20_000))
    yield "keys of like digests", f"{{{collide}}}".encode(), None
    yield "surrogates", b'"' + b"\\ud800" * 150_000 + b'"', None
    yield "empty lists", b"[" + b"[]," * 300_000 + b"[]]", None
    yield "blanks", b" " * 1_000_000 + b"1", None
    yield "no UTF-8", b'"' + b"\xff" * 900_000 + b'"', None


def _manifests() -> Iterator[tuple[str, Any, Any]]:
    laughs = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9))
    yield "aliases of aliases", f"a0: &a0 [lol]\n{laughs}", None
    yield "brackets", "[" * 300_000, None
    yield "objects in a line", "{a: " * 200_000, None
    yield "lists in a line", "- " * 400_000, None
    yield "keys of lists", "? " * 400_000, None
    yield "many documents", "---\n{}\n" * 100_000, None
    yield "many values", f"kind: Slo\nspec: {{a: [{'1, ' * 300_000}]}}", None
    yield "many keys", "\n".join(f"k{n}: {n}" for n in range(90_000)), None
    yield "one text", "kind: |\n" + "  a\n" * 200_000, None
    yield "an open quote", '"' + "a" * 900_000, None
    yield "comments", "#\n" * 400_000, None
    yield "a number", f"a: {'9' * 900_000}", None
    yield "a tag", "!!python/object/apply:os.system ['true']", None


def _others() -> Iterator[Hostile]:
    many = {f"k{n}": n for n in range(20_000)}
    yield Hostile("patch", "of every member", dict.fromkeys(many), many)
    yield Hostile("patch", "that nests", nested(31, width=1), nested(31, 1))
    other_case = {name.upper(): 1 for name in many}
    yield Hostile("patch", "in other letters", other_case, many)
    yield Hostile("typed", "many values on many lines", json.dumps(list(range(40_000)), indent=0))
    yield Hostile("typed", "many values on one line", json.dumps([0] * 85_000))
    yield Hostile("typed", "paths that grow", json.dumps(nested(30, list(range(8_000)))))
    for text in (
        '"' * 8_000,
        'W/"' * 2_600,
        '"a",' * 2_000,
        "," * 8_000,
        " " * 8_000,
        "W/" * 4_000,
    ):
        yield Hostile("tags", text[:12], text)
    for pattern in ("*a" * 40 + "*", "?*" * 45, "*" * 90, "[!a]*" * 18, "*[" * 40, "a*" * 45 + "b"):
        yield Hostile("pattern", pattern[:12], pattern, "a" * 100)
    yield Hostile("reference", "among names of like letters", "zyx" * 26, permuted(2_000))
    long = ["ab" * 50 + str(n) for n in itertools.islice(itertools.count(), 2_000)]
    yield Hostile("reference", "among names that begin alike", "ba" * 50, long)
    yield Hostile("reference", "of a megabyte", "x" * 1_000_000, long)


def _all() -> Iterator[Hostile]:
    kinds: dict[str, Callable[[], Iterator[tuple[str, Any, Any]]]] = {
        "schema": _schemas,
        "expression": _expressions,
        "template": _templates,
        "cron": _crons,
        "definition": _definitions,
        "diff": _diffs,
        "dry run": _dry_runs,
        "body": _bodies,
        "manifest": _manifests,
    }
    for kind, documents in kinds.items():
        for name, document, subject in documents():
            yield Hostile(kind, name, document, subject)
    yield from _others()


HOSTILE: list[Hostile] = list(_all())
