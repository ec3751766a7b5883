"""The table of options: the command line, manifests, their schema and docs/options.md are made from it.

`python -m robustbench_act.options > docs/options.md` writes the page again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from corruptions.severity import SEVERITIES
from robustbench_act.option_kinds import (
    CLASS_ORDER,
    COLOUR_BY_NAME,
    FILE,
    FLAG,
    FOLDER,
    NAME_LIST,
    NAMES,
    NUMBER,
    NUMBER_OR_SEEDS,
    NUMBERS,
    PARAMETERS,
    PATH,
    POINTS,
    RATES,
    RESIZE,
    SEEDS,
    SHARE,
    SIZE,
    TEXT,
    TEXT_BY_NAME,
    TEXTS,
    VALID_CLASSES,
    Kind,
    choice,
    formats,
    whole,
)

DEFAULT_SUITES = ("c19", "shift")
BATCH_SIZE = 128
PROBE_IMAGES = 1024


@dataclass(frozen=True)
class Option:
    """One option, or one key of a manifest, or both.

    Attributes
    ----------
    written
        Its flags and the name of its value, "-o, --out FILE"; without dashes: a key of manifests only.
    kind
        See `Kind`.
    commands
        The commands that take it, separated by spaces.
    help
        A sentence for `--help`, the schema and docs/options.md.
    default
        The value that a command gets if it is not given.
    otherwise
        The default in words, if it depends on something.
    at
        Where a manifest has it: "top", "spec" ([spec] and [[checkpoint]]), "checkpoint", or "" for nowhere.
    keyword
        Its name in Python, if it is not that of the flag.
    required
        Whether commands refuse to run without it.
    """

    written: str
    kind: Kind
    commands: str
    help: str
    default: Any = None
    otherwise: str = ""
    at: Literal["", "top", "spec", "checkpoint"] = ""
    keyword: str = ""
    required: bool = False

    @property
    def flags(self) -> list[str]:
        """Its flags: ["-o", "--out"], ["--probes/--no-probes"]."""
        return [part.strip(",") for part in self.written.split() if part.startswith("-")]

    @property
    def flag(self) -> str:
        """The long flag; for a key of manifests only, the key."""
        return self.flags[-1].split("/")[0] if self.flags else self.written

    @property
    def metavar(self) -> str | None:
        """The name of its value; None for a flag without one."""
        return " ".join(part for part in self.written.split() if not part.startswith("-")) or None

    @property
    def key(self) -> str:
        """The name in manifests."""
        return self.flag.removeprefix("--").replace("-", "_")

    @property
    def name(self) -> str:
        """The name in Python."""
        return self.keyword or self.key

    @property
    def default_text(self) -> str:
        """The default for a reader; "" if there is nothing to tell."""
        if isinstance(self.default, bool):
            return self.flag
        return self.otherwise or ("" if self.default is None else str(self.default))


_STUDY = "evaluate plan doctor probe"
_RUN = "evaluate plan"
_SHOWN = f"{_STUDY} train generate"

# A row for each option.
# fmt: off
GROUPS: Mapping[str, tuple[Option, ...]] = {
    "Checkpoints": (
        Option("path", TEXT, "", "File, folder or pattern, relative to the manifest; or transformers:FOLDER, "
               "onnx:FILE.", at="checkpoint"),
        Option("name", TEXT, "", "Name in tables, for a single file.", at="checkpoint"),
        Option("--model ARCH", TEXT, _STUDY, "Architecture, if the file does not name it: cifar:resnet20, "
               "small:mlp, torchvision:NAME, timm:NAME or package.module:factory.", at="spec"),
        Option("--mean M,...", NUMBERS, _STUDY, "Mean per channel on the [0, 1] scale.",
               otherwise="the file's or the library's", at="spec"),
        Option("--std S,...", NUMBERS, _STUDY, "Standard deviation per channel on the [0, 1] scale.",
               otherwise="the file's or the library's", at="spec"),
        Option("--activation NAME", TEXT, _STUDY, "Activation to put into the network: a name of `actrobust "
               "list` or package.module:Class, also with parameters, as 'la_silu(alpha=0.1)'.",
               otherwise="the network's own", at="spec"),
        Option("activation_parameters", PARAMETERS, "", "Its parameters, as { alpha = 0.1 }.", at="spec"),
        Option("--norm, --normalization NAME", TEXT, _STUDY, "Normalisation to put into the network: batch, "
               "layer, group, instance, none or package.module:Class.", otherwise="the network's own",
               at="spec"),
        Option("--classes N", whole(2), _STUDY, "Number of classes.", otherwise="the data set's", at="spec"),
        Option("--input-size C,H,W", SIZE, _STUDY, "Channels, height and width of the images.",
               otherwise="the data set's", at="spec"),
        Option("--weights KEY", TEXT, _STUDY,
               "Key of the weights, or what their names begin with, in a file that has several: "
               "state_dict_ema, model.", at="spec"),
        Option("training_seed", SEEDS, "", "Number that tells training runs of one recipe apart; for a "
               "folder or pattern a list, one for each file in the order of their names.",
               otherwise="the file's, or N if its name ends in _N", at="spec"),
        Option("labels", NAMES, "", "What tables call the network: any of { activation = \"GatedCube\", "
               "architecture = \"cnn\", group = \"mine\" }; it stays as it is built.", at="spec"),
        Option("dataset", TEXT, "", "Name of the training data, for the record.", at="spec"),
        Option("clean_accuracy", SHARE, "",
               "Accuracy on clean test images, for `actrobust doctor` to compare with.", at="spec"),
        Option("--layers PATTERN,...", NAME_LIST, _STUDY, "More modules to measure as activation layers, by "
               "class (colleague.Swish2) or name in the network (*.act*).", at="spec"),
        Option("--import MODULE", TEXTS, f"{_STUDY} train generate list", "Module of yours to import first, "
               "as mine.acts: it registers activations and corruptions, and checkpoints may name what it "
               "defines; repeatable.",
               at="top", keyword="imports"),
        Option("--manifest FILE", FILE, _STUDY, "TOML file with checkpoints, data and options; flags take "
               "precedence. See `actrobust manifest`."),
    ),
    "Data": (
        Option("--dataset NAME[:ROOT]", TEXT, _STUDY,
               "Data set by its name in `actrobust list`, or folder:DIR, npz:FILE, parquet:FILES, "
               "tar:FILES, zip:FILE, package.module:function.",
               "mnist-1k", at="top"),
        Option("--dataset NAME[:ROOT]", TEXT, "train",
               "Training data: digits, mnist:ROOT, folder:ROOT, ...; see `actrobust list`.", required=True),
        Option("--corrupted DIR", PATH, _STUDY, "Folder of corrupted versions of the images, in the layout "
               "of CIFAR-10-C, ImageNet-C or MNIST-C.", at="top"),
        Option("--channels N", whole(1), _SHOWN, "Make images grey (1) or RGB (3) before corruptions.",
               otherwise="their own; networks that take others get them converted after corruptions",
               at="top"),
        Option("--class-order ORDER", CLASS_ORDER, _SHOWN, "Order of the classes, which are named: string "
               "(1, 10, 2), natural (1, 2, 10), or a file with a name in each line, or config.json of "
               "transformers.",
               otherwise="the data set's; string for folder", at="top"),
        Option("--valid-classes CLASSES", VALID_CLASSES, f"{_STUDY} generate", "Restrict images and answers "
               "to some classes: a file with a name in each line, names with commas between them, or present "
               "(those that have images).", otherwise="all", at="top"),
        Option("--resize N", RESIZE, _SHOWN,
               "Resize the shorter side of pictures to N pixels; both sides if H,W is given.",
               otherwise="the network's, else the data set's", at="top"),
        Option("--crop N", whole(1), _SHOWN, "Then cut out their centre, N x N pixels.",
               otherwise="the network's, else the data set's", at="top"),
        Option("--interpolation NAME", TEXT, _SHOWN,
               "Interpolation of --resize: nearest, bilinear, bicubic or lanczos.",
               otherwise="the network's, else bilinear", at="top"),
        Option("--resize-corrupted", FLAG, _STUDY,
               "Apply --resize and --crop to corrupted pictures from files too.", at="top"),
        Option("--skip-unreadable", FLAG, _STUDY, "Leave out pictures that cannot be read.", at="top"),
        Option("--limit N", whole(1), "evaluate plan doctor train generate",
               "Take N images, classes in the proportions of the whole (stratified).", at="top"),
        Option("--limit N", whole(1), "probe",
               "Take N images, classes in the proportions of the whole (stratified).", 256, at="top"),
        Option("--workers N", whole(1), _SHOWN, "Threads that decode pictures.",
               otherwise="one per core, at most 8", at="top"),
        Option("--download", FLAG, _SHOWN, "Let torchvision download missing files; nothing is downloaded "
               "without it."),
    ),
    "Corruptions": (
        Option("--suite NAME", TEXTS, "evaluate plan doctor", "Suite of corruptions; repeatable.",
               otherwise=" and ".join(DEFAULT_SUITES), at="top", keyword="suites"),
        Option("--suite NAME", TEXT, "generate", "Suite of corruptions that act on pixels.",
               otherwise="c15"),
        Option("--corruption NAME,...", NAME_LIST, "evaluate plan doctor generate", "Corruptions by name or "
               "wildcard, yours too: the members of a suite.", at="top", keyword="corruptions"),
        Option("--severity S,...", NUMBERS, "evaluate plan doctor generate",
               "Severities from 1 to 5; fractions are allowed.",
               otherwise=",".join(f"{each:g}" for each in SEVERITIES), at="top", keyword="severities"),
        Option("--full", FLAG, _RUN, "Evaluate the embedded networks on every image and severity; "
               "without it, on a few of both."),
        Option("--seed N", whole(), "evaluate plan probe generate", "Seed of the corruptions.", 0, at="top"),
        Option("--shift NAME:SEVERITY", TEXT, "probe", "Corruption or input shift of the images.",
               "shift_gaussian:3"),
        Option("--inject NAME:SCALE", TEXT, "probe",
               "In place of --shift: shift the input of each activation layer in turn; gaussian:0.1 is noise "
               "of a tenth of the standard deviation of that layer's input."),
    ),
    "Layers": (
        Option("--probes/--no-probes", FLAG, _RUN, "Measure the activation layers.", True, at="top"),
        Option("--probe-images N", whole(1), _RUN, "On how many images: a multiple of 256. Another number "
               "is a different run.", PROBE_IMAGES, at="top"),
        Option("--allow-random", FLAG, _STUDY, "Allow networks that draw random numbers; seeds fix them.",
               at="top"),
        Option("--gradients", FLAG, "probe", "Also measure the variance of gradients, on clean images."),
        Option("--train-mode", FLAG, "probe",
               "Measure --gradients as in training, with batch statistics and dropout."),
        Option("--track EPOCHS", TEXT, "train", "Probe the layers after these epochs or shares of the "
               "training, such as 0,1,last, all or 0,25%,50%,last; writes NAME.track.parquet next to the "
               "checkpoint."),
    ),
    "Computing": (
        Option("--device NAME", TEXT, _SHOWN, "cpu, cuda, cuda:i, or auto: CUDA if there is a GPU.", "auto",
               at="top"),
        Option("--batch-size N", whole(1), _RUN, "Images per forward pass; changes no number.", BATCH_SIZE,
               at="top"),
        Option("--batch-size N", whole(2), "probe", "Images per forward pass, clean and shifted.",
               BATCH_SIZE, at="top"),
        Option("--processes N", whole(1), _RUN, "Processes that share the work; changes no number.",
               otherwise="one per core if that pays", at="top"),
        Option("--threads N", whole(1), _RUN, "Threads per process.",
               otherwise="1 if there are several processes", at="top"),
        Option("--executor NAME", choice("local", "ray"), _RUN,
               "Where the processes run: local (this machine) or ray (a Ray cluster).", "local", at="top"),
        Option("--ray-address ADDRESS", TEXT, _RUN, "Address of the Ray cluster.", otherwise="start one here",
               at="top"),
        Option("--precision NAME", choice("fp32", "tf32", "bf16", "fp16"), _RUN, "Precision of the networks: "
               "fp32, tf32, bf16 or fp16. A different precision is a different run.", "fp32", at="top"),
        Option("--compile", FLAG, _RUN,
               "Compile the networks; needs --no-probes. A compiled run is a different run.", at="top",
               keyword="compiled"),
    ),
    "Training": (
        Option("--arch ARCH", TEXT, "train", "Architecture.", "cifar:resnet8?width=8"),
        Option("--activation NAME,...", TEXT, "train", "Activations, or all: names of `actrobust list`, or "
               "package.module:Class, also with parameters, as 'la_silu(alpha=0.1)'; native: the network's "
               "own.", "relu"),
        Option("--norm, --normalization NAME,...", TEXT, "train", "Normalisations: native (the network's "
               "own), batch, layer, group, instance, none, package.module:Class.", "native"),
        Option("--seeds N|S,...", NUMBER_OR_SEEDS, "train", "Train with the seeds 1 to N, or with those of a "
               "list.", 1),
        Option("--epochs N", whole(1), "train", "Passes over the training images.", 2),
        Option("--batch-size N", whole(2), "train", "Images per training step.", 128),
        Option("--lr X[,NAME=X...]", RATES, "train", "Learning rate, also of single activations, as "
               "0.1,silu=0.05; divided by 10 after 1/2 and 3/4 of the steps.", 0.1),
        Option("--momentum X", NUMBER, "train", "Momentum of the gradient descent.", 0.9),
        Option("--weight-decay X", NUMBER, "train", "Weight decay.", 1e-4),
        Option("--augment NAME", TEXT, "train", "Augmentation: none, crop or crop-flip.", "none"),
        Option("--noise X", NUMBER, "train", "Add Gaussian noise to half of the images, with standard "
               "deviations of up to X on the [0, 1] scale.", 0.0),
        Option("--validation SHARE", NUMBER, "train", "Share of the training images to leave out; the "
               "accuracy on them goes into each file, to choose settings by.", 0.0),
        Option("--validate-every N", whole(1), "train", "Measure that accuracy after every N steps, on at "
               "most 2,000 images; writes NAME.curve.parquet next to the checkpoint."),
    ),
    "Output": (
        Option("--out DIR", PATH, _RUN, "Run directory.", otherwise="runs/DATE-TIME", at="top"),
        Option("--out DIR", PATH, "doctor", "Folder where the run would be written.", "runs", at="top"),
        Option("--out DIR", FOLDER, "train", "Folder of the checkpoints.", otherwise="runs/train-DATASET"),
        Option("--out DIR", FOLDER, "generate", "Folder to write.", required=True),
        Option("-o, --out DIR", FOLDER, "report", "Folder of the report.",
               otherwise="the run's own; . for several runs"),
        Option("-o, --out DIR", FOLDER, "merge", "Run directory to write.", required=True),
        Option("--tell-apart", FLAG, "merge", "Keep checkpoints of one name and different weights, with the "
               "folders of their runs in their names."),
        Option("-o, --out FILE", FILE, "table", "Write the table to a file.", otherwise="the terminal"),
        Option("-o, --out FILE", FILE, "baseline", "File to write; replaces an older baseline.",
               required=True),
        Option("-o, --out FILE", FILE, "manifest", "File to write.", otherwise="FOLDER/manifest.toml"),
        Option("--resume/--no-resume", FLAG, _RUN, "Continue an unfinished run in --out.", True),
        Option("--report FORMATS", formats("html, pdf, html,pdf or none", none=True), _RUN,
               "Formats of the report: html, pdf, html,pdf or none.", "html", at="top"),
        Option("--format FORMATS", formats("html, pdf or html,pdf", none=False), "report",
               "Formats of the report: html, pdf or html,pdf.", "html", keyword="formats"),
        Option("--figures DIR", FOLDER, "report", "Also write each figure, heat map and matrix into this "
               "folder: SVG, PDF, PNG, and its numbers as CSV."),
        Option("--only NAME,...", NAME_LIST, "report",
               "Of --figures only these, by the names of their files; curve-* is all that begin so."),
        Option("--labels NAME=LABEL,...", TEXT_BY_NAME, "report table", "What to call activations."),
        Option("--colours NAME=#RRGGBB,...", COLOUR_BY_NAME, "report", "Colours of activations."),
        Option("--open", FLAG, "report", "Open the report.", keyword="show"),
        Option("--units", FLAG, "plan", "Print each unit of work on its own line."),
        Option("--layout NAME", choice("npy", "folders"), "generate",
               "Layout of the files: npy as in CIFAR-C, or folders as in ImageNet-C.", "npy"),
        Option("--json", FLAG, "evaluate plan probe compare check power", "Print the result as JSON.",
               keyword="as_json"),
        Option("--schema", FLAG, "manifest", "Print the JSON schema of manifests, for editors."),
    ),
    "Planning a study": (
        Option("--lead POINTS", POINTS, "power", "Lead to plan for: which seeds and images show it."),
        Option("--seeds N", whole(2), "power", "Training seeds of each activation.",
               otherwise="several numbers, a row for each"),
        Option("--images M", whole(2), "power", "Images of the evaluation.",
               otherwise="several numbers, a column for each"),
        Option("--activations K", whole(2), "power", "Activations that are compared, each with each.",
               otherwise="those of RUN; 13 without RUN"),
        Option("--figure FILE", FILE, "power", "Draw the table as curves into a PNG, SVG or PDF file."),
    ),
    "Tables and the gate": (
        Option("--style NAME", choice("metrics", "layeract"), "table",
               "metrics: every metric; layeract: the tables of the LayerAct paper.", "metrics"),
        Option("--columns NAME,...", NAME_LIST, "table", "Only these metrics, in this order: mca, clean, "
               "group_noise, ...", otherwise="those of the run"),
        Option("--activations NAME,...", NAME_LIST, "table", "Only these activations, in this order.",
               otherwise="all, the most robust first"),
        Option("--format NAME", choice("text", "csv", "markdown", "latex"), "table",
               "Format of the table: text, csv, markdown or latex.", "text", keyword="kind"),
        Option("--reference ACTIVATION|RUN|alexnet", TEXT, "table",
               "Reference of mCE and effective robustness, for --style metrics."),
        Option("--activations MINE,THEIRS,...", NAME_LIST, "compare",
               "Inside run A: compare the first of these activations with each of the others."),
        Option("--force", FLAG, "compare",
               "Compare even runs that are not comparable; lists the differences."),
        Option("--all", FLAG, "compare", "Show every cell that moved, not only the first 20.",
               keyword="everything"),
        Option("--rules FILE", FILE, "baseline", "TOML file with rules, tolerances and margins.",
               otherwise="accuracy, 0.3 points"),
        Option("--unit NAME", choice("weights", "training"), "baseline", "What later runs are paired by: "
               "weights (a checkpoint with itself, over images) or training (an activation with itself, over "
               "training seeds and images).", otherwise="training if an activation has several seeds"),
        Option("--margin X", NUMBER, "baseline", "Accuracy is kept if it is surely no worse than this, in "
               "points.", otherwise="what the run's images and seeds can show"),
        Option("--baseline FILE", FILE, "check", "File written by `actrobust baseline`."),
        Option("--anchor FILE", FILE, "check", "An older baseline, held to as well: against losses that are "
               "small each time."),
        Option("--prove", FLAG, "check", "Fail what is undecided too."),
        Option("--self-test", FLAG, "check", "Without a baseline: split the run's training seeds "
               "(6 or more) into halves and tell how often equal recipes would fail."),
        Option("--junit FILE", FILE, "check", "Write JUnit XML."),
        Option("--github", FLAG, "check", "Write the summary and the annotations of a GitHub Actions step."),
    ),
}
"""Options by what they are about, in the order of the help."""
# fmt: on

OPTIONS = tuple(option for group in GROUPS.values() for option in group)

RENAMED = {("table", "--baseline"): "--reference"}
"""Old flags of commands, with the flags that replace them."""


def options_of(command: str) -> list[Option]:
    """Return the options that a command takes.

    >>> [option.flag for option in options_of("baseline")]
    ['--out', '--rules', '--unit', '--margin']
    """
    return [option for option in OPTIONS if command in option.commands.split()]


def manifest_keys(*tables: str) -> dict[str, Option]:
    """Return the options that some tables of a manifest have, by their keys.

    >>> list(manifest_keys("checkpoint"))
    ['path', 'name']
    """
    found: dict[str, Option] = {}
    for option in OPTIONS:
        if option.at in tables:
            found.setdefault(option.key, option)
    return found
