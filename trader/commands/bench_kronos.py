"""`trader bench kronos`: Kronos beside the original and the machine's limit. The work is a process of its own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from settings import children
from trader.commands.options import need_models

Finding = Mapping[str, Any]

_HEAD = f"{'':<10}{'samples':>8} {'way':<30}{'seconds':>10}{'original':>11}{'eager':>8}{'limit':>7}{'first s':>9}"


@click.command("kronos")
@click.option(
    "--upstream",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A checkout of github.com/shiyu-coder/Kronos to compare with; it needs einops. Default: ours alone.",
)
@click.option(
    "--sizes", default="mini,small,base", show_default=True, help="A comma list of sizes; also tiny and nano."
)
@click.option("--series", default="1,8", show_default=True, help="How many series at once: a comma list.")
@click.option("--samples", default="1,10,30", show_default=True, help="How many samples: a comma list.")
@click.option(
    "--dtypes", default="float32,bfloat16", show_default=True, help="The precisions of the network: a comma list."
)
@click.option(
    "--noise",
    default="exponential",
    show_default=True,
    help="The random numbers: exponential (as the original), uniform, or both.",
)
@click.option("--no-compile", is_flag=True, help="Measure the eager model only.")
@click.option(
    "--repeats",
    default=5,
    show_default=True,
    type=click.IntRange(min=1),
    help="How often each is measured. The median counts.",
)
@click.option(
    "--original-repeats",
    default=0,
    type=click.IntRange(min=0),
    help="How often the original is measured, if less often.",
)
@click.option(
    "--clock",
    type=click.Choice(["wall", "cpu"]),
    default="wall",
    show_default=True,
    help="Wall time, or CPU time for a busy machine.",
)
@click.option("--threads", default=1, show_default=True, type=click.IntRange(min=1), help="Threads of torch.")
@click.option("--device", default="cpu", show_default=True, help="cpu or cuda.")
@click.option(
    "--forecasts",
    default=0,
    type=click.IntRange(min=0),
    help="Make this many more forecasts with a tiny model and watch the memory: 10000.",
)
@click.option("--starts", is_flag=True, help="Time the first compiled forecast too, without and with a compile cache.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the figures as JSON.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    upstream: Path | None,
    sizes: str,
    series: str,
    samples: str,
    dtypes: str,
    noise: str,
    no_compile: bool,
    repeats: int,
    original_repeats: int,
    clock: str,
    threads: int,
    device: str,
    forecasts: int,
    starts: bool,
    out: Path | None,
    as_json: bool,
) -> None:
    """Measure Kronos: seconds, speed beside the original and eager, share of the machine's limit, memory, start."""
    need_models("the bench")
    if upstream is not None and not (upstream / "model" / "kronos.py").is_file():
        raise click.BadParameter(
            f"{upstream} holds no model/kronos.py: give a checkout of github.com/shiyu-coder/Kronos"
        )
    arguments = ["--sizes", sizes, "--series", series, "--samples", samples, "--dtypes", dtypes, "--noise", noise]
    arguments += ["--repeats", str(repeats), "--clock", clock, "--threads", str(threads), "--device", device]
    arguments += ["--forecasts", str(forecasts), "--original-repeats", str(original_repeats)]
    arguments += ["--upstream", str(upstream.resolve())] if upstream else []
    arguments += ["--no-compile"] if no_compile else []
    arguments += ["--starts"] if starts else []
    found: list[Finding] = []
    for finding in _findings(arguments, threads):
        found.append(finding)
        if not as_json:
            click.echo("\n".join(lines(finding)))
        if out is not None:  # after each, so that a run cut short leaves what it had
            out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    if as_json:
        click.echo(json.dumps(found, indent=2))


def _findings(arguments: Sequence[str], threads: int) -> Iterator[Finding]:
    """Raises ClickException where the bench fails, with the last thing that it said."""
    command = children.python("forecasters.kronos.bench", *arguments)
    more = {"OMP_NUM_THREADS": str(threads), "PYTHONWARNINGS": "ignore"}
    with children.start(command, stdout=subprocess.PIPE, more=more, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            yield json.loads(line)
    if process.returncode:
        raise click.ClickException(f"the bench ended with {process.returncode}; what it said is above")


def lines(finding: Finding) -> list[str]:
    """One finding as a person reads it."""
    show = {"machine": _machine, "row": _row, "accuracy": _accuracy, "start": _start, "growth": _growth}
    return show[finding["kind"]](finding)


def _machine(finding: Finding) -> list[str]:
    limits = "; ".join(
        f"{name} {ceiling['gflops']:.0f} Gflop/s, reads {ceiling['gbytes']:.0f} GB/s"
        for name, ceiling in finding["ceilings"].items()
    )
    machine = f"{finding['processor']}, {finding['device']}, torch {finding['torch']}, {finding['threads']} threads"
    return [f"{machine}, {finding['clock']} seconds, load {finding['load']:.1f}", limits, "", _HEAD]


def _row(finding: Finding) -> list[str]:
    lines = []
    label = f"{finding['size']} x{finding['series']}"
    for way, seconds in finding["seconds"].items():
        mark = "*" if way == "original" and finding["original_extrapolated"] else " "
        lines.append(
            f"{label:<10}{finding['samples']:>8} {way:<30}{seconds:>9.3f}{mark}"
            + _filled("{:>10.1f}x", finding.get("times_original", {}).get(way), 11)
            + _filled("{:>7.2f}x", finding["times_eager"].get(way), 8)
            + _filled("{:>7.0%}", finding["of_the_limit"].get(way), 7)
            + _filled("{:>9.1f}", finding["first_call_s"].get(way), 9)
        )
    remark = f"peak {finding['peak_mb']} MB"
    if finding.get("difference_sd") is not None:
        remark += f"; same seed, mean path differs by {finding['difference_sd']:.1e} standard deviations at most"
    if finding.get("original_extrapolated"):
        remark += "; * extrapolated from its first steps"
    return [*lines, f"{'':<19}{remark}", ""]


def _filled(text: str, figure: float | None, width: int) -> str:
    return " " * width if figure is None else text.format(figure)


def _accuracy(finding: Finding) -> list[str]:
    return [
        f"{finding['size']} bfloat16: total variation of s1 {finding['s1_total_variation_mean']:.4f} "
        f"(worst {finding['s1_total_variation_worst']:.4f}), logits differ by {finding['logit_difference']:.3f}, "
        f"greedy tokens agree for {finding['greedy_agreement']:.0%} of the horizon",
        "",
    ]


def _start(finding: Finding) -> list[str]:
    cold, warm = finding["cold_s"], finding["warm_s"]
    return [f"{finding['size']} first compiled forecast: {cold:.0f} s, with a warm cache {warm:.1f} s", ""]


def _growth(finding: Finding) -> list[str]:
    return [
        f"{finding['way']}: {finding['forecasts']} forecasts, {finding['settled_mb']:.0f} MB after the first tenth, "
        f"{finding['growth_mb']:+.1f} MB since, peak {finding['peak_mb']:.0f} MB"
    ]
