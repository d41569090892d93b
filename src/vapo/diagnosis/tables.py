"""A diagnosis as files for other programs: tidy tables in parquet, one per protocol, a summary in CSV, all in JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pyarrow
import pyarrow.parquet

from vapo.atomic_files import atomic_file, write_atomically
from vapo.diagnosis.estimates import Estimate
from vapo.diagnosis.findings import Diagnosis, ModelFindings, QuestionFindings
from vapo.diagnosis.protocols import ROW_PROTOCOLS
from vapo.diagnosis.recovery import find_last_right

_TEXT, _FLOAT, _INT, _TRUTH = pyarrow.string(), pyarrow.float64(), pyarrow.int64(), pyarrow.bool_()
_QUESTION = {"model": _TEXT, "sample_id": _TEXT}


def _list_columns(row_type: type[Any]) -> dict[str, pyarrow.DataType]:
    """Return the columns of a row type by its hints; a value that may be missing is of the type that it may have."""
    kinds = {str: _TEXT, float: _FLOAT, int: _INT, bool: _TRUTH}
    return _name_kept({name: kinds[(get_args(hint) or (hint,))[0]] for name, hint in get_type_hints(row_type).items()})


def _name_kept(row: dict[str, Any]) -> dict[str, Any]:
    return {("kept_tokens" if name == "index" else name): value for name, value in row.items()}


COLUMNS: dict[str, dict[str, pyarrow.DataType]] = {
    "questions": {
        **_QUESTION,
        "question": _TEXT,
        "reference": _TEXT,
        "response": _TEXT,
        "num_tokens": _INT,
        "thinking_start": _INT,
        "thinking_stop": _INT,
        "answer": _TEXT,
        "right": _TRUTH,
        "finished": _TRUTH,
        "notes": pyarrow.list_(_TEXT),
    },
    "early": {**_QUESTION, "depth": _FLOAT, "kept_tokens": _INT, "answer": _TEXT, "right": _TRUTH},
    "recovery": {**_QUESTION, "recoverable": _TRUTH, "last_depth_right": _FLOAT},
    "perception": {
        **_QUESTION,
        "view": _TEXT,
        "depth": _FLOAT,
        "kept_tokens": _INT,
        "claim": _TEXT,
        "is_true": _TRUTH,
        "p_true": _FLOAT,
        "correct": _TRUTH,
    },
    "attention": {**_QUESTION, "token": _INT, "text": _TEXT, "share": _FLOAT},
    "attention_heads": {**_QUESTION, "layer": _INT, "head": _INT, "share": _FLOAT},
    "sensitivity": {**_QUESTION, "token": _INT, "text": _TEXT, "kl_nats": _FLOAT},
    "remedies": {**_QUESTION, "remedy": _TEXT, "answer": _TEXT, "right": _TRUTH, "attention": _FLOAT, "text": _TEXT},
    "errors": {**_QUESTION, "votes": pyarrow.list_(_TEXT), "category": _TEXT, "truth": _TEXT},
    **{name: {**_QUESTION, **_list_columns(protocol.row_type)} for name, protocol in ROW_PROTOCOLS.items()},
}
"""Columns of each table; tokens, layers and heads count from 0."""

SUMMARY_COLUMNS = ("model", "measure", "at", "value", "low", "high", "num_questions")


def write_tables(diagnosis: Diagnosis, folder: Path) -> list[Path]:
    """Write `diagnosis.json`, `summary.csv` and one `tables/PROTOCOL.parquet` per protocol that found something.

    Each file appears whole or not at all. Returns the files.

    Raises:
        OSError: a file cannot be written; its filename says which.
    """
    plain = json.dumps(to_plain(diagnosis), ensure_ascii=False, allow_nan=False)
    files = {folder / "diagnosis.json": plain + "\n", folder / "summary.csv": format_summary(diagnosis)}
    for path, text in files.items():
        with _naming(path):
            write_atomically(path, text)
    written = list(files)
    tables = folder / "tables"
    tables.mkdir(exist_ok=True)
    for name, columns in COLUMNS.items():
        rows = [row for model in diagnosis.models for row in list_rows(name, model)]
        path = tables / f"{name}.parquet"
        path.unlink(missing_ok=True)  # of an earlier call with other protocols
        if rows:
            with _naming(path), atomic_file(path) as temporary:
                pyarrow.parquet.write_table(
                    pyarrow.Table.from_pylist(rows, schema=pyarrow.schema(columns.items())), temporary
                )
            written.append(path)
    return written


class _naming:
    """Say which file could not be written: a full disk is reported without a name."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError) and error.filename is None:
            raise OSError(error.errno, error.strerror or str(error), str(self._path)) from error


def to_plain(value: Any) -> Any:
    """Return findings as what JSON can hold, every field under its own name."""
    if is_dataclass(value) and not isinstance(value, type):
        return {name: to_plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, Mapping):
        return {str(key): to_plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(one) for one in value]
    return value


def format_summary(diagnosis: Diagnosis) -> str:
    """Return every estimate as CSV: model, measure, where on its curve, value, interval, number of questions."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(SUMMARY_COLUMNS)
    for model in diagnosis.models:
        for measure, at, one in list_estimates(model):
            table.writerow([_plain_cell(model.name), measure, at, one.value, one.low, one.high, one.num_questions])
    for row in diagnosis.differences:
        one = row.difference
        measure = f"{row.measure}, less {diagnosis.models[0].name}"
        table.writerow([_plain_cell(row.name), measure, None, one.value, one.low, one.high, one.num_questions])
    return text.getvalue()


def list_estimates(model: ModelFindings) -> Iterator[tuple[str, float | None, Estimate]]:
    """Yield every number of a model: what it measures, where on its curve (None for no curve), and the estimate."""
    yield "accuracy", None, model.accuracy
    yield "num_tokens", None, model.num_tokens
    curves = {
        "early": model.early,
        "recovery_by_cut": model.recovery.by_cut if model.recovery else None,
        "lost_by_cut": model.recovery.lost_by_cut if model.recovery else None,
        **{f"perception_{view}": points for view, points in (model.perception or {}).items()},
        **{f"p_label_{view}": points for view, points in (model.p_label or {}).items()},
        **{f"yes_rate_{view}": points for view, points in (model.yes_rate or {}).items()},
        **{f"accuracy_true_{view}": points for view, points in (model.accuracy_true or {}).items()},
        **{f"accuracy_false_{view}": points for view, points in (model.accuracy_false or {}).items()},
        "attention_by_depth": model.attention_by_depth,
        "attention_by_step": model.attention_by_step,
        "sensitivity": model.sensitivity,
    }
    for name, points in curves.items():
        for point in points or ():
            yield name, point.at, point.estimate
    if (found := model.recovery) is not None:
        at_cut = {"recoverable": found.avoided, "lost": found.lost, "stopped_gain": found.change}
        yield from ((name, found.cut, one) for name, one in at_cut.items() if one is not None)
    single: dict[str, Estimate | None] = {
        "recoverable_anywhere": found.anywhere if found else None,
        "lost_anywhere": found.lost_anywhere if found else None,
        "early_area": model.early_area,
        "dependent_share": model.dependent_share,
        "judge_agreement": model.judge_agreement,
    }
    for effect in model.remedies or ():
        single |= {
            f"remedy_{effect.remedy}_accuracy": effect.accuracy,
            f"remedy_{effect.remedy}_gain": effect.gain,
            f"remedy_{effect.remedy}_attention": effect.attention,
        }
    for one in model.categories or ():
        single |= {f"errors_{one.category}": one.share, f"errors_{one.category}_recoverable": one.recoverable}
    for name, found in model.numbers.items():
        if isinstance(found, Estimate):
            single[name] = found
        else:
            yield from ((name, point.at, point.estimate) for point in found)
    for name, estimate in single.items():
        if estimate is not None:
            yield name, None, estimate


def list_rows(table: str, model: ModelFindings) -> Iterator[dict[str, Any]]:
    """Yield one model's rows of a table of `COLUMNS`."""
    for question in model.questions:
        for row in _LISTERS[table](question):
            yield {"model": model.name, "sample_id": question.sample_id, **row}


def _list_question(question: QuestionFindings) -> Iterable[dict[str, Any]]:
    row = {name: getattr(question, name) for name in ("question", "reference", "answer", "right", "finished")}
    start, stop = question.thinking
    row |= {"response": "".join(question.token_texts), "num_tokens": len(question.token_texts)}
    yield {**row, "thinking_start": start, "thinking_stop": stop, "notes": list(question.notes)}


def _list_recovery(question: QuestionFindings) -> Iterable[dict[str, Any]]:
    if question.early is not None and not question.right:
        last = find_last_right(question)
        yield {"recoverable": last is not None, "last_depth_right": last}


def _list_tokens(question: QuestionFindings, values: Iterable[float], name: str) -> Iterable[dict[str, Any]]:
    for token, (text, value) in enumerate(zip(question.token_texts, values, strict=False)):
        yield {"token": token, "text": text, name: value}


def _list_heads(question: QuestionFindings) -> Iterable[dict[str, Any]]:
    for layer, heads in enumerate(question.attention.by_head if question.attention else ()):
        for head, share in enumerate(heads):
            yield {"layer": layer, "head": head, "share": share}


def _list_own_rows(name: str) -> Callable[[QuestionFindings], Iterable[dict[str, Any]]]:
    return lambda question: (_name_kept(asdict(row)) for row in question.rows.get(name) or ())


_LISTERS: dict[str, Any] = {
    "questions": _list_question,
    "early": lambda q: (_name_kept(asdict(cut)) for cut in q.early or ()),
    "recovery": _list_recovery,
    "perception": lambda q: ({**_name_kept(asdict(one)), "correct": one.correct} for one in q.probed or ()),
    "attention": lambda q: _list_tokens(q, q.attention.by_token if q.attention else (), "share"),
    "attention_heads": _list_heads,
    "sensitivity": lambda q: _list_tokens(q, q.sensitivity.by_token if q.sensitivity else (), "kl_nats"),
    "remedies": lambda q: (asdict(way) for way in q.remedied or ()),
    "errors": lambda q: () if q.cause is None else (to_plain(q.cause),),
    **{name: _list_own_rows(name) for name in ROW_PROTOCOLS},
}


def _plain_cell(text: str) -> str:
    """Keep spreadsheets from reading a name as a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") else text
