//! `statefold health`: asks another process of this program, over HTTP.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use crate::cli::command::{Command, VerbName};
use crate::cli::exit::EXIT_PENDING;
use crate::cli::screen::output::Output;
use crate::error::{Error, Result};

/// Deadline of each step of the question.
const WITHIN: Duration = Duration::from_secs(3);
/// An answer is some hundred bytes.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

#[derive(Debug, Args)]
pub(in crate::cli) struct HealthArgs {
    /// Where it listens, as its own --listen
    #[arg(long, value_name = "ADDR", env = "STATEFOLD_LISTEN")]
    listen: String,
    /// Ask whether it is ready, not only whether it is alive
    #[arg(long)]
    ready: bool,
}

impl HealthArgs {
    /// The command as typed.
    pub(in crate::cli) fn command() -> Command {
        Command::without_database(VerbName::Health)
    }
}

pub(in crate::cli) fn run(args: &HealthArgs, output: &Output) -> Result<u8> {
    let path = if args.ready { "/readyz" } else { "/livez" };
    let doing = || format!("asking http://{}{path}", args.listen);
    let (status, body) = ask(&args.listen, path).map_err(|source| Error::Io { doing: doing(), source })?;
    let is_well = status == 200;
    let said: Value = serde_json::from_str(&body).unwrap_or_default();
    let json = json!({ "healthy": is_well, "status": status, "answer": said });
    output.result(&json, |_| match said.get("waits_for").and_then(Value::as_str) {
        Some(waits_for) => format!("not ready: {waits_for}"),
        None if is_well && args.ready => "ready".to_owned(),
        None if is_well => "alive".to_owned(),
        None => format!("it answers {status}"),
    });
    Ok(if is_well { 0 } else { EXIT_PENDING })
}

/// Status and body of the answer to a request. HTTP 1.0: the body ends with the connection.
fn ask(address: &str, path: &str) -> std::io::Result<(u16, String)> {
    let mut stream = connect(address)?;
    stream.set_read_timeout(Some(WITHIN))?;
    stream.set_write_timeout(Some(WITHIN))?;
    // In one piece: whoever answers the first of several and hangs up resets the connection.
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    status.zip(body).ok_or_else(|| std::io::Error::other("the answer is no HTTP"))
}

/// Connects to the first address of a name that answers.
fn connect(address: &str) -> std::io::Result<TcpStream> {
    let mut last = std::io::Error::other("the name has no address");
    for one in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&reachable(one), WITHIN) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Whoever listens on all interfaces is asked on this machine's own.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}
