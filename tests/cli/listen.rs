//! `--listen`: metrics and health checks while a rebuild runs.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::Db;

fn get(address: &str, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

#[test]
fn a_rebuild_can_be_watched_over_http() {
    let db = Db::new();
    db.run(&["fixture", "--commits", "8000"], 0);
    let mut child = Command::new(assert_cmd::cargo::cargo_bin!("statefold"))
        .args([
            "rebuild",
            "Assets",
            "--yes",
            "--listen",
            "127.0.0.1:0",
            "--readers",
            "1",
            "--batch-docs",
            "5",
        ])
        .args(["--uri", &db.uri, "--database", &db.name])
        .current_dir(std::env::temp_dir())
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let line = lines.by_ref().map(Result::unwrap).find(|line| line.contains("serving http://")).unwrap();
    let address = line.split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned();
    // Reads the rest, so that the program never waits for us.
    let drain = std::thread::spawn(move || lines.count());

    let (mut live, mut not_ready, mut counted) = (false, false, false);
    let deadline = Instant::now() + Duration::from_secs(60);
    while !(live && not_ready && counted) && Instant::now() < deadline {
        live |= get(&address, "/livez").is_some_and(|answer| answer.starts_with("HTTP/1.1 200"));
        not_ready |= get(&address, "/readyz").is_some_and(|answer| {
            answer.starts_with("HTTP/1.1 503") && answer.contains("\"phase\":\"building\"")
        });
        counted |= get(&address, "/metrics")
            .is_some_and(|answer| answer.contains("statefold_events_total{projection=\"Assets\"}"));
        if child.try_wait().unwrap().is_some() {
            break;
        }
    }
    assert!(child.wait().unwrap().success());
    drain.join().unwrap();
    assert!(live && not_ready && counted, "live {live}, not ready {not_ready}, counted {counted}");
}

#[test]
fn an_address_that_is_taken_is_said_before_the_work_begins() {
    let db = Db::with(&[crate::support::asset("a")]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let failed = db.run(&["rebuild", "Assets", "--yes", "--listen", &address], 1);
    assert!(failed.stderr.contains(&format!("listening on {address}")), "{}", failed.stderr);
    assert_eq!(db.collections(), ["Events2"]);
}
