//! A program that listens, and what it answers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::exposition::Exposition;
use crate::support::Db;

/// A program that listens on an address of its own.
pub(crate) struct Listening {
    pub(crate) child: Child,
    address: String,
    /// Reads what it logs, so that it never waits for us.
    drain: JoinHandle<usize>,
}

impl Listening {
    /// Starts the program on a database.
    pub(crate) fn start(db: &Db, args: &[&str]) -> Self {
        let mut child = Command::new(assert_cmd::cargo::cargo_bin!("statefold"))
            .args(args)
            .args(["--listen", "127.0.0.1:0", "--uri", &db.uri, "--database", &db.name])
            .current_dir(std::env::temp_dir())
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let line = lines.by_ref().map(Result::unwrap).find(|line| line.contains("serving http://")).unwrap();
        let address = line.split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned();
        let drain = std::thread::spawn(move || lines.count());
        Self { child, address, drain }
    }

    /// Answer to a request; `None` once the program doesn't listen any more.
    pub(crate) fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// The metrics, once they are as wanted.
    pub(crate) fn metrics(&self, wanted: impl Fn(&Exposition) -> bool) -> Exposition {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let answer = self.get("/metrics").unwrap();
            let (_, text) = answer.split_once("\r\n\r\n").unwrap();
            let found = Exposition::read(text);
            if wanted(&found) {
                return found;
            }
            assert!(Instant::now() < deadline, "it never came to that: {text}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The metrics, once the program waits for this.
    pub(crate) fn waiting_for(&self, reason: &str, projections: &[&str]) -> Exposition {
        // One is said a moment before the other.
        let is_phase = |metrics: &Exposition, projection: &&str| {
            metrics.all("statefold_phase", &[("projection", *projection), ("phase", "waiting")]) == [1.0]
        };
        self.metrics(|metrics| {
            metrics.all("statefold_waiting", &[("reason", reason)]) == [1.0]
                && projections.iter().all(|projection| is_phase(metrics, projection))
        })
    }

    pub(crate) fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    /// Waits until the program has ended well.
    pub(crate) fn succeeds(mut self) {
        assert!(self.child.wait().unwrap().success());
        self.drain.join().unwrap();
    }
}
