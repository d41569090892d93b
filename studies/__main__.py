"""The command line: `python -m studies build|compare|methods|ablate|mechanism`, from the root of the repository."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from studies.comparison.arms import ABLATIONS, COMPARED, METHODS
from vapo.cli import run_command
from vapo.cli.parser import RAW, Commands, Parser
from vapo.cli.progress import show_progress

if TYPE_CHECKING:
    from studies.comparison.arms import Arm
    from studies.comparison.run import Compared


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a study and return its exit status."""
    return run_command(build_parser(), sys.argv[1:] if arguments is None else arguments)


def build_parser() -> Parser:
    """Return the parser of all studies."""
    parser = Parser(prog="python -m studies", description=sys.modules["studies"].__doc__, formatter_class=RAW)
    commands = parser.add_subparsers(title="studies", required=True, metavar="STUDY")
    _add_build(commands)
    _add_comparisons(commands)
    _add_mechanism(commands)
    return parser


def _add_build(commands: Commands) -> None:
    parser = commands.add_parser(
        "build",
        help="make the lab's data set, tokenizer and cold-started checkpoints",
        description="Make the lab from a seed: images of real handwritten digits, questions, claims with exact "
        "truth, a small vision-language model that has learned to read them, and a copy of it that writes claims.",
        epilog="example: python -m studies build --out runs/lab",
        formatter_class=RAW,
    )
    parser.add_argument("--out", type=Path, default=Path("runs/lab"), help="folder to write (default: runs/lab)")
    parser.add_argument("--seed", type=int, default=0, help="(default: 0)")
    parser.add_argument(
        "--size",
        choices=("small", "large"),
        default="small",
        help="small: the shipped one, an hour on a CPU core; large: 42 million parameters, for a GPU (default: small)",
    )
    parser.add_argument("--train-rows", type=int, default=2000, help="(default: 2000)")
    parser.add_argument("--heldout-rows", type=int, default=500, help="(default: 500)")
    parser.set_defaults(command=run_build)


def _add_comparisons(commands: Commands) -> None:
    compare = commands.add_parser(
        "compare",
        help="train the lab's model in several ways with several seeds, and say with intervals what differs",
        description="Train the lab's model with GRPO and with several ways of VAPO from the same checkpoint, with the "
        "same seeds and as many rollouts; measure answers to early and late questions, and claims along responses, "
        "on held-out images, before training and after; print "
        "the numbers and their differences from GRPO with 95 % intervals over seeds. Every measured response and "
        "every training step is kept. The same command goes on where it was stopped.",
        epilog="example: python -m studies compare --late-share 0 --seeds 5",
        formatter_class=RAW,
    )
    _add_options(compare, seeds=5)
    compare.add_argument(
        "--only", nargs="+", choices=[arm.name for arm in COMPARED], help="train these beside GRPO (default: all)"
    )
    compare.add_argument(
        "--figures", action="store_true", help="draw curves as PNG and SVG in OUT/figures (pip install 'vapo[report]')"
    )
    compare.set_defaults(command=run_compare)
    methods = commands.add_parser(
        "methods",
        help="train the lab's model with every method that the library has, and say what each does and does not do",
        description="Train the lab's model with GRPO, VAPO and every other method, each by its paper's settings on "
        "the same base, from the same checkpoint, with the same seeds and as many rollouts; measure as `compare` "
        "does, and print what differs from GRPO with 95 % intervals over seeds. The same command goes on where it was "
        "stopped.",
        epilog="example: python -m studies methods --seeds 5",
        formatter_class=RAW,
    )
    _add_options(methods, seeds=5, out="runs/methods", late_share=0.25)
    methods.add_argument(
        "--only", nargs="+", choices=[arm.name for arm in METHODS], help="train these beside GRPO (default: all)"
    )
    methods.set_defaults(command=run_methods)
    ablate = commands.add_parser(
        "ablate",
        help="vary VAPO's settings one at a time, beside the paper's figures",
        description="Train the lab's model with each value of each of VAPO's settings, one varied at a time, and "
        "with what was proposed in place of probes; print what each gave beside the paper's figures. For a night: "
        "seventeen runs a seed. The same command goes on where it was stopped, and takes up what `compare` left in "
        "the same folder.",
        epilog="example: python -m studies ablate --seeds 3",
        formatter_class=RAW,
    )
    _add_options(ablate, seeds=3)
    ablate.add_argument(
        "--only",
        nargs="+",
        choices=[ablation.key for ablation in ABLATIONS],
        help="vary these alone (default: all)",
    )
    ablate.set_defaults(command=run_ablate)


def _add_mechanism(commands: Commands) -> None:
    parser = commands.add_parser(
        "mechanism",
        help="measure how much of the gradient perception gets, under which settings, and how much of it is luck",
        description="Sample groups of responses of the lab's starting model, take the exact gradient of each, draw "
        "probes again and again, and print what share of the squared gradient the perception reward gets under every "
        "setting that decides it, with 95 % intervals over seeds. Ten minutes a seed on a CPU core. The same command "
        "goes on where it was stopped.",
        epilog="example: python -m studies mechanism --seeds 5",
        formatter_class=RAW,
    )
    parser.add_argument(
        "--out", type=Path, default=Path("runs/mechanism"), help="folder to write (default: runs/mechanism)"
    )
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="how many (default: %(default)s)")
    parser.add_argument("--first-seed", type=int, default=0, metavar="SEED", help="(default: %(default)s)")
    parser.add_argument("--lab", type=Path, metavar="FOLDER", help="made by `build` (default: the shipped one)")
    parser.add_argument(
        "--trained-seeds",
        type=int,
        default=2,
        metavar="N",
        help="with how many of the seeds to train for 30 steps under each of three settings (default: %(default)s)",
    )
    parser.add_argument("--jobs", type=int, metavar="N", help="runs at a time (default: one for each core)")
    parser.set_defaults(command=run_mechanism)


def _add_options(
    parser: argparse.ArgumentParser, *, seeds: int, out: str = "runs/compare", late_share: float = 0.0
) -> None:
    parser.add_argument("--out", type=Path, default=Path(out), help=f"folder of all runs (default: {out})")
    parser.add_argument("--seeds", type=int, default=seeds, metavar="N", help="how many (default: %(default)s)")
    parser.add_argument("--first-seed", type=int, default=0, metavar="SEED", help="(default: %(default)s)")
    parser.add_argument("--steps", type=int, metavar="N", help="of training (default: those of the size)")
    parser.add_argument(
        "--late-share",
        type=float,
        default=late_share,
        metavar="SHARE",
        help="of questions in training that need the image late; both kinds are measured (default: %(default)s)",
    )
    parser.add_argument(
        "--size",
        choices=("small", "large"),
        default="small",
        help="small: the shipped model, on CPU cores; large: 42 million parameters, for a GPU (default: small)",
    )
    parser.add_argument(
        "--lab",
        type=Path,
        metavar="FOLDER",
        help="made by `build` (default: the shipped one; for large, OUT/lab, which is made if need be)",
    )
    parser.add_argument(
        "--jobs", type=int, metavar="N", help="runs at a time (default: one for each core, or one on a GPU)"
    )


def run_build(options: argparse.Namespace) -> int:
    from studies.cold_start.build import build_lab
    from studies.cold_start.sizes import SIZES

    lab = build_lab(
        options.out,
        seed=options.seed,
        train_rows=options.train_rows,
        heldout_rows=options.heldout_rows,
        size=SIZES[options.size].model,
        plan=SIZES[options.size].plan,
    )
    print(f"checkpoint: {lab.checkpoint}\ntraining data: {lab.train}\nheld-out data: {lab.heldout}")
    if lab.writer is not None:
        print(f"writer of claims: {lab.writer}")
    if lab.ability is not None:
        print(lab.ability)
    return 0


def run_compare(options: argparse.Namespace) -> int:
    from studies.comparison.figures import draw_comparison
    from studies.comparison.tables import write_comparison
    from vapo.diagnosis.figures import import_matplotlib

    if options.figures:
        import_matplotlib()  # that it is missing is said now, not when all is trained
    arms = _choose_arms(options, COMPARED)
    compared = _run(options, "compare", arms)
    print(write_comparison(compared.results, arms))
    _print_files(compared)
    if options.figures:
        for file in draw_comparison(compared.results, compared.steps, arms, options.out):
            print(f"figure: {file}")
    return 0


def run_methods(options: argparse.Namespace) -> int:
    from studies.comparison.tables import OF_METHODS, write_comparison

    arms = _choose_arms(options, METHODS)
    compared = _run(options, "methods", arms)
    print(write_comparison(compared.results, arms, OF_METHODS))
    _print_files(compared)
    return 0


def run_ablate(options: argparse.Namespace) -> int:
    from studies.comparison.arms import list_arms
    from studies.comparison.tables import write_ablations

    varied = [ablation for ablation in ABLATIONS if options.only is None or ablation.key in options.only]
    compared = _run(options, "ablate", list_arms(varied))
    print(write_ablations(compared.results, varied))
    _print_files(compared)
    return 0


def run_mechanism(options: argparse.Namespace) -> int:
    from studies.comparison.run import choose_jobs, prepare_lab
    from studies.mechanism import run, tables
    from studies.mechanism.noise_job import read_noise
    from vapo.lab.demo.recipe import MAX_COMPLETION_TOKENS

    lab = prepare_lab(options.out, "small", options.lab)
    found = run.run_mechanism(
        options.out,
        range(options.first_seed, options.first_seed + options.seeds),
        checkpoint=lab.checkpoint,
        data=lab.data,
        max_completion_tokens=MAX_COMPLETION_TOKENS,
        trained_seeds=options.trained_seeds,
        jobs=choose_jobs() if options.jobs is None else options.jobs,
        on_progress=show_progress,
    )
    writers = [tables.write_groups, tables.write_settings, tables.write_draws, tables.write_directions]
    for write in (*writers, *([tables.write_runs] if options.trained_seeds > 0 else [])):
        print(f"{write(found)}\n")
    noise = options.out / "noise" / "noise.json"
    print(f"The perception reward, variances x 1000:\n\n{tables.write_noise(read_noise(noise))}\n")
    print(f"every number: {options.out / 'mechanism.json'} and {noise}")
    return 0


def _choose_arms(options: argparse.Namespace, arms: Sequence[Arm]) -> list[Arm]:
    first, *others = arms
    return [first, *(arm for arm in others if options.only is None or arm.name in options.only)]


def _print_files(compared: Compared) -> None:
    print(f"\nevery response: {compared.rows}\nevery step:  {compared.steps}")


def _run(options: argparse.Namespace, name: str, arms: Sequence[Arm]) -> Compared:
    from studies.comparison.run import choose_jobs, prepare_lab, run_arms
    from studies.comparison.scale import SCALES

    scale = SCALES[options.size]
    return run_arms(
        options.out,
        name,
        arms,
        range(options.first_seed, options.first_seed + options.seeds),
        scale if options.steps is None else replace(scale, steps=options.steps),
        prepare_lab(options.out, options.size, options.lab),
        late_share=options.late_share,
        jobs=choose_jobs() if options.jobs is None else options.jobs,
        on_progress=show_progress,
    )


if __name__ == "__main__":
    sys.exit(main())
