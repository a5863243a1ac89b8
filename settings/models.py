"""The settings of the forecasting models and of their compilation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from settings.kinds import Group, Place, PositiveSeconds, Right, Samples, Unit

CompileMode = Literal["default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"]
CompileBackend = Literal["inductor", "aot_eager", "cudagraphs", "eager"]
ModelId = Annotated[str, Right("owner/name on the hub, or a folder")]
KronosId = Annotated[str, Right("kronos-nano, owner/name on the hub, or a folder")]
TokenizerId = Annotated[str, Right("owner/name on the hub, a folder, or nothing")]
Dtype = Literal["float32", "bfloat16"]
Device = Literal["auto", "cpu", "cuda"]


class Kronos(Group):
    """The Kronos family of models."""

    prefix: ClassVar[str] = "KRONOS_"

    compile: bool = Field(default=False, description="Compile the model. The same as FORECASTER=kronos-compiled.")
    compile_mode: CompileMode = Field(default="reduce-overhead", description="What the compiler aims at.")
    compile_backend: CompileBackend = Field(default="inductor", description="Which compiler.")
    sample_count: Samples = Field(default=30, description="Paths drawn a series; the quantiles are taken over them.")
    model_id: KronosId = Field(
        default="kronos-nano",
        min_length=1,
        max_length=200,
        description="The weights. kronos-nano comes with the program and was trained on generated markets alone; "
        "NeoQuasar/Kronos-mini, -small and -base are the published ones, downloaded at the first start; another one of "
        "the hub is named with its commit, owner/name@COMMIT; a folder is what `trader finetune` or the original's "
        "own fine-tuning writes.",
    )
    tokenizer_id: TokenizerId = Field(
        default="",
        max_length=200,
        description="The tokenizer of a model that has none beside it: a folder, or owner/name@COMMIT on the hub "
        "(NeoQuasar/Kronos-Tokenizer-base and -2k without). Empty: the model's own.",
    )
    dtype: Dtype = Field(default="float32", description="Precision. bfloat16 is faster and slightly another model.")
    device: Device = Field(default="auto", description="Where it runs; auto is cuda where there is one.")
    temperature: Annotated[float, Field(gt=0, le=10), Unit("ratio")] = Field(
        default=1.0, description="Spread of the sampling: below 1 narrower."
    )
    top_p: Annotated[float, Field(gt=0, le=1), Unit("probability")] = Field(
        default=0.9, description="Sample from the likeliest tokens that make up this much."
    )
    top_k: Annotated[int, Field(ge=0, le=1024), Unit("tokens")] = Field(
        default=0, description="Sample from this many of the likeliest tokens; 0 is no such limit."
    )
    clip: Annotated[float, Field(gt=0, le=100), Unit("standard deviations")] = Field(
        default=5.0, description="Inputs further out than this are cut off."
    )
    misordered: Literal["sort", "drop"] = Field(
        default="sort",
        description="A sampled path with a bar whose high is not its highest price, or whose low is not its lowest. "
        "sort: high and low become those. drop: the path is left out, which chooses calm ones. `trader status` says "
        "how many.",
    )


class Toto(Group):
    """The Toto family of models."""

    prefix: ClassVar[str] = "TOTO_"

    compile: bool = Field(default=False, description="Compile the model. The same as FORECASTER=toto-compiled.")
    disable_compile: bool = Field(default=False, description="An old name: true insists on uncompiled.")
    compile_mode: CompileMode = Field(default="reduce-overhead", description="What the compiler aims at.")
    compile_backend: CompileBackend = Field(default="inductor", description="Which compiler.")
    model_id: ModelId = Field(
        default="Datadog/Toto-2.0-22m",
        min_length=1,
        max_length=200,
        description="A hub name or a folder with weights.",
    )
    num_samples: Samples = Field(default=256, description="Paths drawn a series, for models that sample.")
    samples_per_batch: Samples = Field(default=256, description="How many of them at once: less takes less memory.")
    dtype: Dtype = Field(default="float32", description="Precision. bfloat16 is faster and slightly another model.")
    device: Device = Field(default="auto", description="Where it runs; auto is cuda where there is one.")


Forecasts = Annotated[int, Field(ge=0, le=1_000_000), Unit("forecasts")]


class Compile(Group):
    """Where compiled models are kept, so that a restart need not compile again, and how closely they are watched."""

    compiled_models_dir: Place = Field(
        default_factory=lambda: Path.home() / ".cache/trader/compiled",
        description="Folder of compiled models. Empty: systemd's CACHE_DIRECTORY, or the user's cache folder.",
    )
    torchinductor_cache_dir: Place = Field(
        default_factory=lambda data: data.get("compiled_models_dir", Path()) / "inductor",
        description="The compiler's own cache. Empty: inductor in COMPILED_MODELS_DIR.",
    )
    compile_check_every: Forecasts = Field(
        default=50,
        description="After how many forecasts a compiled model is compared again with the same weights uncompiled, "
        "some symbols in turn. It is also compared before it serves, at its first forecast, and once a day with all "
        "symbols, timed, then with what the networks say given the same past, too. 0: only before it serves.",
    )
    compile_check_within: Annotated[int, Field(ge=1, le=1_000_000), Unit("forecasts")] = Field(
        default=200,
        description="Within how many forecasts each symbol is compared at least once, however many there are: so many "
        "are compared each time as that takes.",
    )
    compile_tolerance: Annotated[float, Field(gt=0, lt=1), Unit("share of the forecast's width")] = Field(
        default=0.002,
        description="Prices that differ by less count as equal. The width is the distance between the outer quantiles.",
    )
    compile_agreement: Annotated[float, Field(gt=0, le=1), Unit("share of sampled bars")] = Field(
        default=0.995,
        description="The least share that must be equal, of the sampled bars that follow equal ones. In bfloat16 ten "
        "times as many may differ.",
    )
    compile_most_recompiles: Annotated[int, Field(ge=0, le=1000), Unit("recompilations")] = Field(
        default=2, description="How many are accepted after the warm-up. More count as a fault."
    )
    compile_retry_s: PositiveSeconds = Field(
        default=3600, description="How long to wait before a compiled model that failed is tried again."
    )
