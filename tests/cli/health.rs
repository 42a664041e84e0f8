//! `statefold health`: what a container asks that has neither shell nor curl.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Db, asset, done, program};

/// A follower that listens. Killed when this is dropped.
struct Follower {
    child: Child,
    address: String,
}

impl Follower {
    fn start(db: &Db) -> Self {
        let mut child = Command::new(assert_cmd::cargo::cargo_bin!("statefold"))
            .args(["follow", "Assets", "--listen", "127.0.0.1:0", "--poll", "200ms"])
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
        std::thread::spawn(move || lines.count());
        Self { child, address }
    }

    /// The exit code, and what is said.
    fn health(&self, more: &[&str]) -> (i32, String) {
        let asked = program().args(["health", "--listen", &self.address]).args(more).output().unwrap();
        (asked.status.code().unwrap(), String::from_utf8(asked.stdout).unwrap().trim().to_owned())
    }

    /// Waits until it is ready, and in that phase.
    fn until_ready(&self, phase: &str) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let (code, said) = self.health(&["--ready", "-o", "json"]);
            let json: Value = serde_json::from_str(&said).unwrap();
            assert_eq!(json["healthy"], code == 0, "{said}");
            if code == 0 && json["answer"]["phase"] == phase {
                return;
            }
            assert!(Instant::now() < deadline, "{said}");
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_follower_is_alive_at_once_and_ready_when_it_follows_or_stands_by() {
    let db = Db::with(&[asset("a")]);
    let first = Follower::start(&db);
    assert_eq!(first.health(&[]), (0, "alive".to_owned()));
    // There is nothing to follow yet.
    let (code, said) = first.health(&["--ready"]);
    assert_eq!((code, said.starts_with("not ready: ")), (4, true), "{said}");
    db.run(&["rebuild", "Assets", "--yes"], 0);
    first.until_ready("following");
    let second = Follower::start(&db);
    second.until_ready("waiting");
    assert_eq!(second.health(&["--ready"]), (0, "ready".to_owned()));
}

#[test]
fn nobody_who_answers_is_a_failure_and_no_address_a_wrong_call() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    let failed = done(program().args(["health", "--listen", &address]), 1);
    assert!(failed.stderr.contains(&format!("asking http://{address}/livez")), "{}", failed.stderr);
    done(program().arg("health"), 2);
}

#[test]
fn who_listens_everywhere_is_found_on_this_machine() {
    let everywhere = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = everywhere.local_addr().unwrap().port();
    let answers = std::thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut stream, _) = everywhere.accept().unwrap();
        let asked = stream.read(&mut [0; 1024]).unwrap();
        stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nok\n").unwrap();
        asked
    });
    let asked = done(program().env("STATEFOLD_LISTEN", format!("0.0.0.0:{port}")).arg("health"), 0);
    assert_eq!(asked.stdout.trim(), "alive");
    assert!(answers.join().unwrap() > 0);
}
