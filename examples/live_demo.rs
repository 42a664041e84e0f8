//! The live page on a database at work, with buttons that get in its way: a writer that goes on, a follower,
//! and a rebuild whenever somebody asks for one. `./scripts/demo` ends with it.
//!
//! ```sh
//! MONGODB_URI=… STATEFOLD_DATABASE=… cargo run --example live_demo -- target/debug/statefold 127.0.0.1:8080
//! ```

use std::collections::VecDeque;
use std::error::Error;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use bson::{Bson, Document, doc};
use maud::html;
use mongodb::{Client, Database};
use statefold::page::{Page, serve};
use statefold::{EventWriter, Expected, NewEvent, NextStep, Settings, follow_active, squidex};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// The app that the writer's assets belong to.
const APP: &str = "00000000-0000-0000-0000-00000000de30";
const PROJECTION: &str = "Assets";
/// Slow enough to be watched.
const REBUILD: [&str; 13] = [
    "rebuild",
    PROJECTION,
    "--yes",
    "--fresh",
    "--max-errors",
    "50%",
    "--readers",
    "1",
    "--threads",
    "1",
    "--batch-docs",
    "50",
    "--lease-ttl=6s",
];
/// What resumes a rebuild that was killed.
const RESUME: [&str; 6] = ["rebuild", PROJECTION, "--yes", "--max-errors", "50%", "--lease-ttl=6s"];
const ROLL_BACK: [&str; 6] = ["rollback", PROJECTION, "--yes", "--max-errors", "50%", "--lease-ttl=6s"];
const FOLLOW: [&str; 4] = ["follow", PROJECTION, "--keep-warm", "--lease-ttl=6s"];

/// What everything here shares.
struct Demo {
    program: String,
    settings: Settings,
    db: Database,
    is_fast: AtomicBool,
    acknowledged: AtomicU64,
    found: AtomicU64,
    poisoned: AtomicU64,
    /// Verbs to run, one after the other.
    wanted: Mutex<VecDeque<&'static [&'static str]>>,
    /// Whether a verb is at work, and whether it is to be killed.
    is_led: AtomicBool,
    kill: AtomicBool,
    said: Mutex<String>,
}

/// Pause between two looks at a process.
const PAUSE: Duration = Duration::from_millis(100);

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "an example")]
async fn main() -> Result<(), Failure> {
    let mut words = std::env::args().skip(1);
    let program = words.next().ok_or("give the path of statefold")?;
    let address = words.next().unwrap_or_else(|| "127.0.0.1:8080".into());
    let uri = std::env::var("MONGODB_URI").map_err(|_| "set MONGODB_URI")?;
    let name = std::env::var("STATEFOLD_DATABASE").map_err(|_| "set STATEFOLD_DATABASE")?;
    let (settings, registry) = (Settings::new(&uri, &name)?, squidex::registry());
    let demo = Arc::new(Demo {
        program,
        settings: settings.clone(),
        db: Client::with_uri_str(&uri).await?.database(&name),
        is_fast: AtomicBool::new(false),
        acknowledged: AtomicU64::new(0),
        found: AtomicU64::new(0),
        poisoned: AtomicU64::new(0),
        wanted: Mutex::default(),
        is_led: AtomicBool::new(false),
        kill: AtomicBool::new(false),
        said: Mutex::default(),
    });
    let listener = match TcpListener::bind(&address).await {
        Ok(listener) => listener,
        // Something else has that port.
        Err(_) => TcpListener::bind("127.0.0.1:0").await?,
    };
    println!("The live page: http://{}/ (Ctrl-C ends it)", listener.local_addr()?);
    demo.count_before().await?;
    let panel = Arc::clone(&demo);
    let page = Page::new(&settings, &registry).with_commands(command).with_panel(move || panel.panel());
    let buttons = Router::new().route("/demo/{what}", post(pressed)).with_state(Arc::clone(&demo));
    let writer = EventWriter::connect(&settings, &registry).await?;
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        served = serve(listener, page, buttons) => served?,
        ended = Arc::clone(&demo).write(writer) => ended?,
        ended = Arc::clone(&demo).count() => ended?,
        ended = Arc::clone(&demo).run_verbs() => ended?,
        ended = Arc::clone(&demo).follow() => ended?,
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

/// A next step as the command that is typed for it.
fn command(step: &NextStep) -> Option<String> {
    Some(match step {
        NextStep::CutOver { projection, .. } => format!("statefold cutover {projection} --yes"),
        NextStep::Resume(Some(projection)) => format!("statefold resume {projection} --yes"),
        NextStep::EndReadOnly => "statefold read-only off --yes".into(),
        NextStep::ListFailedStreams => "statefold errors list".into(),
        _ => return None,
    })
}

/// What a button is for.
async fn pressed(State(demo): State<Arc<Demo>>, Path(what): Path<String>) -> StatusCode {
    match what.as_str() {
        "faster" => {
            demo.is_fast.fetch_xor(true, Ordering::Relaxed);
        }
        "kill" => demo.kill(),
        "poison" => {
            if let Err(error) = demo.poison().await {
                demo.say(&format!("the stream could not be poisoned: {error}"));
            }
        }
        "cutover" => demo.want(&REBUILD),
        "rollback" => demo.want(&ROLL_BACK),
        _ => return StatusCode::NOT_FOUND,
    }
    // The browser stays where it is.
    StatusCode::NO_CONTENT
}

impl Demo {
    fn say(&self, text: &str) {
        text.clone_into(&mut self.said.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn want(&self, verb: &'static [&'static str]) {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        // Pressed again, it isn't done again.
        if !wanted.contains(&verb) {
            wanted.push_back(verb);
        }
    }

    /// The counter and the buttons.
    fn panel(&self) -> String {
        let number = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let faster = if self.is_fast.load(Ordering::Relaxed) { "Write slower" } else { "Write faster" };
        let buttons = [
            ("faster", faster),
            ("cutover", "Rebuild and cut over"),
            ("rollback", "Roll back"),
            ("kill", "Kill the leader"),
            ("poison", "Poison a stream"),
        ];
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner).clone();
        html! {
            h2 { "Demo" }
            p.counter {
                strong { (number(&self.acknowledged)) } " events acknowledged / "
                strong { (number(&self.found)) } " found in what readers see"
            }
            p.quiet {
                "The writer goes on, and a follower folds what it writes: the second number comes after the first. "
                (number(&self.poisoned)) " streams were poisoned. " (said)
            }
            div.buttons {
                @for (what, label) in buttons {
                    form method="post" action=(format!("demo/{what}")) {
                        button id=(format!("demo-{what}")) { (label) }
                    }
                }
            }
        }
        .into_string()
    }

    /// Appends events to assets of its own, new ones and old ones, until it is stopped.
    async fn write(self: Arc<Self>, writer: EventWriter) -> Result<(), Failure> {
        let run = bson::oid::ObjectId::new().to_hex();
        for number in 0_u64.. {
            // Each asset is created and renamed three times.
            let id = format!("{run}-{}", number / 4);
            let event = if number.is_multiple_of(4) { created(&id) } else { renamed(&id, number % 4) };
            // Behind a fence it waits, and tries again.
            match writer.append(&stream(&id), Expected::Any, &[event]).await {
                Ok(_) => {
                    self.acknowledged.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => self.say(&format!("the writer was refused: {error}")),
            }
            let pause = if self.is_fast.load(Ordering::Relaxed) { 2 } else { 50 };
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        Ok(())
    }

    /// Events of earlier runs were acknowledged too.
    async fn count_before(&self) -> Result<(), Failure> {
        let prefix = stream("");
        let events = self.db.collection::<Document>("Events2");
        let filter = doc! { "EventStream": { "$gte": &prefix, "$lt": format!("{prefix}~") } };
        self.acknowledged.store(events.count_documents(filter).await?, Ordering::Relaxed);
        Ok(())
    }

    /// Counts the writer's events in the snapshots that readers see: the version of each tells them.
    async fn count(self: Arc<Self>) -> Result<(), Failure> {
        let active = follow_active(&self.settings, &squidex::registry(), PROJECTION).await?;
        let prefix = format!("{APP}--");
        loop {
            if let Some(collection) = active.collection() {
                let pipeline = [
                    doc! { "$match": { "_id": { "$gte": &prefix, "$lt": format!("{prefix}~") } } },
                    doc! { "$group": { "_id": null, "events": { "$sum": { "$add": ["$vs", 1] } } } },
                ];
                let snapshots = self.db.collection::<Document>(&collection);
                if let Ok(mut found) = snapshots.aggregate(pipeline).await
                    && let Ok(true) = found.advance().await
                {
                    let sum = found.deserialize_current().unwrap_or_default();
                    let events = sum.get("events").and_then(|sum| match sum {
                        Bson::Int32(sum) => u64::try_from(*sum).ok(),
                        Bson::Int64(sum) => u64::try_from(*sum).ok(),
                        _ => None,
                    });
                    self.found.store(events.unwrap_or(0), Ordering::Relaxed);
                }
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// Writes an event that can't be folded, as the only one of its stream.
    async fn poison(&self) -> Result<(), Failure> {
        let writer = EventWriter::connect(&self.settings, &squidex::registry()).await?;
        let id = format!("poisoned-{}", bson::oid::ObjectId::new().to_hex());
        let event = NewEvent::json("AssetCreatedEventV2", r#"{ "assetId": 7 }"#);
        // It belongs to another app, so that the counter leaves it out.
        let name = format!("asset-00000000-0000-0000-0000-00000000bad0--{id}");
        writer.append(&name, Expected::NoStream, &[event]).await?;
        self.poisoned.fetch_add(1, Ordering::Relaxed);
        self.say("The next rebuild meets it.");
        Ok(())
    }

    fn verb(&self, words: &[&str]) -> std::io::Result<Verb> {
        let mut command = Command::new(&self.program);
        command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Verb(command.spawn()?))
    }

    /// Runs what is asked for, one after the other; what is killed is begun again and resumes.
    async fn run_verbs(self: Arc<Self>) -> Result<(), Failure> {
        loop {
            let next = self.wanted.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some(mut words) = next else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            self.say("");
            self.kill.store(false, Ordering::Relaxed);
            self.is_led.store(true, Ordering::Relaxed);
            loop {
                let status = self.verb(words)?.end(Some(&self.kill)).await?;
                match status.code() {
                    Some(0) => break,
                    Some(code) => {
                        self.say(&format!("{} ended with exit code {code}.", words.join(" ")));
                        break;
                    }
                    None => {
                        self.say("The leader was killed; another one takes over and resumes.");
                        words = if words == REBUILD { &RESUME } else { words };
                    }
                }
            }
            self.is_led.store(false, Ordering::Relaxed);
        }
    }

    /// Ends the verb at work as a machine that fails would: without a word.
    fn kill(&self) {
        if self.is_led.load(Ordering::Relaxed) {
            self.kill.store(true, Ordering::Relaxed);
        } else {
            self.say("Nobody leads now: begin a rebuild first.");
        }
    }

    /// Keeps the active generation current, and starts again should that end.
    async fn follow(self: Arc<Self>) -> Result<(), Failure> {
        loop {
            self.verb(&FOLLOW)?.end(None).await?;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

/// A verb at work; it doesn't outlive the demo.
struct Verb(Child);

impl Verb {
    /// Waits for its end, which comes at once when `kill` is set.
    async fn end(&mut self, kill: Option<&AtomicBool>) -> std::io::Result<ExitStatus> {
        loop {
            if let Some(status) = self.0.try_wait()? {
                return Ok(status);
            }
            if kill.is_some_and(|kill| kill.swap(false, Ordering::Relaxed)) {
                self.0.kill()?;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

impl Drop for Verb {
    fn drop(&mut self) {
        let _ = self.0.kill().and_then(|()| self.0.wait());
    }
}

fn stream(id: &str) -> String {
    format!("asset-{APP}--{id}")
}

fn created(id: &str) -> NewEvent {
    let payload = serde_json::json!({
        "parentId": "00000000-0000-0000-0000-000000000000", "fileName": format!("{id}.png"),
        "fileHash": format!("hash-{id}"), "mimeType": "image/png", "slug": format!("{id}-png"),
        "fileVersion": 0, "fileSize": 1024, "type": "Image", "metadata": {}, "tags": ["demo"],
        "assetId": id, "appId": format!("{APP},demo"), "actor": "subject:demo", "fromRule": false,
    });
    NewEvent::json("AssetCreatedEventV2", payload.to_string())
}

fn renamed(id: &str, number: u64) -> NewEvent {
    let payload = serde_json::json!({
        "fileName": format!("renamed {number} times.png"), "slug": null, "isProtected": null,
        "metadata": null, "tags": null, "assetId": id, "appId": format!("{APP},demo"),
        "actor": "subject:demo", "fromRule": false,
    });
    NewEvent::json("AssetAnnotatedEvent", payload.to_string())
}
