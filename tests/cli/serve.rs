//! `serve`: the live page over HTTP, as a browser gets it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::Db;

/// A `serve` at work.
struct Serving {
    child: Child,
    address: String,
    stderr: BufReader<ChildStderr>,
}

impl Serving {
    fn start(uri: &str, database: &str, more: &[&str]) -> Self {
        Self::start_at("127.0.0.1:0", uri, database, more)
    }

    fn start_at(address: &str, uri: &str, database: &str, more: &[&str]) -> Self {
        let mut child = Command::new(assert_cmd::cargo::cargo_bin!("statefold"))
            .args(["serve", "--listen", address, "--uri", uri, "--database", database])
            .args(more)
            .current_dir(std::env::temp_dir())
            .env_remove("STATEFOLD_PAGE_TOKEN")
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("serving http://") {
            line.clear();
            assert!(stderr.read_line(&mut line).unwrap() > 0, "serve ended");
        }
        let address = line.split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned();
        Self { child, address, stderr }
    }

    /// Sends a request, without waiting for the answer.
    fn ask(&self, path: &str, headers: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n").unwrap();
        stream
    }

    fn get(&self, path: &str, headers: &str) -> String {
        let mut answer = String::new();
        let headers = format!("Connection: close\r\n{headers}");
        self.ask(path, &headers).read_to_string(&mut answer).unwrap();
        answer
    }

    /// The page, once it shows this: where a look at the database takes long, it comes without one.
    fn page_with(&self, text: &str) -> String {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let page = self.get("/", "");
            if page.contains(text) {
                return page;
            }
            assert!(Instant::now() < deadline, "{text} is missing in {page}");
        }
    }

    /// Ends it as Ctrl-C does, and gives the rest of what it said.
    fn interrupt(mut self) -> String {
        let began = Instant::now();
        let kill = ["-INT", &self.child.id().to_string()].map(str::to_owned);
        assert!(Command::new("kill").args(kill).status().unwrap().success());
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        let mut rest = String::new();
        self.stderr.read_to_string(&mut rest).unwrap();
        rest
    }
}

#[test]
fn the_page_is_served_and_ctrl_c_ends_it_although_somebody_watches() {
    let db = Db::with(&[crate::support::asset("a")]);
    let serving = Serving::start(&db.uri, &db.name, &[]);
    let page = serving.page_with("takes events");
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    assert!(page.contains("content-security-policy: default-src 'none'"), "{page}");
    for shown in [&db.name, "takes events", "No generation yet.", "statefold rebuild"] {
        assert!(page.contains(shown), "{shown} is missing in {page}");
    }
    for path in ["/page.css", "/page.js", "/icon.svg", "/livez", "/readyz", "/metrics"] {
        assert!(serving.get(path, "").starts_with("HTTP/1.1 200"), "{path}");
    }
    let mut watching = BufReader::new(serving.ask("/events", ""));
    let mut line = String::new();
    while !line.contains(&db.name) {
        line.clear();
        assert!(watching.read_line(&mut line).unwrap() > 0, "the events ended");
    }
    serving.interrupt();
}

#[test]
fn what_is_served_changes_nothing() {
    let db = Db::with(&[crate::support::asset("a")]);
    let serving = Serving::start(&db.uri, &db.name, &[]);
    serving.page_with("takes events");
    serving.interrupt();
    assert_eq!(db.collections(), ["Events2"]);
}

#[test]
fn the_page_asks_for_its_token_and_nothing_logs_it() {
    let db = Db::with(&[crate::support::asset("a")]);
    let serving = Serving::start(&db.uri, &db.name, &["--page-token", "sesame", "--log", "trace"]);
    let status = |path: &str, headers: &str| serving.get(path, headers).split(' ').nth(1).unwrap().to_owned();
    for (path, headers) in [
        ("/", ""),
        ("/events", ""),
        ("/?token=sesam", ""),
        ("/?token=", ""),
        ("/", "Authorization: Bearer simsim\r\n"),
        ("/", "Authorization: sesame\r\n"),
    ] {
        assert_eq!(status(path, headers), "401", "{path} {headers}");
    }
    assert_eq!(status("/?token=sesame", ""), "200");
    assert_eq!(status("/", "Authorization: Bearer sesame\r\n"), "200");
    assert_eq!(status("/livez", ""), "200");
    let said = serving.interrupt();
    assert!(!said.contains("sesame"), "{said}");
}

#[test]
fn a_site_under_another_name_gets_nothing() {
    let db = Db::with(&[crate::support::asset("a")]);
    let serving = Serving::start(&db.uri, &db.name, &[]);
    let mut stream = TcpStream::connect(&serving.address).unwrap();
    write!(stream, "GET / HTTP/1.1\r\nHost: elsewhere.example\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 421") && !answer.contains(&db.name), "{answer}");
    serving.interrupt();
}

#[test]
fn a_server_that_cannot_be_reached_is_said_on_the_page() {
    let nobody = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=300&directConnection=true";
    let serving = Serving::start(nobody, "nothing", &[]);
    serving.page_with("The database can't be reached");
    serving.interrupt();
}

#[test]
fn beyond_this_machine_it_says_what_it_shows() {
    let db = Db::with(&[crate::support::asset("a")]);
    let mut serving = Serving::start_at("0.0.0.0:0", &db.uri, &db.name, &[]);
    let mut line = String::new();
    serving.stderr.read_line(&mut line).unwrap();
    assert!(line.contains("beyond this machine") && line.contains("everybody"), "{line}");
    serving.interrupt();
}
