//! The rounds: servers of a new release start, some are killed or stopped, all others must succeed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bson::{Document, doc};
use mongodb::{Client, Database};
use statefold::{FixtureRequest, Rebuild, Settings, Strategy, Tuning, rebuild, write_fixture};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::args::{Args, Result};
use crate::recording::Recording;
use crate::report::{Gap, Report};
use crate::servers::{Blow, Ended, Server};
use crate::versions::assets_of;

const DATABASE: &str = "race";
/// Maximum time of a round; a longer one has failed.
const ROUND_MAX: Duration = Duration::from_secs(120);
/// Time in a round during which servers are disturbed.
const DISTURBED: Duration = Duration::from_secs(8);

/// Random numbers: xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift
/// generators, scrambled", 2016).
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % end.max(1)
    }
}

/// Runs rounds for the given time. Returns true if every check succeeded.
pub(crate) async fn run(args: &Args) -> Result<bool> {
    std::fs::create_dir_all(&args.logs)?;
    let judge = format!("[lease]\njudge_processes = {}\nattempts = 1000\n", args.judge);
    std::fs::write(args.logs.join("statefold.toml"), judge)?;
    let db = Client::with_uri_str(&args.uri).await?.database(DATABASE);
    db.drop().await?;
    Recording::prepare(&db).await?;
    let settings = Settings::new(&args.uri, DATABASE)?;
    let request = FixtureRequest { commits: args.commits, seed: args.seed, ..FixtureRequest::default() };
    write_fixture(&settings, request, watch::Sender::new(0), CancellationToken::new()).await?;
    let recording = Recording::start(&db).await?;
    let tuning = Tuning { strategy: Some(Strategy::Natural), ..Tuning::default() };
    let calm = rebuild(&settings.clone().with_tuning(tuning)?, &assets_of(1), Rebuild::default()).await?;
    let digest = calm.projections.first().map(|built| built.digest.clone()).ok_or("nothing was built")?;
    let hash = hash(&db, "States_Assets3").await?;
    println!("undisturbed: generation 3, digest {digest}");

    let mut chance = Chance(args.seed.max(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let mut report = Report::default();
    let end = Instant::now() + Duration::from_secs(args.seconds);
    let mut version = 1;
    while Instant::now() < end {
        version += 1;
        round(args, &db, version, &mut chance, &mut report).await?;
        let (found, collection) = active(&db, version).await?;
        let same = found == digest && self::hash(&db, &collection).await? == hash;
        report.generations.push((collection, same));
    }
    report.finish(&recording.end().await?);
    report.print(args);
    let left: Vec<String> =
        db.list_collection_names().await?.into_iter().filter(|name| name.contains("__t")).collect();
    println!("staging collections left: {}", if left.is_empty() { "none".into() } else { left.join(", ") });
    Ok(report.is_well())
}

async fn round(
    args: &Args,
    db: &Database,
    version: u32,
    chance: &mut Chance,
    report: &mut Report,
) -> Result<()> {
    let began = Instant::now();
    let mut servers: BTreeMap<usize, Server> = BTreeMap::new();
    let mut stopped: Vec<(usize, Instant)> = Vec::new();
    let (mut number, mut done, mut next) = (0, false, began + Duration::from_millis(300));
    loop {
        while servers.len() < args.servers && !done {
            servers.insert(number, Server::start(args, DATABASE, version, number)?);
            number += 1;
            report.started += 1;
        }
        for (at, _) in stopped.extract_if(.., |(_, until)| *until <= Instant::now()) {
            if let Some(server) = servers.get(&at) {
                server.signal("CONT")?;
            }
        }
        let mut gone = Vec::new();
        for (at, server) in &mut servers {
            match server.ended()? {
                None => continue,
                Some(Ended::Done) => done = true,
                Some(Ended::ByBlow) => {}
                Some(Ended::Unexpected(how)) => report.unexpected.push(how),
            }
            gone.push(*at);
        }
        servers.retain(|at, _| !gone.contains(at));
        if done && servers.is_empty() {
            return Ok(());
        }
        if began.elapsed() > ROUND_MAX {
            return Err(
                format!("round {version} did not end; see the logs in {}", args.logs.display()).into()
            );
        }
        if !done && began.elapsed() < DISTURBED && Instant::now() >= next {
            let leader = leader(db).await?;
            // Two times of three it is the leader.
            let candidates: Vec<usize> =
                servers.iter().filter(|(_, server)| server.blow.is_none()).map(|(at, _)| *at).collect();
            let chosen = usize::try_from(chance.below(candidates.len() as u64))?;
            let by_chance = candidates.get(chosen).copied();
            let leading = candidates.iter().copied().find(|at| {
                servers
                    .get(at)
                    .is_some_and(|server| leader.as_ref().is_some_and(|(pid, _)| *pid == server.pid()))
            });
            let target = if chance.below(3) > 0 { leading.or(by_chance) } else { by_chance };
            if let Some((at, server)) = target.and_then(|at| Some((at, servers.get_mut(&at)?))) {
                let blow = match chance.below(3) {
                    0 => Blow::Kill,
                    1 => Blow::Terminate,
                    _ => Blow::Stop,
                };
                let token = leader.filter(|(pid, _)| *pid == server.pid()).map(|(_, token)| token);
                strike(server, blow)?;
                if blow == Blow::Stop {
                    let pause = Duration::from_millis(200 + chance.below(6000));
                    stopped.push((at, Instant::now() + pause));
                }
                report.gaps.push(Gap { blow, token, at: Instant::now(), ended: None });
            }
            next = Instant::now() + Duration::from_millis(300 + chance.below(1500));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn strike(server: &mut Server, blow: Blow) -> Result<()> {
    server.blow = Some(blow);
    server.signal(match blow {
        Blow::Kill => "KILL",
        Blow::Terminate => "TERM",
        Blow::Stop => "STOP",
    })
}

/// Process id and token of the leader.
async fn leader(db: &Database) -> Result<Option<(u32, i64)>> {
    let control = db.collection::<Document>("Migration").find_one(doc! { "_id": "Statefold" }).await?;
    let Some(control) = control else { return Ok(None) };
    let Ok(lease) = control.get_document("Lease") else { return Ok(None) };
    Ok(Some((u32::try_from(lease.get_i64("Pid")?)?, control.get_i64("LeaseToken")?)))
}

/// Digest and collection of the active generation, which must have this version.
async fn active(db: &Database, version: u32) -> Result<(String, String)> {
    let control = db.collection::<Document>("Migration").find_one(doc! { "_id": "Statefold" }).await?;
    let control = control.ok_or("there is no control document")?;
    let pointer = control.get_document("Generations")?.get_document("Assets")?.clone();
    let pointer: statefold::ActiveGeneration = bson::deserialize_from_document(pointer)?;
    if pointer.projection_version != version {
        return Err(format!("active is version {}, not {version}", pointer.projection_version).into());
    }
    let id = format!("Assets{}", pointer.active);
    let record = db.collection::<Document>("Statefold_Builds").find_one(doc! { "_id": &id }).await?;
    let digest = record.ok_or("the build has no record")?.get_str("Digest")?.to_owned();
    Ok((digest, pointer.collection))
}

/// Hash of all documents of a collection, computed by the server.
async fn hash(db: &Database, collection: &str) -> Result<String> {
    let reply = db.run_command(doc! { "dbHash": 1, "collections": [collection] }).await?;
    Ok(reply.get_document("collections")?.get_str(collection)?.to_owned())
}
