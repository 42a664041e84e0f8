//! What each room may use. A table goes downward: a room uses only what stands below it.

use May::{Below, Only};

/// The rooms of a folder: its files and folders. `mod` and `lib` are the files of the folder itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Level {
    pub(crate) folder: &'static str,
    /// Other crates that count as rooms, as (name of the crate, room).
    pub(crate) crates: &'static [(&'static str, &'static str)],
    pub(crate) rooms: &'static [(&'static str, May)],
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum May {
    /// All rooms below it in the table.
    Below,
    /// These, with blanks between.
    Only(&'static str),
}

pub(crate) const ALL: [Level; 9] =
    [HOUSE, STORE, ENGINE, PIPELINE, CLI, VERBS, OPERATOR, APPLICATION, PROJECTIONS];

/// The house: what an operator asks for and what an application links stand apart, above the engine.
const HOUSE: Level = Level {
    folder: "src",
    crates: &[("statefold_projections", "projections")],
    rooms: &[
        ("main", Only("")),
        (
            "lib",
            Only(
                "cli operator application engine store observe fold config plan lifecycle error next_step projections",
            ),
        ),
        (
            "cli",
            Only(
                "http page operator application engine store observe fixture config plan lifecycle error next_step projections",
            ),
        ),
        ("http", Only("observe")),
        ("page", Only("operator store observe config lifecycle next_step projections")),
        (
            "operator",
            Only("engine store pipeline observe fold config plan lifecycle error next_step projections"),
        ),
        ("application", Only("engine store pipeline observe config lifecycle error projections")),
        ("engine", Only("store pipeline observe fold config plan lifecycle error next_step projections")),
        ("store", Only("pipeline observe fold config plan lifecycle fixture error projections")),
        ("pipeline", Only("observe fold plan lifecycle error projections")),
        ("bench", Only("fold lifecycle projections")),
        ("observe", Only("fold")),
        ("fold", Only("lifecycle projections")),
        ("config", Only("plan lifecycle error")),
        ("plan", Only("projections")),
        ("lifecycle", Only("projections")),
        ("fixture", Only("projections")),
        ("error", Only("next_step projections")),
        ("next_step", Only("")),
        ("projections", Only("")),
    ],
};

/// The store: whoever asks of the server may read what is recorded, never the other way round.
const STORE: Level = Level {
    folder: "src/store",
    crates: &[],
    rooms: &[
        ("mod", Below),
        ("admin", Below),
        ("snapshots", Below),
        ("builds", Below),
        ("events", Below),
        ("control", Below),
        ("records", Below),
        ("connection", Below),
    ],
};

/// The engine: a run is made of passes, comparisons and the lease.
const ENGINE: Level = Level {
    folder: "src/engine",
    crates: &[],
    rooms: &[
        ("mod", Below),
        ("running", Below),
        ("run", Below),
        ("refolding", Below),
        ("comparing", Below),
        ("looking", Below),
        ("workers", Below),
        ("preflight", Below),
        ("verify", Below),
        ("sweep", Below),
        ("required", Below),
        ("pass", Below),
        ("leader", Below),
        ("capacity", Below),
    ],
};

/// The pipeline: what writes is on top of what compares and what reads.
const PIPELINE: Level = Level {
    folder: "src/pipeline",
    crates: &[],
    rooms: &[
        ("mod", Below),
        ("write", Below),
        ("compare", Below),
        ("job", Below),
        ("required", Below),
        ("read", Below),
        ("governor", Below),
        ("workers", Below),
        ("retry", Below),
        ("ports", Below),
        ("memory", Below),
        ("notable", Below),
    ],
};

/// The command line: its verbs speak through the screen.
const CLI: Level = Level {
    folder: "src/cli",
    crates: &[],
    rooms: &[
        ("mod", Only("verbs screen exit squidex settings command args")),
        ("squidex", Only("definitions settings args")),
        ("verbs", Only("definitions text consent screen settings values exit command args")),
        ("definitions", Only("settings command args")),
        ("consent", Only("screen command")),
        ("values", Only("")),
        ("text", Only("screen command")),
        ("screen", Only("exit command")),
        ("exit", Only("command")),
        ("settings", Only("args")),
        ("command", Only("args")),
        ("args", Only("")),
    ],
};

/// The verbs of the command line: a rebuild shows the plan first.
const VERBS: Level = Level {
    folder: "src/cli/verbs",
    crates: &[],
    rooms: &[
        ("mod", Only("")),
        ("rebuild", Only("plan")),
        ("abort", Only("")),
        ("adopt", Only("")),
        ("artefacts", Only("")),
        ("cleanup", Only("")),
        ("completions", Only("")),
        ("cutover", Only("")),
        ("errors", Only("")),
        ("fixture", Only("")),
        ("follow", Only("")),
        ("history", Only("")),
        ("health", Only("")),
        ("lock", Only("")),
        ("migrate", Only("")),
        ("pause", Only("")),
        ("plan", Only("")),
        ("projections", Only("")),
        ("read_only", Only("")),
        ("serve", Only("")),
        ("status", Only("")),
        ("verify", Only("")),
        ("work", Only("")),
    ],
};

/// What an operator asks for: no verb uses another; only the overview of the live page puts reports together.
const OPERATOR: Level = Level {
    folder: "src/operator",
    crates: &[],
    rooms: &[
        ("mod", Below),
        ("overview", Only("status failed_streams")),
        ("abort", Only("")),
        ("adopt", Only("")),
        ("authoring", Only("")),
        ("cleanup", Only("")),
        ("dedicated", Only("")),
        ("event_store", Only("")),
        ("failed_streams", Only("")),
        ("follow", Only("")),
        ("history", Only("")),
        ("lock", Only("")),
        ("pause", Only("")),
        ("plan", Only("rights")),
        ("read_only", Only("")),
        ("rebuild", Only("rights")),
        ("rights", Only("")),
        ("status", Only("")),
        ("verify", Only("")),
        ("work", Only("")),
    ],
};

/// What an application links: each by itself.
const APPLICATION: Level = Level {
    folder: "src/application",
    crates: &[],
    rooms: &[
        ("mod", Below),
        ("instances", Only("")),
        ("migrate", Only("")),
        ("reader", Only("")),
        ("writer", Only("")),
    ],
};

/// The projections: those that ship, and the harness for authors, are on top.
const PROJECTIONS: Level = Level {
    folder: "projections/src",
    crates: &[],
    rooms: &[
        (
            "declarative",
            Only(
                "testing registry states projection target commit snapshot writer walk event stream layout index error",
            ),
        ),
        ("testing", Only("registry states projection commit snapshot layout error")),
        ("squidex", Only("registry projection target snapshot writer event stream layout index error")),
        (
            "lib",
            Only(
                "registry target states projection commit snapshot writer event stream layout index error chunked",
            ),
        ),
        ("registry", Only("states projection target snapshot event stream layout error")),
        ("states", Only("projection commit snapshot stream error chunked")),
        ("projection", Only("target snapshot event stream error")),
        ("target", Only("index")),
        ("commit", Only("event walk layout error")),
        ("snapshot", Only("writer error")),
        ("writer", Only("walk")),
        ("event", Only("walk error")),
        ("walk", Only("")),
        ("stream", Only("")),
        ("layout", Only("")),
        ("index", Only("")),
        ("error", Only("")),
        ("chunked", Only("")),
    ],
};

/// The handles of a store: a use of a room without an import.
pub(crate) const HANDLES: [&str; 5] = ["control", "events", "builds", "snapshots", "admin"];
